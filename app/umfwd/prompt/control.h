// SPDX-License-Identifier: BSD-2-Clause
// control.h - the prompt's commands from a UNIX socket, for programs (docs/gateway-control.md).
//
// A client's lines are executed in their order by the thread that serves, between two waits; nothing here waits.
// What a client does not take is kept for it, within limits, and its lines wait meanwhile.
//
// Thread: control.
#pragma once
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "app/umfwd/prompt/prompt.h"
#include "lib/base/result.h"
#include "lib/ipsec/secret.h"

namespace umbuf::fwd {

class Control {
  public:
    static constexpr size_t kMostClients = 16, kMostLine = 4096;
    static constexpr size_t kMostWaiting = size_t{4} << 20;  // bytes, of one who is told events

    // open - listen at `path`, with rights 0600. `forwarder`: whom commands are for. Error: the path is too long, is
    // a file or another's socket, or what the system says.
    [[nodiscard]] static Result<std::unique_ptr<Control>> open(const std::string& path, Forwarder* forwarder);
    ~Control();  // the socket's name is removed
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;

    // fd - readable when serve() has something to do.
    [[nodiscard]] int fd() const noexcept { return epoll_; }
    // serve - what is there now: never waits. Called by a command that it runs, it does nothing.
    void serve();
    // tell - a line `event WHAT` for those who want events.
    void tell(const std::string& what);
    // quit - a client has asked for the end.
    [[nodiscard]] bool quit() const noexcept { return session_.quit; }
    [[nodiscard]] Session& session() noexcept { return session_; }  // for tests: another book, another clock

  private:
    struct Client {
        int fd = -1;
        bool events = false, ended = false, gone = false;
        Secret in;            // kMostLine + 1 bytes: there may be keys in it
        size_t in_size = 0;
        std::string out;      // from out_at on it waits to be sent
        size_t out_at = 0;
        uint32_t asked = 0;   // what epoll was told
        [[nodiscard]] size_t waiting() const noexcept { return out.size() - out_at; }
        [[nodiscard]] bool has_line() const noexcept;
    };

    Control(std::string path, Forwarder* forwarder);
    [[nodiscard]] Status listen();
    void accept_all();
    void attend(Client& client);
    void receive(Client& client);
    void run_lines(Client& client);
    void run(Client& client, std::string line);
    void send(Client& client);
    void ask(Client& client);
    void bury();

    const std::string path_;
    int epoll_ = -1, listener_ = -1;
    uint64_t inode_ = 0;           // of our socket's name
    std::list<Client> clients_;
    std::string answer_;           // of the command that runs
    bool serving_ = false;
    Session session_;
    Prompt prompt_;
};

}  // namespace umbuf::fwd
