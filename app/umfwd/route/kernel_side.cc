// SPDX-License-Identifier: BSD-2-Clause
// kernel_side.cc - the thread's loop.
#include "app/umfwd/route/kernel_side.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_ether.h>

#include "lib/mbuf/verbs.h"

namespace umbuf::fwd {

namespace {

// What epoll tells us of, besides ports.
constexpr uint64_t kNews = 1 << 16, kBell = kNews + 1, kJobs = kNews + 2;
constexpr int kAtOnce = 64;     // packets each way before the other way has its turn
constexpr int kTickMs = 100;    // nothing is overlooked for longer
constexpr uint32_t kHeadroom = 64;  // before a frame of the kernel, for what a device may need
constexpr rte_ether_addr kLanes{{0x02, 'u', 'm', 'f', 'w', 'd'}};  // who sends what had no Ethernet header

}  // namespace

Result<std::unique_ptr<KernelSide>> KernelSide::start(RouteTable& table, KernelDoor& door, const std::string& netns) {
    std::unique_ptr<KernelSide> side(new KernelSide(table, door));
    side->epoll_ = epoll_create1(EPOLL_CLOEXEC);
    side->wake_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (side->epoll_ < 0 || side->wake_ < 0) return Error{errno, fmt::format("no epoll: {}", std::strerror(errno))};
    side->watch(side->wake_, kJobs);
    side->watch(door.bell(), kBell);
    std::promise<Status> begun;
    std::future<Status> answer = begun.get_future();
    side->thread_ = std::thread([s = side.get(), netns, began = std::move(begun)]() mutable {
        Status status = s->begin(netns);
        const bool runs = status.ok();
        began.set_value(std::move(status));
        if (runs) s->run();
    });
    if (Status status = answer.get(); !status) return status.error();
    return side;
}

KernelSide::~KernelSide() {
    stop_.store(true, sync::relaxed);
    if (thread_.joinable()) {
        ask([] {});
        thread_.join();
    }
    for (const int raw : raw_)
        if (raw >= 0) close(raw);
    if (epoll_ >= 0) close(epoll_);
    if (wake_ >= 0) close(wake_);
}

Status KernelSide::begin(const std::string& netns) {
    if (!netns.empty())
        if (Status entered = enter_namespace(netns); !entered) return entered;
    raw_[0] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    raw_[1] = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);  // there may be no IPv6
    Result<std::unique_ptr<Mirror>> mirror = Mirror::open(table_);
    if (!mirror) return mirror.error();
    mirror_ = std::move(mirror).value();
    watch(mirror_->fd(), kNews);
    return {};
}

void KernelSide::watch(int fd, uint64_t what) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = what;
    const int e = epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    UM_ASSERT(e == 0);
}

// ---- what it is asked

void KernelSide::ask(std::function<void()> work) {
    {
        const std::lock_guard hold(jobs_lock_);
        jobs_.push_back(std::move(work));
    }
    const uint64_t one = 1;
    static_cast<void>(!write(wake_, &one, sizeof one));
}

void KernelSide::do_now(const std::function<void()>& work) {
    std::promise<void> done;
    ask([&work, &done] {
        work();
        done.set_value();
    });
    done.get_future().wait();
}

void KernelSide::run_jobs() {
    std::vector<std::function<void()>> jobs;
    {
        const std::lock_guard hold(jobs_lock_);
        jobs.swap(jobs_);
    }
    for (const auto& job : jobs) job();
}

Status KernelSide::add_port(uint16_t port, const std::string& name, const rte_ether_addr& mac, uint32_t mtu) {
    Status status;
    do_now([&] {
        Result<Tap> tap = Tap::open(name, mac, mtu);
        if (!tap) {
            status = tap.error();
            return;
        }
        mirror_->add_link(tap.value().ifindex(), port);
        watch(tap.value().fd(), port);
        taps_.emplace(port, std::move(tap).value());
        mirror_->follow();
    });
    return status;
}

void KernelSide::remove_port(uint16_t port) {
    do_now([this, port] {
        const auto tap = taps_.find(port);
        if (tap == taps_.end()) return;
        mirror_->remove_link(tap->second.ifindex());
        taps_.erase(tap);
        mirror_->follow();
    });
}

void KernelSide::carrier(uint16_t port, bool up) {
    ask([this, port, up] {
        if (const auto tap = taps_.find(port); tap != taps_.end()) tap->second.carrier(up);
    });
}

std::string KernelSide::tap_name(uint16_t port) const {
    const auto tap = taps_.find(port);
    return tap == taps_.end() ? "" : tap->second.name();
}

