// SPDX-License-Identifier: BSD-2-Clause
// recvfile.cc - mode recvfile: compares what mode sendfile sends with the same file, byte by byte, and answers.
//
// A packet says where its bytes belong (FileHeader), so each is judged by itself: lost ones, and the order, are
// nothing to this mode. Of each burst the last one that is right is answered: the head comes back, addresses
// exchanged, with kFileTold in its flags. By that the sender knows how far the file has come (--sendfile-window).
//
// The file is mapped and read once when the mode begins, so that no lane waits for a disk.
#include "app/umfwd/engines/recvfile.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "app/umfwd/engines/engines.h"
#include "app/umfwd/engines/sendfile.h"
#include "app/umfwd/packet/burst.h"
#include "app/umfwd/packet/frame.h"
#include "app/umfwd/settings.h"
#include "lib/mbuf/verbs.h"
#include "lib/page/input_file.h"

namespace umbuf::fwd {
namespace {

// Contents - of the file as it is when it is mapped.
class Contents {
  public:
    static Result<Contents> map(const std::string& path) {
        Result<std::unique_ptr<InputFile>> file = InputFile::open(path);
        if (!file) return Error{file.error().code, "--sendfile=" + file.error().text};
        const uint64_t size = file.value()->size();
        if (size == 0) return Error{ENODATA, fmt::format("--sendfile={}: is empty: there is nothing to compare with", path)};
        void* at = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file.value()->fd(), 0);
        if (at == MAP_FAILED) return Error{errno, fmt::format("--sendfile={}: cannot be mapped: {}", path, std::strerror(errno))};
        return Contents(static_cast<const std::byte*>(at), size);
    }
    Contents() = default;
    Contents(Contents&& other) noexcept : at_(std::exchange(other.at_, nullptr)), size_(other.size_) {}
    Contents& operator=(Contents&& other) noexcept {
        std::swap(at_, other.at_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Contents() {
        if (at_ != nullptr) munmap(const_cast<std::byte*>(at_), size_);
    }
    [[nodiscard]] const std::byte* at(uint64_t offset) const noexcept { return at_ + offset; }
    [[nodiscard]] bool has(uint64_t offset, uint32_t n) const noexcept { return offset <= size_ && n <= size_ - offset; }

  private:
    Contents(const std::byte* at, uint64_t size) : at_(at), size_(size) {}
    const std::byte* at_ = nullptr;
    uint64_t size_ = 0;
};

// Locks:  I immutable after begin   s the stream's lcore
struct State final : EngineState {
    Contents file;                                         // [I]
    rte_be16_t port = 0;                                   // [I] UDP, of what comes
    sync::Counter packets, corrupt, bytes, told, untold;   // [s]
};

Status begin(Stream& stream) {
    auto state = std::make_unique<State>();
    Result<Contents> file = Contents::map(stream.settings->sendfile);
    if (!file) return file.error();
    state->file = std::move(file).value();
    state->port = rte_cpu_to_be_16(stream.settings->tx_udp_dst);
    stream.state = std::move(state);
    return {};
}

// Head - all before the file's bytes, each part by itself.
struct Head {
    rte_ether_hdr ether;
    rte_ipv4_hdr ip;
    rte_udp_hdr udp;
    FileHeader file;

    void read(const void* from) noexcept {
        walk([&](void* part, size_t at, size_t n) { std::memcpy(part, static_cast<const std::byte*>(from) + at, n); });
    }
    void write(void* to) noexcept {
        walk([&](void* part, size_t at, size_t n) { std::memcpy(static_cast<std::byte*>(to) + at, part, n); });
    }

  private:
    template <class F>
    void walk(F each) noexcept {
        each(&ether, 0, sizeof ether);
        each(&ip, sizeof ether, sizeof ip);
        each(&udp, sizeof ether + sizeof ip, sizeof udp);
        each(&file, sizeof ether + sizeof ip + sizeof udp, sizeof file);
    }
};

enum class Verdict : uint8_t { no_file, malformed, wrong, right };

// same_bytes - the rest of the frame, a piece at a time.
bool same_bytes(const rte_mbuf* p, const std::byte* expected, uint32_t n) noexcept {
    constexpr uint32_t kPiece = 512;
    std::byte copy[kPiece];
    for (uint32_t done = 0; done < n; done += kPiece) {
        const uint32_t some = std::min(kPiece, n - done);
        const void* there = bytes_at(p, kFileHead + done, some, copy);
        if (there == nullptr || std::memcmp(there, expected + done, some) != 0) return false;
    }
    return true;
}

Verdict judge(const State& state, const rte_mbuf* p, Head& head) noexcept {
    const Frame frame = parse(p);
    if (frame.error != nullptr) return Verdict::malformed;
    const bool like = frame.l3 == L3::ipv4 && frame.l4 == L4::udp && !frame.fragment && frame.l4_off() == kFileHead - sizeof(FileHeader) - sizeof(rte_udp_hdr);
    if (!like || frame.l4_len < sizeof(rte_udp_hdr) + sizeof(FileHeader) || !is_readable(p)) return Verdict::no_file;
    std::byte copy[kFileHead];
    const void* there = bytes_at(p, 0, sizeof copy, copy);
    if (there == nullptr) return Verdict::malformed;
    head.read(there);
    if (head.udp.dst_port != state.port) return Verdict::no_file;
    const uint64_t offset = rte_be_to_cpu_64(head.file.offset);
    const uint32_t n = rte_be_to_cpu_32(head.file.length);
    if (n != frame.l4_len - sizeof(rte_udp_hdr) - sizeof(FileHeader) || !state.file.has(offset, n)) return Verdict::wrong;
    return same_bytes(p, state.file.at(offset), n) ? Verdict::right : Verdict::wrong;
}

// turn - the head as an answer: as long as itself, without a UDP checksum (RFC 768).
void turn(Head& head) noexcept {
    std::swap(head.ether.src_addr, head.ether.dst_addr);
    const rte_be32_t from = head.ip.src_addr;
    head.ip.src_addr = head.ip.dst_addr;
    head.ip.dst_addr = from;
    const rte_be16_t port = head.udp.src_port;
    head.udp.src_port = head.udp.dst_port;
    head.udp.dst_port = port;
    head.ip.total_length = rte_cpu_to_be_16(static_cast<uint16_t>(kFileHead - sizeof head.ether));
    head.ip.time_to_live = 64;
    head.ip.hdr_checksum = 0;
    head.ip.hdr_checksum = rte_ipv4_cksum(&head.ip);
    head.udp.dgram_len = rte_cpu_to_be_16(sizeof(rte_udp_hdr) + sizeof(FileHeader));
    head.udp.dgram_cksum = 0;
    head.file.flags |= rte_cpu_to_be_32(kFileTold);
}

void answer(Stream& stream, State& state, Head head) noexcept {
    rte_mbuf* p = nullptr;
    if (!alloc_bulk(*stream.tx_port->config().rx_zone, &p, 1)) return state.untold.add(1);
    turn(head);
    head.write(rte_pktmbuf_mtod(p, void*));
    p->data_len = kFileHead;
    p->pkt_len = kFileHead;
    stream.stats.made.add(1);
    state.told.add(transmit(stream, *stream.tx_port, &p, 1));
}

uint32_t burst(Stream& stream) noexcept {
    auto& state = static_cast<State&>(*stream.state);
    rte_mbuf* packets[kMaxBurst];
    const uint16_t n = receive(stream, packets);
    if (n == 0) return 0;
    Head head, last;
    uint32_t right = 0;
    for (uint16_t i = 0; i < std::min(kAhead, n); ++i) prefetch_header(packets[i]);
    for (uint16_t i = 0; i < n; ++i) {
        if (i + kAhead < n) prefetch_header(packets[i + kAhead]);
        const Verdict verdict = judge(state, packets[i], head);
        if (verdict < Verdict::wrong) {
            stream.stats.drop(verdict == Verdict::malformed ? Drop::malformed : Drop::not_handled, 1);
            continue;
        }
        stream.stats.drop(Drop::file_done, 1);
        state.packets.add(1);
        if (verdict == Verdict::wrong) {
            state.corrupt.add(1);
            continue;
        }
        state.bytes.add(rte_be_to_cpu_32(head.file.length));
        last = head;
        ++right;
    }
    rte_pktmbuf_free_bulk(packets, n);
    if (right > 0) answer(stream, state, last);
    return n;
}

}  // namespace

RecvReport recv_report(const Stream& stream) {
    const auto* state = dynamic_cast<const State*>(stream.state.get());
    if (state == nullptr) return {};
    return {.used = true,
            .packets = state->packets.read(),
            .corrupt = state->corrupt.read(),
            .bytes = state->bytes.read(),
            .told = state->told.read(),
            .untold = state->untold.read()};
}

const Engine recvfile_engine = {
    .name = "recvfile",
    .summary = "compare what mode sendfile sends with --sendfile, and tell the sender",
    .shares = false,
    .sources = false,
    .begin = begin,
    .burst = burst,
    .end = nullptr,
};

}  // namespace umbuf::fwd
