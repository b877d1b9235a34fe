// SPDX-License-Identifier: BSD-2-Clause
// screen.cc - the terminal, by the few sequences that every terminal of this century knows. A library
// for the rest would be one more thing to have, for an alternate screen, a home and two erasures.
#include "app/umstat/screen.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "app/umstat/interval.h"
#include "app/umstat/run.h"

namespace umbuf::umstat {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
volatile sig_atomic_t ended = 0, stopped = 0;

void on_signal(int number) {
    if (number == SIGTSTP) stopped = 1;
    else if (number != SIGWINCH && number != SIGCONT) ended = 1;
}

void put(const char* text, size_t n) {
    while (n > 0) {
        const ssize_t written = ::write(STDOUT_FILENO, text, n);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;  // it is gone: poll() will say so
        text += written;
        n -= static_cast<size_t>(written);
    }
}
void put(const std::string& text) { put(text.data(), text.size()); }

// Terminal - ours while this lives: another page, no echo, each key at once.
class Terminal {
  public:
    Terminal() {
        had_settings_ = tcgetattr(STDIN_FILENO, &before_) == 0;
        struct sigaction ours {};
        ours.sa_handler = on_signal;  // no SA_RESTART: poll() is to return
        for (const int number : kSignals) sigaction(number, &ours, nullptr);
        take();
    }
    ~Terminal() {
        give_back();
        for (const int number : kSignals) signal(number, SIG_DFL);
    }
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    // stop - as ^Z is meant: the shell has its terminal meanwhile.
    void stop() {
        give_back();
        raise(SIGSTOP);
        take();
    }

  private:
    void take() {
        if (had_settings_) {
            termios raw = before_;
            raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
            raw.c_cc[VMIN] = 1;
            raw.c_cc[VTIME] = 0;
            tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        }
        put("\x1b[?1049h\x1b[?25l");
    }
    void give_back() {
        put("\x1b[?25h\x1b[?1049l");
        if (had_settings_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    }
    termios before_{};
    bool had_settings_ = false;
};

void size_of_terminal(Picture& picture) {
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) size = {24, 80, 0, 0};
    picture.rows = size.ws_row;
    picture.columns = size.ws_col;
}

void paint(Picture& picture) {
    size_of_terminal(picture);
    std::string out = "\x1b[H";
    for (const char c : picture_text(picture)) out += c == '\n' ? std::string("\x1b[K\r\n") : std::string(1, c);
    put(out + "\x1b[K\x1b[J");
}

// key - what a key asks for. False: to end.
bool key(char c, Picture& picture) {
    switch (c) {
    case 'q': case 'Q': case 4: return false;
    case 'a': picture.view.reset(); break;
    case 'm': picture.view = View::memory; break;
    case 'i': picture.view = View::interfaces; break;
    case 's': picture.view = View::protocols; break;
    case 'd': picture.view = View::drops; break;
    case 'o': picture.view = View::owners; break;
    default: break;
    }
    return true;
}

// keys - until the ticker is due. False: to end.
bool keys(Terminal& terminal, const Ticker& ticker, Picture& picture) {
    bool listens = true;
    for (;;) {
        if (stopped != 0) {
            stopped = 0;
            terminal.stop();
            paint(picture);
        }
        if (ended != 0) return false;
        pollfd fds{listens ? STDIN_FILENO : -1, POLLIN, 0};
        const int ready = poll(&fds, 1, ticker.left_ms());
        if (ready == 0) return true;
        if (ready < 0) {
            paint(picture);  // its size has changed, or a signal is to be looked at
            continue;
        }
        char c = 0;
        if (::read(STDIN_FILENO, &c, 1) != 1) {
            if ((fds.revents & POLLHUP) != 0) return false;
            listens = false;
            continue;
        }
        if (!key(c, picture)) return false;
        paint(picture);
    }
}

}  // namespace

bool is_screen() {
    const char* const term = std::getenv("TERM");
    return isatty(STDOUT_FILENO) == 1 && isatty(STDIN_FILENO) == 1 && term != nullptr && std::strcmp(term, "dumb") != 0;
}

Status follow(const Options& options, Source& source) {
    const char* const no_color = std::getenv("NO_COLOR");
    Picture picture;
    picture.colours = no_color == nullptr || *no_color == '\0';
    picture.options = options;
    picture.path = source.path();
    if (!options.views.empty()) picture.view = options.views[0];
    if (Status first = source.sample(picture.now); !first) return first;
    picture.since = picture.now;
    picture.seconds = 0;
    Terminal terminal;
    Ticker ticker(options.every_s > 0 ? options.every_s : 1);
    for (uint64_t done = 1;; ++done) {
        paint(picture);
        if (done == options.count || !keys(terminal, ticker, picture)) return {};
        ticker.next();
        stat::Sample before = std::move(picture.now);
        if (Status next = source.sample(picture.now); !next) return next;
        picture.since = interval(before, picture.now);
        picture.seconds = seconds_between(before, picture.now);
    }
}

}  // namespace umbuf::umstat
