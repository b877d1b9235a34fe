// SPDX-License-Identifier: BSD-2-Clause
// esp_fuzz.cc - libFuzzer against ESP's input, and its output on the way: any bytes are an SA, cuts and a packet.
//
//      what = 0   the bytes are what arrived, headers and all
//             1   the bytes are what was encrypted: payload, padding, next header, under a right ICV
//             2   the bytes are a packet to be sent, and then received
//             3   a right ESP packet, and the bytes are pairs (place, damage)
//      The upper bits of `what` leave checksums to the device, and let an allocation fail.
//
// Checked: a packet that is refused is as it was; one that is accepted is a whole chain; what was sent arrives; what
// was damaged does not; the zones are balanced. Sources are on the heap, as long as they are said to be and read only,
// so the address sanitizer sees who reads beyond. UM_REFCNT chooses the scheme.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "drivers/crypto/ipsec_mb/ipsec_mb.h"
#include "lib/ipsec/esp.h"
#include "lib/mbuf/verbs.h"
#include "lib/mbuf/verify.h"
#include "tests/fuzz/fuzz_eal.h"
#include "tests/fuzz/heap_packet.h"

namespace umbuf {
namespace {

std::unique_ptr<EspLane> lane;
uint32_t failing = 0;    // the allocation that fails in the next packet; 0: none
uint64_t offloads = 0;   // what the next packet sent leaves to the device

// ---- the SA and what is done under it

std::vector<Algorithm> algorithms() {
    std::vector<Algorithm> all;
    for (const CipherKind& c : cipher_kinds()) {
        if (c.icv != 0) all.push_back({&c, nullptr});
        for (const IntegrityKind& i : integrity_kinds())
            if (c.icv == 0) all.push_back({&c, &i});
    }
    return all;
}

struct Reader {
    const uint8_t* at;
    size_t left;
    uint8_t byte() { return left == 0 ? uint8_t{0} : (--left, *at++); }
    Bytes rest() {
        Bytes b(left);
        if (left > 0) std::memcpy(b.data(), at, left);
        left = 0;
        return b;
    }
};

SaTerms terms_from(Reader& in) {
    static const std::vector<Algorithm> all = algorithms();
    SaTerms t;
    t.spi = 0x1000;
    t.algorithm = all[in.byte() % all.size()];
    const uint8_t bits = in.byte();
    t.mode = (bits & 1) != 0 ? SaMode::transport : SaMode::tunnel;
    t.esn = (bits & 2) != 0;
    t.udp = (bits & 4) != 0;
    t.src.v6 = t.dst.v6 = (bits & 8) != 0;
    t.outer.decap_dscp = (bits & 16) != 0;
    t.outer.ecn = (bits & 32) == 0;
    t.window = (bits & 64) != 0 ? kReplayMin : kReplayDefault;
    return t;
}

std::unique_ptr<Sa> sa_of(const SaTerms& terms) {
    const Bytes key(terms.algorithm.key_bytes(), std::byte{0x42});
    return std::move(Sa::make(terms, key, ipsec_mb_engine, 0).value());
}

// header - of an outer packet around `payload` bytes of ESP.
Bytes header(const SaTerms& terms, size_t payload) {
    const bool v6 = terms.src.v6;
    Bytes h(outer_bytes(v6) + (terms.udp ? kUdpHeader : 0));
    const size_t behind = payload + h.size() - outer_bytes(v6);
    IpView inner{};
    inner.v6 = v6;
    write_outer(h.data(), terms.outer, terms.src, terms.dst, inner, terms.udp ? kProtoUdp : kProtoEsp, static_cast<uint32_t>(behind), 1);
    if (terms.udp) {
        store16(h.data() + outer_bytes(v6) + 2, terms.udp_dst);
        store16(h.data() + outer_bytes(v6) + 4, static_cast<uint32_t>(behind));
    }
    return h;
}

// sealed - an ESP packet, whatever the text is. Its length must fit the cipher.
Bytes sealed(const Sa& sa, Bytes text) {
    const uint32_t align = std::max<uint32_t>(4, sa.terms.algorithm.cipher->block), iv = sa.terms.algorithm.cipher->iv;
    while (text.size() % align != 0 || text.empty()) text.insert(text.begin(), std::byte{0x45});
    const Piece piece{text.data(), static_cast<uint32_t>(text.size())};
    Bytes to(text.size());
    const Room room{to.data(), piece.len};
    Job job{.key = sa.key(), .source = {&piece, 1}, .to = {&room, 1}, .whole = nullptr, .len = piece.len, .encrypt = true, .extended = sa.terms.esn};
    store32(job.head.spi, sa.terms.spi);
    store32(job.head.seq, 1);
    ipsec_mb_engine.run(lane->crypto(), &job, 1);
    Bytes esp = header(sa.terms, 8 + iv + to.size() + sa.terms.algorithm.icv());
    const std::byte* head = reinterpret_cast<const std::byte*>(&job.head);
    esp.insert(esp.end(), head, head + 8 + iv);
    esp.insert(esp.end(), to.begin(), to.end());
    esp.insert(esp.end(), job.icv, job.icv + sa.terms.algorithm.icv());
    return esp;
}

// input - one packet; what came out, or nothing.
bool input(Sa& sa, const Bytes& packet, std::span<const uint8_t> cuts, Bytes* out) {
    Mbuf* m = on_heap(packet, cuts);
    Mbuf* packets[] = {m};
    Sa* sas[] = {&sa};
    EspFate fate;
    alloc_faults_arm(failing);
    const bool ok = esp_input(*lane, sas, packets, &fate, 1) == 1;
    alloc_faults_arm(0);
    must(ok == fate.ok(), "a fate that is not the count");
    must(!m_sanity(packets[0]).has_value(), "a chain that is none");
    *out = bytes_of(packets[0]);
    if (!ok) must(packets[0] == m && *out == packet, "a refused packet is not as it was");
    if (ok) must(m_leadingspace(packets[0]) >= 14, "no room for a link header");
    m_freem(packets[0]);
    return ok;
}

bool output(Sa& sa, const Bytes& packet, std::span<const uint8_t> cuts, Bytes* out) {
    Mbuf* m = on_heap(packet, cuts);
    m->rte.ol_flags |= offloads;
    Mbuf* packets[] = {m};
    Sa* sas[] = {&sa};
    EspFate fate;
    alloc_faults_arm(failing);
    const bool ok = esp_output(*lane, sas, packets, &fate, 1) == 1;
    alloc_faults_arm(0);
    must(!m_sanity(packets[0]).has_value(), "a chain that is none");
    *out = bytes_of(packets[0]);
    if (!ok) must(packets[0] == m && *out == packet && sa.sequence.last() == 0, "a refused packet is not as it was");
    m_freem(packets[0]);
    return ok;
}

// no_nat - the packet's addresses are the original ones: its checksum comes out as it went in (RFC 3948, 3.1.2).
SaTerms no_nat(SaTerms terms, const Bytes& packet) {
    IpView ip{};
    if (!terms.udp || terms.mode != SaMode::transport || packet.empty()) return terms;
    if (!parse_ip(packet.data(), static_cast<uint32_t>(std::min<size_t>(packet.size(), kPeek)), static_cast<uint32_t>(packet.size()), &ip)) return terms;
    const size_t at = ip.v6 ? 8 : 12, size = ip.v6 ? 16 : 4;
    terms.oa.known = true;
    terms.oa.src.v6 = terms.oa.dst.v6 = ip.v6;
    std::memcpy(terms.oa.src.bytes.data(), packet.data() + at, size);
    std::memcpy(terms.oa.dst.bytes.data(), packet.data() + at + size, size);
    return terms;
}

// back - a packet through a tunnel, or transport: as it was, but for padding of the link behind it, and what
// RFC 6040 does to it, which is nothing here.
void there_and_back(const SaTerms& terms, const Bytes& packet, std::span<const uint8_t> cuts) {
    const auto sa = sa_of(terms), peer = sa_of(no_nat(terms, packet));
    Bytes esp, again;
    const uint32_t fails = failing;
    // What failed for want of memory has used no number, and its number is not taken for a replay.
    const auto twice = [fails](auto attempt) {
        failing = fails;
        const bool first = attempt();
        failing = 0;
        return first || (fails != 0 && attempt());
    };
    if (!twice([&] { return output(*sa, packet, cuts, &esp); })) return;
    must(twice([&] { return input(*peer, esp, cuts, &again); }), "what was sent does not arrive");
    IpView view{};
    must(parse_ip(packet.data(), static_cast<uint32_t>(std::min<size_t>(packet.size(), kPeek)), static_cast<uint32_t>(packet.size()), &view), "no IP packet was sent");
    Bytes expected(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(view.length));
    if (terms.mode == SaMode::transport && !view.v6) ipv4_checksum(expected.data(), view.header);  // it is made anew
    // Checksums that were left to the device may be anything before, and are not compared.
    must(offloads != 0 ? again.size() == expected.size() : again == expected, "what was sent arrives as something else");
    must(!input(*peer, esp, cuts, &again), "a replay was delivered");
}

void damaged(const SaTerms& terms, Reader& in, std::span<const uint8_t> cuts) {
    const auto sa = sa_of(terms);
    Bytes text = header(SaTerms{.src = {.v6 = false, .bytes = {}}, .dst = {.v6 = false, .bytes = {}}}, 24);
    text.resize(text.size() + 24, std::byte{0x33});  // with its trailer 48 bytes, which is right for every cipher
    for (const int b : {1, 2, 2}) text.push_back(static_cast<std::byte>(b));
    text.push_back(std::byte{kProtoIpv4});
    const Bytes right = sealed(*sa, text);
    Bytes esp = right, out;
    const size_t lead = header(terms, 0).size();
    while (in.left >= 2) {
        const size_t at = lead + in.byte() % (esp.size() - lead);
        esp[at] ^= std::byte{in.byte()};
    }
    const bool same = esp == right;
    const bool delivered = input(*sa, esp, cuts, &out);
    if (!same) must(!delivered, "a damaged packet was delivered");
    if (same && terms.mode == SaMode::tunnel) must(delivered, "an undamaged packet was not");
}

}  // namespace
}  // namespace umbuf

