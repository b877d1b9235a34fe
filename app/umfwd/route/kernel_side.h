// SPDX-License-Identifier: BSD-2-Clause
// kernel_side.h - the thread that stands between the router's lcores and the kernel: TAPs, and the mirror.
//
// It alone reads and writes the TAPs, and changes the RouteTable. Everything else that it does, it is asked to do (do_now),
// so that nothing here has a lock but the list of what it is asked.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "app/umfwd/route/door.h"
#include "app/umfwd/route/mirror.h"
#include "app/umfwd/route/tap.h"
#include "lib/base/sync.h"

namespace umbuf::fwd {

struct KernelCounts {
    sync::Counter given, refused, unreadable;   // to the kernel: written; the TAP is down; pages without bytes
    sync::Counter sent, unsent;                 // our own packets: the kernel sends them, or it does not
    sync::Counter taken, unwanted, no_mbuf;     // from the kernel: on their way; nobody reads the port; no buffers
};

class KernelSide {
  public:
    // start - the thread is in network namespace `netns` (empty: ours). Error: it could not be entered, or rtnetlink.
    static Result<std::unique_ptr<KernelSide>> start(RouteTable& table, KernelDoor& door, const std::string& netns);
    ~KernelSide();  // the TAPs go
    KernelSide(const KernelSide&) = delete;
    KernelSide& operator=(const KernelSide&) = delete;

    // ---- control thread
    // add_port - its TAP; what the kernel knows of it is in the table when this returns.
    [[nodiscard]] Status add_port(uint16_t port, const std::string& name, const rte_ether_addr& mac, uint32_t mtu);
    void remove_port(uint16_t port);
    void carrier(uint16_t port, bool up);  // does not wait
    // do_now - on the thread, and wait.
    void do_now(const std::function<void()>& work);
    [[nodiscard]] const KernelCounts& counts() const noexcept { return counts_; }
    // ---- on the thread, in do_now()
    void follow() { mirror_->follow(); }  // what the kernel was told a moment ago is in the table then
    [[nodiscard]] const Mirror& mirror() const noexcept { return *mirror_; }
    [[nodiscard]] std::string tap_name(uint16_t port) const;  // empty: none

  private:
    KernelSide(RouteTable& table, KernelDoor& door) : table_(table), door_(door), buffer_(kLongestFrame) {}
    [[nodiscard]] Status begin(const std::string& netns);
    void ask(std::function<void()> work);
    void run();
    void run_jobs();
    [[nodiscard]] bool give_to_kernel();
    void give(const Punt& punt, Tap& tap);
    void send(const Punt& punt);
    [[nodiscard]] uint32_t read_bytes(const Punt& punt);
    void take_from_kernel(uint16_t port, Tap& tap);
    void watch(int fd, uint64_t what) const;
    void wait(bool sleep);

    static constexpr size_t kLongestFrame = 65536 + 64;
    // Locks:  I immutable   t the thread   j jobs_lock_   a atomic
    RouteTable& table_;                      // [I]
    KernelDoor& door_;                       // [I]
    KernelCounts counts_;                    // [a] written by the thread
    std::unique_ptr<Mirror> mirror_;         // [t]
    std::map<uint16_t, Tap> taps_;           // [t]
    std::vector<std::byte> buffer_;          // [t]
    uint64_t asked_tsc_ = 0;                 // [t] when neighbours were last kept alive
    int epoll_ = -1, wake_ = -1;             // [I]
    int raw_[2] = {-1, -1};                  // [t] sockets of IPv4 and IPv6, to send what is our own
    std::mutex jobs_lock_;
    std::vector<std::function<void()>> jobs_;  // [j]
    sync::atomic<bool> stop_{false};         // [a]
    std::thread thread_;                     // [I]
};

}  // namespace umbuf::fwd
