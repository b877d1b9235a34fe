// SPDX-License-Identifier: BSD-2-Clause
// control.cc - a socket, its clients, and their lines.
#include "app/umfwd/prompt/control.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace umbuf::fwd {
namespace {

// One who has so much waiting is not asked for more.
constexpr size_t kEnough = size_t{64} << 10;

Status events(Session&, const Args&) { return {}; }  // run() sees to it
Status protocol(Session& session, const Args&) {
    session.print("umbuf-control 1\n");
    return {};
}

std::span<const Command> table() {
    static const std::vector<Command> all = [] {
        std::vector<Command> own(commands().begin(), commands().end());
        own.push_back({"events", "from now on, lines about SAs: event soft|hard|gone NAME", &events});
        own.push_back({"protocol", "this protocol and its number", &protocol});
        return own;
    }();
    return all;
}

Error failed(const std::string& path, const char* what, int error) { return {error, fmt::format("--control={}: {}: {}", path, what, std::strerror(error))}; }

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path))
        return Error{EINVAL, fmt::format("--control={}: expected a path of 1 to {} bytes", path, sizeof(address.sun_path) - 1)};
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

// make_way - what stands at the path goes if it is a socket that nobody answers on.
Status make_way(const std::string& path, const sockaddr_un& address) {
    struct stat there {};
    if (lstat(path.c_str(), &there) != 0) return errno == ENOENT ? Status() : failed(path, "cannot be looked at", errno);
    if (!S_ISSOCK(there.st_mode)) return Error{EEXIST, fmt::format("--control={}: expected no file, or a socket", path)};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool dead = fd >= 0 && connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 && errno == ECONNREFUSED;
    if (fd >= 0) close(fd);
    if (!dead) return Error{EBUSY, fmt::format("--control={}: another program answers there", path)};
    return unlink(path.c_str()) == 0 ? Status() : failed(path, "a dead program's socket cannot be removed", errno);
}

// plain - lines that cannot be taken for the last one of an answer, or for an event.
std::string plain(std::string_view text) {
    std::string lines;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        if (line == "ok" || line.starts_with("error: ") || line.starts_with("event ")) lines += ' ';
        lines.append(line).push_back('\n');
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

std::string last_line(const Status& done) {
    if (done) return "ok\n";
    const char* name = strerrorname_np(done.error().code);
    std::string text = done.error().text;
    std::ranges::replace(text, '\n', ' ');
    return fmt::format("error: {}: {}\n", name != nullptr ? name : "EINVAL", text);
}

}  // namespace

Control::Control(std::string path, Forwarder* forwarder) : path_(std::move(path)), prompt_(table(), session_) {
    session_.forwarder = forwarder;
    session_.print = [this](const std::string& text) { answer_ += text; };
}

Result<std::unique_ptr<Control>> Control::open(const std::string& path, Forwarder* forwarder) {
    std::unique_ptr<Control> control(new Control(path, forwarder));
    if (const Status listening = control->listen(); !listening) return listening.error();
    return control;
}

Status Control::listen() {
    const Result<sockaddr_un> address = address_of(path_);
    if (!address) return address.error();
    if (const Status free = make_way(path_, address.value()); !free) return free;
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // Rights of the socket become those of its name (unix(7)): there is no moment when others could connect.
    if (epoll_ < 0 || listener_ < 0 || fchmod(listener_, 0600) != 0) return failed(path_, "no socket", errno);
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&address.value()), sizeof(sockaddr_un)) != 0) return failed(path_, "cannot be made", errno);
    struct stat mine {};
    if (lstat(path_.c_str(), &mine) == 0) inode_ = mine.st_ino;
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    if (::listen(listener_, static_cast<int>(kMostClients)) != 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event) != 0)
        return failed(path_, "cannot be listened at", errno);
    return {};
}

Control::~Control() {
    for (Client& client : clients_) {
        send(client);
        close(client.fd);
    }
    struct stat there {};
    if (inode_ != 0 && lstat(path_.c_str(), &there) == 0 && there.st_ino == inode_) unlink(path_.c_str());
    if (listener_ >= 0) close(listener_);
    if (epoll_ >= 0) close(epoll_);
}

void Control::serve() {
    if (std::exchange(serving_, true)) return;
    epoll_event ready[kMostClients + 1];
    const int n = epoll_wait(epoll_, ready, static_cast<int>(std::size(ready)), 0);
    for (int i = 0; i < n && !session_.quit; ++i) {
        if (ready[i].data.ptr == nullptr) accept_all();
        else attend(*static_cast<Client*>(ready[i].data.ptr));
    }
    bury();
    serving_ = false;
}