extern "C" {

// EAL keeps what it allocated. What ESP allocates is mbufs, and those are counted.
const char* __asan_default_options();
const char* __asan_default_options() { return "detect_leaks=0"; }

int LLVMFuzzerInitialize(int* argc, char*** argv);
int LLVMFuzzerInitialize(int*, char*** argv) {
    umbuf::ZoneConfig config;
    config.mbufs = 2048;
    config.proxies = 1024;
    fuzz_eal_start((*argv)[0], "esp_fuzz", config);
    umbuf::lane = std::move(umbuf::EspLane::make(umbuf::ipsec_mb_engine, 0).value());
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace umbuf;
    if (size < 8) return 0;
    Reader in{data, size};
    const uint8_t first = in.byte(), what = first % 4;
    failing = what == 3 ? 0 : first >> 5;
    constexpr uint64_t kOffloads[] = {0, RTE_MBUF_F_TX_UDP_CKSUM, RTE_MBUF_F_TX_TCP_CKSUM, RTE_MBUF_F_TX_IP_CKSUM};
    offloads = kOffloads[first >> 2 & 3];
    const SaTerms terms = terms_from(in);
    const uint8_t cuts[] = {in.byte(), in.byte(), in.byte(), uint8_t{31}};
    Bytes out;
    switch (what) {
    case 0: (void)input(*sa_of(terms), in.rest(), cuts, &out); break;
    case 1: {
        const auto sa = sa_of(terms);
        (void)input(*sa, sealed(*sa, in.rest()), cuts, &out);
        break;
    }
    case 2: there_and_back(terms, in.rest(), cuts); break;
    default: damaged(terms, in, cuts); break;
    }
    for (const Unbalanced& u : zones_unbalanced()) {
        std::fprintf(stderr, "esp_fuzz: zone %s holds %u\n", u.zone.c_str(), u.in_use);
        std::abort();
    }
    return 0;
}

}  // extern "C"
