// SPDX-License-Identifier: BSD-2-Clause
// page_catalogue_test.cc - bugs that others had with unmapped and shared storage, one test each. The
// numbers are those of docs/unmapped.md; others of them are where their subject is tested.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_memory.h>

#include "tests/unit/page_verbs.h"
#include "tests/unit/program.h"

namespace umbuf::test {
namespace {

// The arena is the test's own to open.
class ArenaTest : public PageTest {
  protected:
    void SetUp() override {}
};

uint32_t pages_in_use() {
    refs_flush();
    const PageCounters c = page_counters();
    return c.in_use[0] + c.in_use[1] + c.in_use[2];
}

// ---- R02: sums (FreeBSD D28187: checksums of IPsec over pages; PR 268400, D40598: in6_cksum_partial
// with odd lengths across pieces; DPDK 22.11 rte_raw_cksum_mbuf: carries lost behind odd segments).

uint16_t flat_sum(const std::string& s) {
    uint64_t sum = 0;
    for (size_t i = 0; i < s.size(); ++i) sum += uint64_t{static_cast<uint8_t>(s[i])} << (i % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return __builtin_bswap16(static_cast<uint16_t>(sum));
}

uint32_t flat_crc32c(const std::string& s) {
    uint32_t crc = ~0U;
    for (const char c : s) {
        crc ^= static_cast<uint8_t>(c);
        for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ (crc % 2 != 0 ? 0x82f63b78U : 0U);
    }
    return ~crc;
}

// 1 byte inside, 5 of a page at an odd offset, 3 inside, 3 of another page.
constexpr uint32_t kOdd = 12;
std::string odd_bytes() { return "\xff\xfe\x80" + pattern(kOdd - 3, 77); }
Mbuf* odd_chain() {
    const std::string s = odd_bytes();
    Mbuf* window = filled(PageClass::cache, "odd" + s.substr(1, 5));
    m_adj(window, 3);
    Mbuf* m = inlined(s.substr(0, 1));
    m_add(m, window);
    m_add(m, inlined(s.substr(6, 3)));
    m_add(m, filled(PageClass::anonymous, s.substr(9)));
    m_demote(m, true, 0);
    return m;
}

// cut_at - the chain, cut wherever the mask has a bit, and linked again.
Mbuf* cut_at(Mbuf* m, uint32_t mask) {
    for (uint32_t at = kOdd - 1; at > 0; --at) {
        if ((mask >> at & 1) == 0) continue;
        Mbuf* rest = m_split(m, at, M_NOWAIT);
        EXPECT_NE(rest, nullptr);
        m_add(m, rest);
    }
    return m;
}

TEST_F(PageTest, R02_SumsAreTheSameHoweverTheChainIsCut) {
    const std::string bytes = odd_bytes();
    const uint32_t crc_of_all = flat_crc32c(bytes);
    EXPECT_EQ(flat_crc32c("123456789"), 0xe3069283U);  // RFC 3720's check value
    for (uint32_t mask = 0; mask < 1U << kOdd; mask += 2) {
        Mbuf* m = cut_at(odd_chain(), mask);
        uint16_t sum = 0;
        uint32_t crc = 0;
        ASSERT_EQ(in_sum(m, 0, kOdd, &sum), 0);
        ASSERT_EQ(sum, flat_sum(bytes)) << "cuts " << mask;
        ASSERT_EQ(crc32c(m, 0, kOdd, &crc), 0);
        ASSERT_EQ(crc, crc_of_all) << "cuts " << mask;
        for (uint32_t off = 0; mask % 128 == 0 && off <= kOdd; ++off)
            for (uint32_t n = 0; n <= kOdd - off; ++n) {
                ASSERT_EQ(in_sum(m, off, n, &sum), 0);
                ASSERT_EQ(sum, flat_sum(bytes.substr(off, n))) << "cuts " << mask << ", " << off << "+" << n;
                ASSERT_EQ(crc32c(m, off, n, &crc), 0);
                ASSERT_EQ(crc, flat_crc32c(bytes.substr(off, n))) << "cuts " << mask << ", " << off << "+" << n;
            }
        m_freem(m);
    }
}

TEST_F(PageTest, R02_PseudoHeadersOfBothFamilies) {
    const std::string data = pattern(9001, 5);
    Mbuf* m = headed("h", filled(PageClass::cache, data));
    for (const uint32_t size : {8U, 32U}) {
        const std::string addresses = pattern(size, 9);
        std::string flat = addresses;
        for (int i = size == 8 ? 1 : 3; i >= 0; --i) flat += static_cast<char>(data.size() >> (8 * i) & 0xff);
        if (size == 32) flat += std::string(3, '\0');  // RFC 8200 8.1; IPv4's is zero, protocol, length
        flat += size == 8 ? std::string("\0\x11", 2) : std::string("\x11", 1);
        uint16_t sum = 0;
        ASSERT_EQ(in_sum(m, 1, 9001, &sum), 0);
        EXPECT_EQ(add_sums(sum, in_pseudo(addresses.data(), size, 17, 9001)), add_sums(flat_sum(flat), flat_sum(data)));
        uint16_t cksum = 0;
        ASSERT_EQ(in_cksum(m, 1, 9001, &cksum), 0);
        EXPECT_EQ(static_cast<uint16_t>(~cksum), sum);
    }
    m_freem(m);
}

// ---- R06: storage that is not ours alone never says that it may be written (CVE-2026-43284, -43500:
// pages from splice and from UDP encapsulation were decrypted in place, because they were not cloned).

char lent_by_dpdk[512];

Mbuf* attached_by_dpdk() {
    static rte_mbuf_ext_shared_info info;
    info.free_cb = [](void*, void*) {};
    rte_mbuf_ext_refcnt_set(&info, 1);
    rte_mbuf* r = rte_pktmbuf_alloc(rx_zone()->pool);
    rte_pktmbuf_attach_extbuf(r, lent_by_dpdk, RTE_BAD_IOVA, sizeof lent_by_dpdk, &info);
    r->data_off = 0;
    r->data_len = 500;
    r->pkt_len = 500;
    return Mbuf::of(r);
}

TEST_F(PageTest, R06_WhateverMadeAnMbufItDoesNotSayWritableForOthers) {
    static std::string memory;
    memory = pattern(500);
    std::memcpy(lent_by_dpdk, memory.data(), 500);
    Mbuf* lent = m_gethdr(M_NOWAIT, MT_DATA);
    ASSERT_EQ(m_extadd(lent, memory.data(), 500, [](void*, uint32_t, void*) {}, nullptr, M_RDONLY), 0);
    lent->set_len(500);
    lent->rte.pkt_len = 500;
    Mbuf* source = received(pattern(500));
    Mbuf* clone = Mbuf::of(rte_pktmbuf_clone(&source->rte, rx_zone()->pool));
    Mbuf* split = clustered(pattern(1000));
    Mbuf* half = m_split(split, 500, M_NOWAIT);
    Mbuf* page = filled(PageClass::cache, pattern(500));
    Mbuf* window = filled(PageClass::cache, pattern(500));
    ASSERT_EQ(mb_unmapped_to_ext(&window, M_NOWAIT, MappedFor::caller), 0);
    Mbuf* own = filled(PageClass::anonymous, pattern(500));
    Mbuf* shared = m_copym(own, 0, 500, M_NOWAIT);
    Mbuf* attached = attached_by_dpdk();
    for (Mbuf* m : {lent, source, clone, attached, split, half, page, window, own, shared}) {
        EXPECT_FALSE(m_changeable(m)) << bytes_of(m).size();
        EXPECT_FALSE(m_writable(m));
    }
    // Uncloned, and held once, the page of a file is copied all the same.
    const std::string was = page_bytes(page_of(page));
    const Page* const file = page_of(page);
    Mbuf* packet = headed("h", page);
    ASSERT_EQ(m_unshare(&packet, M_NOWAIT), 0);
    for (Mbuf* m = packet; m != nullptr; m = m->next()) {
        EXPECT_TRUE(m_writable(m));
        std::memset(m->data(), 'X', m->len());
    }
    EXPECT_EQ(page_bytes(file), was);
    for (Mbuf* m : {lent, source, clone, attached, split, half, packet, window, own, shared}) m_freem(m);
    EXPECT_EQ(std::memcmp(lent_by_dpdk, pattern(500).data(), 500), 0);
}

// ---- R10 (DPDK: rte_pktmbuf_append and _prepend look at the room alone, and scribble on what others see).
TEST_F(PageTest, R10_DpdkFindsNoRoomInWindowsOrPages) {
    Mbuf* cluster = clustered(pattern(500));
    Mbuf* copy = m_copym(cluster, 100, 100, M_NOWAIT);
    Mbuf* page = filled(PageClass::anonymous, pattern(500));
    m_adj(page, 100);
    m_adj(page, -100);
    Mbuf* window = filled(PageClass::cache, pattern(500));
    Mbuf* piece = m_copym(window, 100, 100, M_NOWAIT);
    ASSERT_EQ(mb_unmapped_to_ext(&piece, M_NOWAIT, MappedFor::caller), 0);
    for (Mbuf* m : {copy, piece}) {
        EXPECT_EQ(rte_pktmbuf_append(&m->rte, 1), nullptr);
        EXPECT_EQ(rte_pktmbuf_prepend(&m->rte, 1), nullptr);
    }
    const std::string was = page_bytes(page_of(page));
    EXPECT_EQ(m_append(page, 5, "12345"), 1);
    page = m_prepend(page, 5, M_NOWAIT);
    std::memcpy(page->data(), "54321", 5);
    EXPECT_EQ(bytes_of(page), "54321" + pattern(500).substr(100, 300) + "12345");
    EXPECT_EQ(page_bytes(page_of(page->next())), was);
    for (Mbuf* m : {cluster, copy, page, window, piece}) m_freem(m);
}

// ---- R12 (FreeBSD D28428, cxgb: the address of the first page was taken for the whole buffer; DPDK bnxt
// cb49ce36 and others). Here a device's addresses jump after every fifth frame.
rte_iova_t jumping(const void* p) {
    const auto frame = reinterpret_cast<uintptr_t>(p) / kFrame;
    return reinterpret_cast<uintptr_t>(p) + frame / 5 * (uint64_t{1} << 20);
}

TEST_F(ArenaTest, R12_EveryPageIsOneRunForADevice) {
    ArenaConfig c = config();
    c.iova_of = jumping;
    open(c);
    EXPECT_GT(arena_left_out(), 0U);
    EXPECT_EQ(page_counters().total[0], 0U) << "16 frames in one run, with jumps after 5?";
    EXPECT_EQ(page_counters().total[1] + page_counters().total[0] + page_counters().total[2] + arena_left_out(), 100U);
    // What a device reads: by its addresses alone.
    std::map<rte_iova_t, const std::byte*> memory;
    for (uintptr_t at = ghost::base; at < ghost::base + ghost::size; at += kFrame)
        memory[jumping(reinterpret_cast<const void*>(at))] = reinterpret_cast<const std::byte*>(at - ghost::base + ghost::alias);
    Mbuf* m = inlined("head");
    std::string bytes = "head";
    for (uint32_t i = 0;; ++i) {
        const std::string part = pattern(16384, i);
        Mbuf* page = filled(PageClass::anonymous, part);
        if (page == nullptr) break;
        m_add(m, page);
        bytes += part;
    }
    EXPECT_GT(bytes.size(), 16384U * 10);
    std::vector<SglEntry> sgl(m->rte.nb_segs);
    ASSERT_EQ(m_sgl(m, 4, static_cast<uint32_t>(bytes.size()) - 4, sgl.data(), m->rte.nb_segs), sgl.size() - 1);
    std::string seen;
    for (size_t i = 0; i + 1 < sgl.size(); ++i)
        for (uint32_t off = 0; off < sgl[i].len; ++off) {
            const auto frame = std::prev(memory.upper_bound(sgl[i].iova + off));
            const uint64_t inside = sgl[i].iova + off - frame->first;
            ASSERT_LT(inside, uint64_t{kFrame}) << "no memory of ours is at " << sgl[i].iova + off;
            seen += static_cast<char>(frame->second[inside]);
        }
    EXPECT_EQ(seen, bytes.substr(4));
    m_freem(m);
}

// ---- R14 (DPDK cnxk e6aa5408: double free of an external buffer in the middle of a packet; dpaa2
// 24687124: only the first mbuf was looked at). All kinds at all places, freed in every order by DPDK.
uint32_t foreign_frees;

Mbuf* segment(int kind, Mbuf** source) {
    switch (kind) {
    case 0: return inlined(pattern(50));
    case 1: {  // indirect
        *source = received(pattern(50));
        return Mbuf::of(rte_pktmbuf_clone(&(*source)->rte, rx_zone()->pool));
    }
    case 2: {
        static char memory[64];
        Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
        EXPECT_EQ(m_extadd(m, memory, sizeof memory, [](void*, uint32_t, void*) { ++foreign_frees; }, nullptr, 0), 0);
        m->set_len(50);
        m->rte.pkt_len = 50;
        return m;
    }
    case 3: return clustered(pattern(300));
    default: return filled(PageClass::cache, pattern(50));
    }
}

TEST_F(PageTest, R14_EveryStorageIsFreedOnceWhereverItWas) {
    std::array<uint32_t, 3> order = {0, 1, 2};
    do {
        for (int first = 0; first < 4; ++first)
            for (int second = 0; second < 5; ++second)
                for (int third = 0; third < 5; ++third) {
                    Mbuf* sources[3] = {};
                    std::array<Mbuf*, 3> at = {segment(first, &sources[0]), segment(second, &sources[1]), segment(third, &sources[2])};
                    m_add(at[0], at[1]);
                    m_add(at[0], at[2]);
                    foreign_frees = 0;
                    for (const uint32_t i : order) rte_pktmbuf_free_seg(&at[i]->rte);
                    for (Mbuf* source : sources) m_freem(source);
                    EXPECT_EQ(foreign_frees, static_cast<uint32_t>((first == 2) + (second == 2) + (third == 2)));
                    ASSERT_EQ(pages_in_use(), 0U) << first << second << third;
                }
    } while (std::next_permutation(order.begin(), order.end()));
}

// ---- R15 (DPDK vhost fa5054c4: the count of an external buffer lay in an mbuf that was freed before it).
TEST_F(PageTest, R15_TheOriginalGoesBeforeItsClone) {
    Mbuf* m = headed("h", filled(PageClass::cache, pattern(3000)));
    const Page* page = page_of(m->next());
    Mbuf* clone = Mbuf::of(rte_pktmbuf_clone(&m->rte, rx_zone()->pool));
    m_freem(m);
    for (int i = 0; i < 600; ++i) m_freem(inlined("the header is used again, if it can be"));
    EXPECT_EQ(bytes_of(clone), "h" + pattern(3000));
    EXPECT_EQ(page->owner, std::string("test"));
    EXPECT_EQ(pages_in_use(), 1U);
    m_freem(clone);
    EXPECT_EQ(pages_in_use(), 0U);
    EXPECT_EQ(page->owner, nullptr);
}

// ---- R16 (DPDK mlx4 f4acfd41, mlx5 8340392e: the device knew the header's pool, not the data's).
TEST_F(PageTest, R16_ADeviceKnowsThePagesThemselves) {
    for (const PageClass cls : {PageClass::cache, PageClass::anonymous, PageClass::device}) {
        Mbuf* m = filled(cls, pattern(4000));
        m_adj(m, 7);
        SglEntry sgl;
        ASSERT_EQ(m_sgl(m, 11, 100, &sgl, 1), 1U);
        EXPECT_EQ(sgl.iova, rte_mem_virt2iova(m->data() + 11)) << "the page's, not the header's";
        EXPECT_EQ(sgl.iova, rte_pktmbuf_iova(&m->rte) + 11);
        const rte_memseg_list* list = rte_mem_virt2memseg_list(m->data());
        ASSERT_NE(list, nullptr);
        EXPECT_EQ(list->external, 0U) << "external memory is not mapped for devices that are plugged in";
        m_freem(m);
    }
    static char not_eal[100];  // storage that no device knows says so
    Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
    ASSERT_EQ(m_extadd(m, not_eal, sizeof not_eal, [](void*, uint32_t, void*) {}, nullptr, 0), 0);
    m->set_len(100);
    SglEntry sgl;
    ASSERT_EQ(m_sgl(m, 0, 100, &sgl, 1), 1U);
    EXPECT_EQ(sgl.iova, RTE_BAD_IOVA);
    m->rte.pkt_len = 100;
    m_freem(m);
}

// ---- R17 (DPDK 15a74163: rte_vlan_insert wrote into shared mbufs; nbl 8e138e87: into their headroom).
TEST_F(PageTest, R17_HeadersAreWrittenInPrivateOnly) {
    for (const bool from_driver : {true, false}) {
        const std::string frame = pattern(RTE_ETHER_HDR_LEN + 50, 4);
        Mbuf* other = from_driver ? received(frame) : clustered(frame);
        m_cat(other, filled(PageClass::cache, pattern(2000)));
        Mbuf* m = m_copypacket(other, M_NOWAIT);
        rte_mbuf* r = &m->rte;
        EXPECT_EQ(rte_vlan_insert(&r), -EINVAL);
        r = &other->rte;
        if (from_driver) {
            EXPECT_EQ(rte_vlan_insert(&r), -EINVAL) << "a received packet with copies";
        }
        // TTL, NAT, the pseudo header's sum: any write of a header.
        EXPECT_EQ(m_copyback(m, 22, 1, "t", M_NOWAIT), EROFS);
        EXPECT_EQ(m_copyback(m, 100, 1, "t", M_NOWAIT), EOPNOTSUPP);
        EXPECT_EQ(bytes_of(m), frame + pattern(2000));
        m = m_copyback_cow(m, 22, 1, "t", M_NOWAIT);
        ASSERT_NE(m, nullptr);
        EXPECT_EQ(bytes_of(m).substr(0, 24), frame.substr(0, 22) + "t" + frame.substr(23, 1));
        m = m_copyup(m, RTE_ETHER_HDR_LEN, 64);
        ASSERT_NE(m, nullptr);
        m->rte.vlan_tci = 5;
        r = &m->rte;
        ASSERT_EQ(rte_vlan_insert(&r), 0) << "of a private header";
        verify(m);
        EXPECT_EQ(bytes_of(other), frame + pattern(2000));
        m_freem(m);
        m_freem(other);
    }
}

// ---- R18 (DPDK d6eb2473: the last buffer of a region reached beyond its end).
TEST_F(ArenaTest, R18_NoPageReachesBeyondItsClass) {
    ArenaConfig c;
    c.cache = {33, 65536};      // 2 MB and a page
    c.anonymous = {513, 4096};  // the same
    c.device = {1, 4096};
    c.pool_cache = 0;
    open(c);
    std::vector<Mbuf*> all;
    std::map<uintptr_t, uintptr_t> taken;
    const uint32_t sizes[kPageClasses] = {65535, 4096, 4096};
    const uint32_t counts[kPageClasses] = {33, 513, 1};
    for (size_t cls = 0; cls < kPageClasses; ++cls) {
        uint32_t n = 0;
        for (Mbuf* m; (m = mb_alloc_ext_pgs(static_cast<PageClass>(cls), sizes[cls], M_NOWAIT, "test")) != nullptr; ++n) {
            const Page* page = page_of(m);
            const auto begin = reinterpret_cast<uintptr_t>(page->ctl.base);
            taken[begin] = begin + page->ctl.size;
            EXPECT_GE(begin, ghost::base);
            EXPECT_LE(begin + page->ctl.size, ghost::base + ghost::size);
            if (page->cls != PageClass::device) {
                EXPECT_EQ(page_bytes(page).size(), page->ctl.size);  // to its last byte
            }
            if (page->cls == PageClass::anonymous) {
                const WriteWindow out(m, 0, m->len());
                std::memset(out.bytes(), 'a', m->len());
            }
            all.push_back(m);
        }
        EXPECT_EQ(n, counts[cls]);
    }
    uintptr_t end = 0;
    for (const auto& [begin, its_end] : taken) {
        EXPECT_GE(begin, end) << "two pages overlap";
        end = its_end;
    }
    EXPECT_EQ(taken.size(), all.size());
    for (Mbuf* m : all) m_freem(m);
}

// ---- R19 (wireguard-freebsd 84ef9b6d: m_defrag was expected to give one buffer).
TEST_F(PageTest, R19_HowManyMbufsThereAreIsSaid) {
    std::mt19937_64 random(seed());
    for (int round = 0; round < 200; ++round) {
        Mbuf* m = inlined("h");
        std::string bytes = "h";
        const auto n = static_cast<uint32_t>(random() % 12);
        for (uint32_t i = 0; i < n; ++i) {
            const std::string part = pattern(1 + random() % 9000, i);
            m_add(m, random() % 2 == 0 ? clustered(part) : filled(random() % 2 == 0 ? PageClass::cache : PageClass::anonymous, part));
            bytes += part;
        }
        m = m_defrag(m, M_NOWAIT);
        ASSERT_NE(m, nullptr);
        uint32_t count = 0;
        for (const Mbuf* s = m; s != nullptr; s = s->next()) ++count;
        EXPECT_EQ(m->rte.nb_segs, count);
        EXPECT_EQ(count > 1, bytes.size() > 16384) << "one, up to 16 KB; then as many as it says";
        EXPECT_EQ(bytes_of(m), bytes);
        verify(m);
        m_freem(m);
    }
}

// ---- R20 (FreeBSD 73fdbfb9, D44371: netmap's mbufs, with storage of its own, were chained and demoted by
// the stack, and freed twice, or with an owner that was gone).
TEST_F(PageTest, R20_AnOwnerIsCalledOnceWhateverBecameOfTheMbuf) {
    struct Owner {
        uint32_t calls = 0;
        std::string memory = pattern(400);
    };
    Owner owners[3];
    Mbuf* m[3];
    for (int i = 0; i < 3; ++i) {
        m[i] = m_gethdr(M_NOWAIT, MT_DATA);
        ASSERT_EQ(m_extadd(m[i], owners[i].memory.data(), 400, [](void* buf, uint32_t size, void* arg) {
            auto* owner = static_cast<Owner*>(arg);
            EXPECT_EQ(buf, owner->memory.data());
            EXPECT_EQ(size, 400U);
            ++owner->calls;
        }, &owners[i], 0), 0);
        m[i]->set_len(400);
        m[i]->rte.pkt_len = 400;
    }
    m_demote(m[1], true, 0);
    m_cat(m[0], m[1]);
    m_catpkt(m[0], m[2]);
    m_add(m[0], filled(PageClass::cache, pattern(100)));
    Mbuf* rest = m_split(m[0], 600, M_NOWAIT);
    Mbuf* copy = m_copypacket(rest, M_NOWAIT);
    Mbuf* clone = Mbuf::of(rte_pktmbuf_clone(&rest->rte, rx_zone()->pool));
    m_freem(m[0]);
    m_freem(rest);
    EXPECT_EQ(bytes_of(copy), bytes_of(clone));
    refs_flush();
    EXPECT_EQ(owners[0].calls, 1U);
    EXPECT_EQ(owners[1].calls + owners[2].calls, 0U);
    m_freem(copy);
    rte_pktmbuf_free(&clone->rte);
    refs_flush();
    for (const Owner& owner : owners) EXPECT_EQ(owner.calls, 1U);
}

// ---- R22 (FreeBSD sendfile_iodone: an I/O error, or the peer gone, while pages are not ready, from
// another thread; mb_free_notready). The filler holds a copy of what it fills.
TEST_F(PageTest, R22_AnAbortFreesWhatWasReadyAndWhatWasNotOnce) {
    for (const bool peer_leaves_first : {true, false}) {
        for (uint32_t failing = 0; failing < 3; ++failing) {
            Mbuf* m = inlined("h");
            std::vector<Mbuf*> fillers;
            for (int i = 0; i < 3; ++i) {
                Mbuf* page = mb_alloc_ext_pgs(PageClass::cache, 1000, M_NOWAIT, "test");
                fillers.push_back(m_copym(page, 0, 1000, M_NOWAIT));
                m_cat(m, page);
            }
            ASSERT_EQ(pages_in_use(), 3U);
            EXPECT_EQ(m_notready(m), EBUSY);
            if (peer_leaves_first) mb_free_notready(std::exchange(m, nullptr));
            std::thread io([&fillers, failing] {
                for (uint32_t i = 0; i < 3; ++i) {
                    i == failing ? page_failed(page_of(fillers[i])) : page_ready(page_of(fillers[i]));
                    m_freem(fillers[i]);
                }
                refs_flush();
            });
            io.join();
            if (peer_leaves_first) {
                EXPECT_EQ(pages_in_use(), 0U);
                continue;
            }
            EXPECT_EQ(m_notready(m), EIO);
            EXPECT_EQ(pages_in_use(), 3U);
            mb_free_notready(m);
            EXPECT_EQ(pages_in_use(), 0U);
        }
    }
}

TEST_F(PageTest, R22_WhatIsNotReadyHoldsUpWhatComesAfterIt) {
    Mbuf* m = inlined("h");
    std::vector<Page*> pages;
    for (int i = 0; i < 3; ++i) {
        m_cat(m, mb_alloc_ext_pgs(PageClass::cache, 1000, M_NOWAIT, "test"));
        pages.push_back(page_of(m_last(m)));
    }
    for (const uint32_t i : {2U, 0U, 1U}) {  // as they arrive
        EXPECT_EQ(m_notready(m), EBUSY);
        Mbuf* front = m_copym(m, 0, 1001, M_NOWAIT);
        EXPECT_EQ(m_notready(front), i == 2 || i == 0 ? EBUSY : 0);
        m_freem(front);
        page_ready(pages[i]);
    }
    EXPECT_EQ(m_notready(m), 0);
    for (const Mbuf* s = m; s != nullptr; s = s->next()) EXPECT_EQ(s->flags() & M_NOTREADY, 0U);
    m_freem(m);
}

// ---- R23 (FreeBSD mb_unmapped_compress: a few bytes shall not pin a page, nor take one from its holders).
TEST_F(PageTest, R23_CompressGivesThePageBackOrSaysWhoHasIt) {
    for (const PageClass cls : {PageClass::cache, PageClass::anonymous}) {
        Mbuf* m = headed("h", filled(cls, pattern(kMLen)));
        Mbuf* x = m->next();
        Mbuf* other = m_copym(x, 10, 10, M_NOWAIT);
        const std::string was = look(m);
        EXPECT_EQ(mb_unmapped_compress(x), EBUSY);
        EXPECT_EQ(look(m), was);
        m_freem(other);
        refs_flush();
        EXPECT_EQ(mb_unmapped_compress(x), 0);
        EXPECT_EQ(pages_in_use(), 0U);
        EXPECT_EQ(bytes_of(m), "h" + pattern(kMLen));
        EXPECT_TRUE(m_writable(x));
        verify(m);
        m_freem(m);
        m = filled(cls, pattern(kMLen + 1));
        EXPECT_EQ(mb_unmapped_compress(m), EMSGSIZE);
        m_freem(m);
    }
}

// ---- R24 (FreeBSD _mb_unmapped_to_ext: when it failed at the n-th page it had to take references that it
// would drop again, and mb_unmapped_to_ext freed the rest of the chain).
TEST_F(PageTest, R24_MappingFailsAtAnyPageAndNothingHappened) {
    for (uint32_t i = 0; i < 5; ++i)
        for (const int error : {EBUSY, EIO, EOPNOTSUPP}) {
            Mbuf* m = inlined("h");
            for (uint32_t k = 0; k < 5; ++k) {
                Mbuf* bad = nullptr;
                if (k == i) bad = error == EOPNOTSUPP ? filled(PageClass::device, pattern(100)) : mb_alloc_ext_pgs(PageClass::cache, 100, M_NOWAIT, "test");
                if (k == i && error == EIO) page_failed(page_of(bad));
                m_cat(m, bad != nullptr ? bad : filled(PageClass::cache, pattern(100, k)));
            }
            const std::string was = look(m);
            EXPECT_EQ(mb_unmapped_to_ext(&m, M_NOWAIT, MappedFor::caller), error);
            EXPECT_EQ(mb_unmapped_copy(&m, M_NOWAIT, CopiedFor::verb), error);
            EXPECT_EQ(look(m), was);
            EXPECT_EQ(pages_in_use(), 5U);
            m_freem(m);
            EXPECT_EQ(pages_in_use(), 0U);
        }
}

TEST_F(StrictPageTest, R24_MemoryEndsAtAnyPageAndNothingHappened) {
    Mbuf* m = inlined("h");
    for (uint32_t k = 0; k < 5; ++k) m_cat(m, filled(PageClass::cache, pattern(3000, k)));
    const std::string was = look(m);
    for (uint32_t n = 1; n <= 10; ++n) {  // an mbuf and a cluster for each
        alloc_faults_arm(n);
        EXPECT_EQ(mb_unmapped_to_ext(&m, M_NOWAIT, MappedFor::caller), ENOBUFS) << n;
        EXPECT_EQ(look(m), was);
    }
    alloc_faults_arm(11);
    EXPECT_EQ(mb_unmapped_to_ext(&m, M_NOWAIT, MappedFor::caller), 0);
    EXPECT_EQ(pages_in_use(), 0U);
    m_freem(m);
}

// ---- R35 (FreeBSD: the bpf_filter interpreter, m_dup, m_copyback and m_pullup followed mtod() of pages).
TEST_F(PageTest, R35_FiltersCopiesAndPullupsGoThroughWindowsOrRefuse) {
    std::mt19937_64 random(seed() + 35);
    const std::string bytes = pattern(14) + pattern(3000, 1) + pattern(50, 2) + pattern(5000, 3);
    Mbuf* m = inlined(pattern(14));
    m_cat(m, filled(PageClass::cache, pattern(3000, 1)));
    m_cat(m, inlined(pattern(50, 2)));
    m_cat(m, filled(PageClass::anonymous, pattern(5000, 3)));
    for (int round = 0; round < 2000; ++round) {  // a filter's load: a byte, a half, a word, anywhere
        const auto off = static_cast<uint32_t>(random() % (bytes.size() - 4));
        const uint32_t n = 1U << random() % 3;
        char value[4];
        ASSERT_EQ(m_copydata(m, off, n, value), 0);
        ASSERT_EQ(std::string(value, n), bytes.substr(off, n)) << off;
    }
    std::string snapped(4000, '\0');
    uint32_t hidden = 1;
    EXPECT_EQ(m_snap(m, 4000, snapped.data(), &hidden), 4000U);
    EXPECT_EQ(hidden, 0U);
    EXPECT_EQ(snapped, bytes.substr(0, 4000));
    Mbuf* deep = m_dup(m, M_NOWAIT);
    EXPECT_EQ(bytes_of(deep), bytes);
    EXPECT_FALSE(m_has_unmapped(deep));
    m_freem(deep);
    const std::string was = look(m);
    for (const uint32_t off : {14U, 100U, 3013U, 3064U, 8000U}) {
        EXPECT_EQ(m_copyback(m, off, 1, "x", M_NOWAIT), EOPNOTSUPP) << off;
        EXPECT_FALSE(m_ensure_contig(&m, off + 1));
        EXPECT_EQ(rte_errno, EOPNOTSUPP);
    }
    EXPECT_EQ(look(m), was);
    EXPECT_TRUE(m_ensure_contig(&m, 14));
    EXPECT_EQ(m_copyback(m, 3014, 1, "x", M_NOWAIT), 0) << "between the pages";
    EXPECT_EQ(m_pullup(m, 15), nullptr);
    EXPECT_EQ(pages_in_use(), 0U);
}

// ---- the list itself

std::string text_of(const std::filesystem::path& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

TEST(Catalogue, EveryNumberHasATestOrIsPending) {
    std::string tests;
    for (const auto& file : std::filesystem::directory_iterator(umbuf::test::source_root + "/tests/unit"))
        if (file.path().extension() == ".cc") tests += text_of(file.path());
    const std::string text = text_of(umbuf::test::source_root + "/docs/unmapped.md");
    const std::regex line("\\| (R\\d\\d) \\| [^|]+ \\| (`(R\\d\\d)_`|pending: [^|]+) \\|");
    std::set<std::string> listed;
    for (std::sregex_iterator i(text.begin(), text.end(), line), none; i != none; ++i) {
        listed.insert((*i)[1].str());
        if (!(*i)[3].matched) continue;
        EXPECT_EQ((*i)[1].str(), (*i)[3].str());
        EXPECT_NE(tests.find(", " + (*i)[1].str() + "_"), std::string::npos) << (*i)[1].str() << " has no test";
    }
    EXPECT_EQ(listed.size(), 35U);
}

}  // namespace
}  // namespace umbuf::test