// ---- what it does

void KernelSide::run() {
    while (!stop_.load(sync::relaxed)) {
        const bool more = give_to_kernel();
        wait(!more && door_.may_sleep());
    }
    run_jobs();
    taps_.clear();
}

void KernelSide::wait(bool sleep) {
    epoll_event events[16];
    const int n = epoll_wait(epoll_, events, 16, sleep ? kTickMs : 0);
    door_.awake();
    for (int i = 0; i < n; ++i) {
        const uint64_t what = events[i].data.u64;
        if (what == kJobs) {
            uint64_t asked = 0;
            static_cast<void>(!read(wake_, &asked, sizeof asked));
            run_jobs();
        } else if (what == kNews) {
            mirror_->follow();
        } else if (const auto tap = taps_.find(static_cast<uint16_t>(what)); what < kNews && tap != taps_.end()) {
            take_from_kernel(tap->first, tap->second);
        }
    }
    if (rte_rdtsc() - asked_tsc_ < rte_get_tsc_hz()) return;
    asked_tsc_ = rte_rdtsc();
    mirror_->keep_alive();
    mirror_->follow();
}

// give_to_kernel - true: there may be more.
bool KernelSide::give_to_kernel() {
    Punt punt;
    for (int i = 0; i < kAtOnce; ++i) {
        if (!door_.take(punt)) return false;
        const auto tap = taps_.find(punt.packet->port);
        if (punt.own) send(punt);
        else if (tap == taps_.end()) counts_.refused.add(1);
        else give(punt, tap->second);
        rte_pktmbuf_free(punt.packet);
    }
    return true;
}

// read_bytes - of the packet, in buffer_; 0: it cannot be, and is counted.
uint32_t KernelSide::read_bytes(const Punt& punt) {
    const Mbuf* m = Mbuf::of(punt.packet);
    const uint32_t length = m->pkt_len();
    if (length != 0 && length <= buffer_.size() && m_copydata(m, 0, length, buffer_.data()) == 0) return length;
    counts_.unreadable.add(1);
    return 0;
}

// send - as if a program of this machine had: a packet from an address of ours would not be taken from a TAP.
void KernelSide::send(const Punt& punt) {
    const uint32_t length = read_bytes(punt);
    if (length == 0) return;
    const bool v6 = static_cast<uint32_t>(buffer_[0]) >> 4 == 6;
    sockaddr_in to4{};
    sockaddr_in6 to6{};
    to4.sin_family = AF_INET;
    to6.sin6_family = AF_INET6;
    if (length >= sizeof(uint32_t) + 16) std::memcpy(&to4.sin_addr, buffer_.data() + 16, sizeof to4.sin_addr);
    if (length >= 40) std::memcpy(&to6.sin6_addr, buffer_.data() + 24, sizeof to6.sin6_addr);
    const auto* to = v6 ? reinterpret_cast<const sockaddr*>(&to6) : reinterpret_cast<const sockaddr*>(&to4);
    const bool sent = raw_[v6] >= 0 && sendto(raw_[v6], buffer_.data(), length, 0, to, v6 ? sizeof to6 : sizeof to4) == static_cast<ssize_t>(length);
    (sent ? counts_.sent : counts_.unsent).add(1);
}

void KernelSide::give(const Punt& punt, Tap& tap) {
    const uint32_t length = read_bytes(punt);
    if (length == 0) return;
    rte_ether_hdr ether{};
    std::span<const std::byte> head;
    if (punt.ip) {
        rte_eth_macaddr_get(punt.packet->port, &ether.dst_addr);
        ether.src_addr = kLanes;
        ether.ether_type = rte_cpu_to_be_16(static_cast<uint32_t>(buffer_[0]) >> 4 == 6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
        head = {reinterpret_cast<const std::byte*>(&ether), sizeof ether};
    }
    (tap.write(head, {buffer_.data(), length}) ? counts_.given : counts_.refused).add(1);
}

void KernelSide::take_from_kernel(uint16_t port, Tap& tap) {
    for (int i = 0; i < kAtOnce; ++i) {
        const size_t n = tap.read(buffer_);
        if (n == 0) return;
        Mbuf* m = m_devget(buffer_.data(), static_cast<uint32_t>(n), kHeadroom);
        if (m == nullptr) {
            counts_.no_mbuf.add(1);
        } else if (door_.give(port, &m->rte)) {
            counts_.taken.add(1);
        } else {
            counts_.unwanted.add(1);
            m_freem(m);
        }
    }
}

}  // namespace umbuf::fwd