void Control::accept_all() {
    for (;;) {
        const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) return;
        Result<Secret> in = Secret::make(kMostLine + 1);
        if (clients_.size() >= kMostClients || !in) {
            const std::string sorry = last_line(Error{EAGAIN, fmt::format("{} clients are connected, and no more are served", clients_.size())});
            (void)!::send(fd, sorry.data(), sorry.size(), MSG_NOSIGNAL);
            close(fd);
            continue;
        }
        Client& client = clients_.emplace_back();
        client.fd = fd;
        client.in = std::move(in.value());
        epoll_event event{.events = client.asked = EPOLLIN, .data = {.ptr = &client}};
        if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) client.gone = true;
    }
}

void Control::attend(Client& client) {
    if (client.gone) return;
    send(client);
    if (client.waiting() < kEnough && !client.ended) receive(client);
    do {
        run_lines(client);
        send(client);
    } while (client.has_line() && client.waiting() < kEnough && !client.gone && !session_.quit);
    if (client.ended && client.waiting() == 0 && client.in_size == 0) client.gone = true;
    ask(client);
}

// receive - one read: others want their turn.
void Control::receive(Client& client) {
    if (client.in_size > kMostLine) return;  // lines that wait
    const ssize_t n = read(client.fd, client.in.data() + client.in_size, kMostLine + 1 - client.in_size);
    if (n > 0) client.in_size += static_cast<size_t>(n);
    else if (n == 0) client.ended = true;
    else if (errno != EAGAIN && errno != EINTR) client.gone = true;
}

// has_line - a last one needs no end.
bool Control::Client::has_line() const noexcept {
    return in_size > 0 && (ended || std::memchr(in.data(), '\n', in_size) != nullptr);
}

void Control::run_lines(Client& client) {
    char* const in = reinterpret_cast<char*>(client.in.data());
    while (client.waiting() < kEnough && !client.gone && !session_.quit) {
        const std::string_view all(in, client.in_size);
        size_t end = all.find('\n');
        if (end == std::string_view::npos && client.in_size > kMostLine) {
            client.out += last_line(Error{E2BIG, fmt::format("a line is longer than {} bytes", kMostLine)});
            client.in_size = 0;
            client.ended = true;
        }
        if (end == std::string_view::npos && !(client.ended && client.in_size > 0)) return;
        end = std::min(end, client.in_size);
        std::string line(all.substr(0, end));
        const size_t taken = std::min(end + 1, client.in_size);
        std::memmove(in, in + taken, client.in_size - taken);
        wipe(in + client.in_size - taken, taken);
        client.in_size -= taken;
        run(client, std::move(line));
    }
}

void Control::run(Client& client, std::string line) {
    const size_t from = std::min(line.find_first_not_of(" \t\r"), line.size());
    const bool empty = from == line.size() || line[from] == '#';
    if (!empty) {
        const Status done = prompt_.execute(line);
        if (done && line.substr(from).starts_with("events")) client.events = true;
        client.out += plain(std::exchange(answer_, {})) + last_line(done);  // behind the events that it has caused
    }
    wipe(line.data(), line.size());
}

void Control::send(Client& client) {
    while (!client.gone && client.waiting() > 0) {
        const ssize_t n = ::send(client.fd, client.out.data() + client.out_at, client.waiting(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) client.gone = true;
        else client.out_at += static_cast<size_t>(n);
    }
    client.out.clear();
    client.out_at = 0;
}

// ask - for what the client is waited for: that it takes more, or says more.
void Control::ask(Client& client) {
    const bool says = !client.ended && client.waiting() < kEnough;
    const uint32_t wanted = (says ? uint32_t{EPOLLIN} : 0) | (client.waiting() > 0 ? uint32_t{EPOLLOUT} : 0);
    if (client.gone || wanted == client.asked) return;
    epoll_event event{.events = client.asked = wanted, .data = {.ptr = &client}};
    if (epoll_ctl(epoll_, EPOLL_CTL_MOD, client.fd, &event) != 0) client.gone = true;
}

void Control::tell(const std::string& what) {
    for (Client& client : clients_) {
        if (!client.events || client.gone) continue;
        if (client.waiting() > kMostWaiting) {
            client.gone = true;  // it sees by the end that it has missed something
            continue;
        }
        client.out += fmt::format("event {}\n", what);
        ask(client);
    }
    if (!serving_) bury();
}

void Control::bury() {
    std::erase_if(clients_, [](const Client& client) {
        if (client.gone) close(client.fd);
        return client.gone;
    });
}

}  // namespace umbuf::fwd
