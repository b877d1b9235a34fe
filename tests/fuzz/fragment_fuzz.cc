// SPDX-License-Identifier: BSD-2-Clause
// fragment_fuzz.cc - libFuzzer against reassembly, cutting, and ICMP's "too big": any bytes are a run of packets.
//
// Each packet is either raw bytes, or a fragment whose payload says its place. Checked: a source is not written; what is
// held stays within its limits, and every fragment is accounted for (G3); a packet that is put together is a whole one,
// with every byte in its place; what is cut is put together again; an answer is about nothing that must not be answered,
// and is itself never answered; the zones are balanced.
#include <rte_ip.h>

#include "lib/ipsec/fit.h"
#include "lib/ipsec/ip.h"
#include "lib/ipsec/reassembly.h"
#include "lib/ipsec/too_big.h"
#include "lib/mbuf/verify.h"
#include "tests/fuzz/fuzz_eal.h"
#include "tests/fuzz/heap_packet.h"

namespace umbuf {
namespace {

constexpr ReassemblyLimits kLimits{.packets = 4, .fragments = 16, .mbufs = 40, .seconds = 3};

struct Reader {
    const uint8_t* at;
    size_t left;
    uint8_t byte() { return left == 0 ? uint8_t{0} : (--left, *at++); }
};

std::byte byte_of(uint32_t id, size_t place) { return static_cast<std::byte>(place * 7 + place / 256 + id); }

// fragment_of - place and length in units of 8 bytes; `odd` bytes more, which only a last one may have.
Bytes fragment_of(bool v6, uint32_t id, uint32_t place, uint32_t units, uint32_t odd, bool more) {
    const uint32_t n = units * 8 + odd, head = v6 ? kIpv6Header + 8 : kIpv4Header;
    Bytes b(head + n);
    if (v6) {
        store32(b.data(), 6u << 28);
        store16(b.data() + 4, 8 + n);
        b[6] = std::byte{44};
        b[kIpv6Header] = std::byte{kProtoEsp};
        store16(b.data() + kIpv6Header + 2, place * 8 | (more ? 1u : 0u));
        store32(b.data() + kIpv6Header + 4, id);
    } else {
        store16(b.data(), 0x4500);
        store16(b.data() + 2, head + n);
        store16(b.data() + 4, id);
        store16(b.data() + 6, place | (more ? 0x2000u : 0u));
        b[9] = std::byte{kProtoEsp};
        ipv4_checksum(b.data(), kIpv4Header);
    }
    for (uint32_t i = 0; i < n; ++i) b[head + i] = byte_of(id, place * 8 + i);
    return b;
}

uint64_t accounted(const Reassembly& r) {
    const ReassemblyCounters& c = r.counters;
    return r.held_fragments() + c.whole.read() + c.merged.read() + c.twice.read() + c.overlapping.read() + c.malformed.read() + c.no_room.read() +
           c.timed_out.read();
}

IpView view_of(const Bytes& b) {
    IpView ip{};
    must(parse_ip(b.data(), static_cast<uint32_t>(std::min<size_t>(b.size(), kPeek)), static_cast<uint32_t>(b.size()), &ip), "what came out is no packet");
    return ip;
}

void check_whole(const Bytes& b) {
    const IpView ip = view_of(b);
    must(ip.length == b.size() && !ip.fragment && ip.proto == kProtoEsp, "a whole packet that is none");
    if (!ip.v6) must(rte_raw_cksum(b.data(), ip.header) == UINT16_MAX, "a wrong checksum");
    const uint32_t id = static_cast<uint32_t>(b[ip.header]);  // of place 0
    for (size_t i = ip.header; i < b.size(); ++i) must(b[i] == byte_of(id, i - ip.header), "a byte in another's place");
}

// talk - what is said about a packet, and what is heard of it.
void talk(const Mbuf* m) {
    TooBig what;
    (void)read_too_big(m, 4500, &what);
    const Bytes bytes = bytes_of(m);
    if (bytes.empty()) return;
    const IpAddress us{.v6 = static_cast<uint8_t>(bytes[0]) >> 4 == 6, .bytes = {1, 2, 3}};
    Mbuf* answer = make_too_big(m, 1400, us);
    must(answer == nullptr || may_answer(m), "an answer to what must not be answered");
    if (answer == nullptr) return;
    must(!m_sanity(answer).has_value() && !may_answer(answer), "an answer to the answer");
    must(view_of(bytes_of(answer)).length == answer->pkt_len(), "an answer that is no packet");
    m_freem(answer);
}

// cut - and put together again. The packet is consumed.
void cut(Mbuf* m, uint32_t most) {
    const Bytes was = bytes_of(m);
    Mbuf* list = cut_before(m, most);
    if (list == nullptr) {
        must(bytes_of(m) == was, "what was not cut is not as it was");
        return m_freem(m);
    }
    auto table = std::move(Reassembly::make({.packets = 2, .fragments = 2048, .mbufs = 60000}, 1).value());
    const bool part = view_of(was).fragment;
    for (Mbuf* next = nullptr; list != nullptr; list = next) {
        next = list->nextpkt;
        list->nextpkt = nullptr;
        must(list->pkt_len() <= most && !m_sanity(list).has_value(), "a piece that is too long, or no chain");
        Mbuf* whole = table->add(list, 0);
        must(next == nullptr || whole == nullptr, "it is whole too soon");
        if (whole == nullptr) continue;
        const Bytes is = bytes_of(whole);
        must(!part && is.size() == view_of(was).length, "cut and put together, it is of another length");
        m_freem(whole);
    }
}

void run(Reader& in) {
    const uint8_t first = in.byte();
    const uint32_t failing = first >> 5, most = 68 + in.byte() * 4u;
    const uint8_t cuts[] = {in.byte(), uint8_t{24}, in.byte()};
    auto table = std::move(Reassembly::make(kLimits, first).value());
    uint64_t now = 0, given = 0;
    bool raw = false;
    for (uint32_t packets = 0; in.left > 0 && packets < 64; ++packets) {
        const uint8_t how = in.byte();
        now += how >> 7;
        Bytes bytes;
        if ((how & 1) != 0) {
            bytes.resize(std::min<size_t>(in.byte(), in.left));
            for (std::byte& b : bytes) b = std::byte{in.byte()};
            raw = true;
        } else {
            const uint8_t place = in.byte(), n = in.byte();
            bytes = fragment_of((how & 2) != 0, how >> 2 & 3, (how & 16) != 0 ? place * 32u : place, n & 31, n >> 5, (how & 32) != 0);
        }
        Mbuf* m = on_heap(bytes, cuts);
        talk(m);
        const uint64_t before = accounted(*table);
        alloc_faults_arm(failing == packets % 8 ? failing : 0);
        Mbuf* whole = table->add(m, now);
        alloc_faults_arm(0);
        if (whole != m || accounted(*table) != before) ++given;
        must(accounted(*table) == given, "a fragment is not accounted for");
        must(table->held_packets() <= kLimits.packets && table->held_fragments() <= kLimits.fragments && table->held_mbufs() <= kLimits.mbufs, "too much is held");
        if (whole == nullptr) continue;
        must(!m_sanity(whole).has_value(), "a chain that is none");
        if (whole != m && !raw) check_whole(bytes_of(whole));
        talk(whole);
        cut(whole, most);
    }
}

}  // namespace
}  // namespace umbuf

extern "C" {

// EAL keeps what it allocated. What is looked at here is mbufs, and those are counted.
const char* __asan_default_options();
const char* __asan_default_options() { return "detect_leaks=0"; }

int LLVMFuzzerInitialize(int* argc, char*** argv);
int LLVMFuzzerInitialize(int*, char*** argv) {
    umbuf::ZoneConfig config;
    config.mbufs = 4096;
    config.proxies = 2048;
    fuzz_eal_start((*argv)[0], "fragment_fuzz", config);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    umbuf::Reader in{data, size};
    umbuf::run(in);
    for (const umbuf::Unbalanced& u : umbuf::zones_unbalanced()) {
        std::fprintf(stderr, "fragment_fuzz: zone %s holds %u\n", u.zone.c_str(), u.in_use);
        std::abort();
    }
    return 0;
}

}  // extern "C"
