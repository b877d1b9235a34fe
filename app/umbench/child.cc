// SPDX-License-Identifier: BSD-2-Clause
// child.cc - a child process by posix_spawn, a pipe to its input, a terminal for its output.
#include "app/umbench/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>

namespace umbuf::bench {
namespace {

using Clock = std::chrono::steady_clock;

int interrupt_fd = -1;  // readable when somebody wants us to end

sigset_t interrupt_set() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    return set;
}

double seconds_until(Clock::time_point end) {
    return std::chrono::duration<double>(end - Clock::now()).count();
}

Clock::time_point after(double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

void close_fd(int& fd) noexcept {
    if (fd >= 0) close(fd);
    fd = -1;
}

// The child gets default signals, and its own process group: a Ctrl-C is for us, and we end it.
void set_attributes(posix_spawnattr_t& attributes) {
    sigset_t none;
    sigemptyset(&none);
    sigset_t all = interrupt_set();
    sigaddset(&all, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

// A terminal for the child's output: into a pipe the C library would keep its lines back. Returns the
// child's end, ours in `ours`; negative: errno says why.
int open_terminal(int& ours) {
    ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    char name[64];
    if (ours < 0 || grantpt(ours) != 0 || unlockpt(ours) != 0 ||
        ptsname_r(ours, name, sizeof(name)) != 0)
        return -1;
    const int terminal = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    termios settings;
    if (terminal >= 0 && tcgetattr(terminal, &settings) == 0) {
        cfmakeraw(&settings);  // a newline stays a newline
        tcsetattr(terminal, TCSANOW, &settings);
    }
    return terminal;
}

std::string ended_how(int status) {
    return WIFSIGNALED(status) ? fmt::format("signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)))
                               : fmt::format("exit status {}", WEXITSTATUS(status));
}

}  // namespace

void catch_interrupts() {
    const sigset_t set = interrupt_set();
    sigprocmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);  // a child that died is seen by its closed pipe
    interrupt_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

Result<Child> Child::spawn(const std::vector<std::string>& argv) {
    int in[2];
    if (pipe2(in, O_CLOEXEC) != 0) return Error{errno, "no pipe for a child: too many open files"};
    Child child;
    child.in_ = in[1];
    child.name_ = argv[0].substr(argv[0].rfind('/') + 1);
    const int terminal = open_terminal(child.out_);
    if (terminal < 0) {
        const int error = errno;
        close(in[0]);
        return Error{error, fmt::format("no pseudo terminal for a child: {}; is /dev/pts mounted?",
                                        std::strerror(error))};
    }
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, terminal, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, terminal, STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    set_attributes(attributes);
    std::vector<std::string> text = argv;
    std::vector<char*> args;
    for (std::string& t : text) args.push_back(t.data());
    args.push_back(nullptr);
    const int error = posix_spawnp(&child.pid_, args[0], &files, &attributes, args.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    close(in[0]);
    close(terminal);
    if (error == 0) return child;
    child.pid_ = -1;
    return Error{error, fmt::format("{} cannot be started: {}", argv[0], std::strerror(error))};
}

Child::Child(Child&& other) noexcept { *this = std::move(other); }

Child& Child::operator=(Child&& other) noexcept {
    std::swap(name_, other.name_);
    std::swap(output_, other.output_);
    std::swap(pid_, other.pid_);
    std::swap(in_, other.in_);
    std::swap(out_, other.out_);
    return *this;
}

Child::~Child() { end(); }

void Child::end() noexcept {
    close_fd(in_);
    for (const int signal : {SIGTERM, SIGKILL}) {
        if (pid_ < 0) break;
        kill(pid_, signal);
        // It may be writing: a full terminal must not keep it from ending.
        close_fd(out_);
        const auto limit = after(signal == SIGTERM ? 3 : 60);
        while (waitpid(pid_, nullptr, WNOHANG) == 0 && seconds_until(limit) > 0) usleep(5000);
        if (kill(pid_, 0) != 0) pid_ = -1;
    }
    close_fd(out_);
}

Status Child::send(const std::string& line) {
    const std::string text = line + "\n";
    if (write(in_, text.data(), text.size()) == static_cast<ssize_t>(text.size())) return {};
    return last_words("takes no more commands");
}

Result<bool> Child::read_until(double timeout_s, const std::function<bool()>& done) {
    const auto limit = after(timeout_s);
    while (!done()) {
        const double left = seconds_until(limit);
        if (left <= 0) return false;
        std::array<pollfd, 2> fds{{{out_, POLLIN, 0}, {interrupt_fd, POLLIN, 0}}};
        if (poll(fds.data(), fds.size(), static_cast<int>(left * 1000) + 1) < 0) continue;
        if ((fds[1].revents & POLLIN) != 0) return Error{EINTR, "interrupted"};
        if (fds[0].revents == 0) continue;
        char buffer[4096];
        const ssize_t n = read(out_, buffer, sizeof(buffer));
        if (n > 0) output_.append(buffer, static_cast<size_t>(n));
        // The last user of a terminal is gone: EIO.
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return last_words("ended");
    }
    return true;
}

Result<uint64_t> Child::ask(const std::string& line, double timeout_s, const Parse& parse) {
    const size_t from = output_.size();
    if (Status sent = send(line); !sent) return sent.error();
    std::optional<uint64_t> answer;
    Result<bool> found = read_until(timeout_s, [&] {
        answer = parse(std::string_view(output_).substr(from));
        return answer.has_value();
    });
    if (!found) return found.error();
    if (!found.value()) return last_words(fmt::format("did not answer '{}' in {} s", line, timeout_s));
    return *answer;
}

Status Child::wait(double seconds) {
    Result<bool> result = read_until(seconds, [] { return false; });
    return result ? Status{} : Status{result.error()};
}

Status Child::wait_exit(double timeout_s) {
    int status = 0;
    const auto limit = after(timeout_s);
    while (seconds_until(limit) > 0) {
        const pid_t gone = waitpid(pid_, &status, WNOHANG);
        if (gone == pid_) {
            pid_ = -1;
            if (status == 0) return {};
            return last_words("ended with " + ended_how(status));
        }
        // Its output must be read, or it cannot end; the end of the output is no error here.
        Result<bool> more = read_until(0.02, [] { return false; });
        if (!more && more.error().code == EINTR) return more.error();
        if (!more) usleep(5000);
    }
    return last_words(fmt::format("did not end in {} s", timeout_s));
}

Error Child::last_words(const std::string& what) const {
    size_t from = output_.size();
    for (int lines = 0; from > 0 && lines < 9; --from) lines += output_[from - 1] == '\n' ? 1 : 0;
    return {EPIPE, fmt::format("{} {}; the last that it said:\n{}", name_, what, output_.substr(from))};
}

}  // namespace umbuf::bench
