// SPDX-License-Identifier: BSD-2-Clause
// page_test.cc - pages: what the CPU may do with each class, who holds them, and what a touch ends in.
#include <rte_errno.h>
#include <rte_memory.h>

#include "lib/page/page_stats.h"
#include "tests/unit/page_fixture.h"

namespace umbuf::test {
namespace {

// What the optimiser must not take away.
uint8_t look(const void* p) {
    const uint8_t value = *static_cast<const volatile uint8_t*>(p);
    return value;
}
void poke(void* p) { *static_cast<volatile uint8_t*>(p) = 1; }

TEST_F(PageTest, MtodOfAnUnmappedMbufFaultsAndTheFaultNamesThePage) {
    Mbuf* m = filled(PageClass::anonymous, pattern(5000));
    ASSERT_NE(m, nullptr);
    EXPECT_TRUE(m_unmapped(m));
    EXPECT_EQ(m->flags() & (M_EXT | M_EXTPG | M_RDONLY), uint32_t{M_EXT | M_EXTPG});
    const auto fault = fault_of([m] { look(m->data() + 4999); });
    ASSERT_TRUE(fault.has_value());
    EXPECT_EQ(fault->kind, FaultKind::ghost);
    EXPECT_EQ(fault->page, page_of(m));
    EXPECT_EQ(fault->address, m->data() + 4999);
    EXPECT_EQ(bytes_of(m), pattern(5000));
    m_freem(m);
}

TEST_F(PageTest, ADeviceStillKnowsTheAddress) {
    Mbuf* m = filled(PageClass::anonymous, pattern(100));
    EXPECT_EQ(rte_mbuf_iova_get(&m->rte), rte_mem_virt2iova(m->data()));
    EXPECT_NE(rte_mem_virt2memseg(m->data(), nullptr), nullptr);
    m_freem(m);
}

TEST_F(PageTest, AWriteThroughTheReadWindowFaults) {
    for (const PageClass cls : {PageClass::cache, PageClass::anonymous}) {
        Mbuf* m = filled(cls, pattern(64));
        PageMap map;
        ASSERT_EQ(page_map(m, 0, 64, PageProt::read, map), 0);
        const auto fault = fault_of([&] { poke(map.bytes()); });
        ASSERT_TRUE(fault.has_value()) << name_of(cls);
        EXPECT_EQ(fault->kind, FaultKind::read_only);
        EXPECT_EQ(fault->page, page_of(m));
        map.close();
        EXPECT_EQ(bytes_of(m), pattern(64));
        m_freem(m);
    }
}

TEST_F(PageTest, OnlyAnAnonymousPageWithOneHolderIsWritten) {
    Mbuf* cache = filled(PageClass::cache, pattern(100));
    Mbuf* own = filled(PageClass::anonymous, pattern(100));
    Mbuf* device = filled(PageClass::device, pattern(100));
    PageMap map;
    EXPECT_EQ(page_map(cache, 0, 100, PageProt::write, map), EROFS);
    EXPECT_EQ(page_map(device, 0, 100, PageProt::write, map), EOPNOTSUPP);
    EXPECT_EQ(page_map(device, 0, 100, PageProt::read, map), EOPNOTSUPP);
    EXPECT_EQ(page_map(own, 0, 100, PageProt::write, map), 0);
    std::memset(map.bytes(), 'w', 100);
    map.close();
    EXPECT_EQ(bytes_of(own), std::string(100, 'w'));
    Mbuf* copy = m_copym(own, 10, 20, M_NOWAIT);
    ASSERT_NE(copy, nullptr);
    EXPECT_TRUE(m_unmapped(copy));
    verify(copy);
    EXPECT_EQ(page_map(own, 0, 100, PageProt::write, map), EROFS);
    EXPECT_EQ(page_map(copy, 0, 20, PageProt::write, map), EROFS);
    m_freem(own);
    refs_flush();
    EXPECT_EQ(page_map(copy, 0, 20, PageProt::write, map), 0);  // alone now
    map.close();
    m_freem(copy);
    m_freem(cache);
    m_freem(device);
}

TEST_F(PageTest, NoPageIsWritableAtMtod) {
    for (const PageClass cls : {PageClass::cache, PageClass::anonymous, PageClass::device}) {
        Mbuf* m = filled(cls, pattern(100));
        EXPECT_FALSE(m_writable(m)) << name_of(cls);
        EXPECT_EQ(m_changeable(m), cls == PageClass::anonymous);
        EXPECT_EQ(m_leadingspace(m), 0U);
        EXPECT_EQ(m_trailingspace(m), 0U);
        m_adj(m, 10);
        m_adj(m, -10);
        EXPECT_EQ(m_leadingspace(m) + m_trailingspace(m), 0U) << "room of a page is nobody's";
        m_freem(m);
    }
}

TEST_F(PageTest, APageThatIsNotThereYetIsRefusedAndOneThatNeverComesToo) {
    Mbuf* m = mb_alloc_ext_pgs(PageClass::cache, 1000, M_NOWAIT, "test");
    Page* page = page_of(m);
    std::string to(1000, 'x');
    EXPECT_NE(m->flags() & M_NOTREADY, 0U);
    EXPECT_EQ(m_notready(m), EBUSY);
    EXPECT_EQ(m_copydata(m, 0, 1000, to.data()), EBUSY);
    EXPECT_EQ(to, std::string(1000, 'x'));
    page_failed(page);
    EXPECT_EQ(m_notready(m), EIO);
    EXPECT_EQ(m_copydata(m, 0, 1000, to.data()), EIO);
    m_freem(m);
    m = filled(PageClass::cache, pattern(1000));
    EXPECT_EQ(m_notready(m), 0);
    EXPECT_EQ(m->flags() & M_NOTREADY, 0U);
    m_freem(m);
}

// R11 (rte_mbuf_ext_shared_info.refcnt has 16 bits: 65,535 clones wrapped it and freed a page in use).
TEST_F(PageTest, R11_SeventyThousandHoldersOfOnePage) {
    if (is_native()) GTEST_SKIP() << "native counts with DPDK's 16 bits and refuses beyond 64,511";
    const uint32_t kHolders = 70000;
    Mbuf* m = filled(PageClass::cache, pattern(2000));
    const Page* page = page_of(m);
    std::vector<Mbuf*> held;
    for (uint32_t i = 0; i < kHolders; ++i) {
        Mbuf* copy = m_copym(m, i % 2000, 1, M_NOWAIT);
        ASSERT_NE(copy, nullptr) << i;
        held.push_back(copy);
    }
    EXPECT_EQ(page_counters().in_use[0], 1U);
    m_freem(m);
    for (Mbuf* copy : held) {
        EXPECT_EQ(page->owner, std::string("test"));
        m_freem(copy);
    }
    refs_flush();
    EXPECT_EQ(page_counters().in_use[0], 0U);
}

TEST_F(PageTest, PagesRunOutWithATypedErrorAndAreCounted) {
    std::vector<Mbuf*> all;
    for (Mbuf* m; (m = mb_alloc_ext_pgs(PageClass::device, 1, M_NOWAIT, "test")) != nullptr;) all.push_back(m);
    EXPECT_EQ(all.size(), 4U);
    EXPECT_EQ(rte_errno, ENOBUFS);
    EXPECT_EQ(page_counters().denied[2], 1U);
    EXPECT_EQ(mb_alloc_ext_pgs(PageClass::anonymous, 20000, M_NOWAIT, "test"), nullptr);
    EXPECT_EQ(rte_errno, EMSGSIZE);
    for (Mbuf* m : all) m_freem(m);
}

uint64_t listed(const std::string& name, const std::string& label) {
    uint64_t sum = 0;
    stat::each([&](const stat::Listed& one) {
        if (name == one.field.name && one.labels.find(label) != std::string::npos) sum += one.cells[0].read();
    });
    return sum;
}

TEST_F(PageTest, WhatAPageWaitsForAndHowManyShowItIsSeenFromOutside) {
    const auto now = [](const char* name) {
        pages_sample(true);
        return listed(std::string("page_") + name, "class=cache");
    };
    EXPECT_EQ(now("filling"), 0U);
    Mbuf* a = mb_alloc_ext_pgs(PageClass::cache, 3000, M_NOWAIT, "test");
    Mbuf* b = mb_alloc_ext_pgs(PageClass::cache, 3000, M_NOWAIT, "test");
    Mbuf* never = mb_alloc_ext_pgs(PageClass::cache, 3000, M_NOWAIT, "test");
    EXPECT_EQ(now("filling"), 3U);
    page_ready(page_of(a));
    page_failed(page_of(b));
    EXPECT_EQ(now("filling"), 1U);
    EXPECT_EQ(now("failed"), 1U);
    Mbuf* view = m_copym(a, 100, 50, M_NOWAIT);
    EXPECT_EQ(now("in_use"), 3U);
    EXPECT_EQ(now("references"), 4U);
    EXPECT_EQ(now("references_largest"), 2U);
    for (Mbuf* m : {a, b, never, view}) m_freem(m);
    refs_flush();
    EXPECT_EQ(now("filling"), 0U);
    EXPECT_EQ(now("failed"), 0U);
    EXPECT_EQ(now("references"), 0U);
    EXPECT_GE(now("peak"), 3U);
}

TEST_F(PageTest, MappingMovesThePointerAndCopiesNothing) {
    Mbuf* m = headed("head", filled(PageClass::cache, pattern(9000)));
    const Page* page = page_of(m->next());
    const rte_iova_t iova = rte_pktmbuf_iova(&m->next()->rte);
    const uint64_t copied = window_counters().copied_bytes[0];
    ASSERT_EQ(mb_unmapped_to_ext(&m, M_NOWAIT, MappedFor::caller), 0);
    EXPECT_FALSE(m_has_unmapped(m));
    EXPECT_EQ(std::memcmp(m->next()->data(), pattern(9000).data(), 9000), 0) << "mtod can be followed";
    EXPECT_EQ(window_counters().copied_bytes[0], copied);
    EXPECT_EQ(page_of(m->next()), page);
    EXPECT_EQ(rte_pktmbuf_iova(&m->next()->rte), iova);
    verify(m);
    Mbuf* copy = m_copypacket(m, M_NOWAIT);  // of a window: a window on the same page
    EXPECT_EQ(page_of(copy->next()), page);
    EXPECT_EQ(rte_pktmbuf_iova(&copy->next()->rte), iova);
    verify(copy);
    m_freem(copy);
    mb_mapped_again(m);
    EXPECT_TRUE(m_unmapped(m->next()));
    verify(m);
    m_freem(m);
}

TEST_F(PageTest, UnshareLeavesAnOwnPageInPlaceAndCopiesOthers) {
    Mbuf* own = headed("h", filled(PageClass::anonymous, pattern(3000)));
    Mbuf* before = own->next();
    ASSERT_EQ(m_unshare(&own, M_NOWAIT), 0);
    EXPECT_EQ(own->next(), before);
    EXPECT_TRUE(m_unmapped(before));
    Mbuf* cache = headed("h", filled(PageClass::cache, pattern(3000)));
    const Page* page = page_of(cache->next());
    const std::string was = page_bytes(page);
    Mbuf* other = m_copypacket(cache, M_NOWAIT);
    ASSERT_EQ(m_unshare(&cache, M_NOWAIT), 0);
    EXPECT_FALSE(m_has_unmapped(cache));
    EXPECT_EQ(bytes_of(cache), "h" + pattern(3000));
    std::memset(cache->next()->data(), 'X', 100);
    EXPECT_EQ(bytes_of(other), "h" + pattern(3000));
    EXPECT_EQ(page_bytes(page), was);
    verify(cache);
    m_freem(own);
    m_freem(cache);
    m_freem(other);
}

TEST_F(PageTest, UnshareTellsNoMemoryFromNoWayAndLeavesTheChain) {
    Mbuf* m = headed("h", filled(PageClass::cache, pattern(3000)));
    m_cat(m, filled(PageClass::device, pattern(10)));
    const Mbuf* second = m->next();
    EXPECT_EQ(m_unshare(&m, M_NOWAIT), EOPNOTSUPP);
    EXPECT_EQ(m->next(), second);
    verify(m);
    m_adj(m, -10);
    Mbuf* rest = m_split(m, 3001, M_NOWAIT);
    m_freem(rest);
    for (uint32_t n = 1; n <= 2; ++n) {
        alloc_faults_arm(n);
        EXPECT_EQ(m_unshare(&m, M_NOWAIT), ENOBUFS) << n;
        EXPECT_EQ(m->next(), second);
        verify(m);
    }
    alloc_faults_arm(0);
    EXPECT_EQ(m_unshare(&m, M_NOWAIT), 0);
    m_freem(m);
}

TEST_F(PageTest, ASecretInAnAnonymousPageIsZeroedByItsLastHolder) {
    Mbuf* m = filled(PageClass::anonymous, pattern(500));
    m->set_flags(M_ZEROIZE);
    const Page* page = page_of(m);
    Mbuf* copy = m_copym(m, 0, 500, M_NOWAIT);
    m_freem(m);
    EXPECT_EQ(bytes_of(copy), pattern(500));
    m_freem(copy);
    refs_flush();
    EXPECT_EQ(page_bytes(page), std::string(page->ctl.size, '\0'));
}

// E1: what begins a packet can be read and written where it lies, whatever was cut off before it.
TEST_F(PageTest, NoVerbMakesAPageTheFirstOfAPacket) {
    for (const uint32_t at : {0U, 1U, 4U, 5U, 1000U, 3003U, 3004U}) {
        Mbuf* m = headed("head", filled(PageClass::cache, pattern(3000)));
        m_cat(m, filled(PageClass::anonymous, pattern(500)));
        Mbuf* rest = m_split(m, at, M_NOWAIT);
        ASSERT_NE(rest, nullptr);
        verify(m);
        verify(rest);
        EXPECT_TRUE(rest->has_pkthdr());
        EXPECT_EQ(bytes_of(m) + bytes_of(rest), "head" + pattern(3000) + pattern(500)) << at;
        m_freem(rest);
        m_freem(m);
    }
    Mbuf* m = headed("head", filled(PageClass::cache, pattern(3000)));
    m_adj(m, 4);
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    verify(copy);
    EXPECT_EQ(bytes_of(copy), pattern(3000));
    m_freem(copy);
    for (uint32_t n = 1; n <= 3; ++n) {  // the header, its view, the empty one: none, and nothing is kept
        alloc_faults_arm(n);
        EXPECT_EQ(m_split(m, 1000, M_NOWAIT), nullptr) << n;
        alloc_faults_arm(n);
        EXPECT_EQ(m_copypacket(m, M_NOWAIT), nullptr) << n;
        alloc_faults_arm(0);
        verify(m);
    }
    ASSERT_EQ(mb_unmapped_to_ext(&m, M_NOWAIT, MappedFor::caller), 0);
    Mbuf* rest = m_split(m, 1000, M_NOWAIT);  // of a window, so it may be the first
    mb_mapped_again(rest);
    verify(rest);
    m_freem(rest);
    m_freem(m);
}

// A clone of DPDK's says M_PKTHDR wherever it is.
TEST_F(PageTest, ACloneInsideAChainIsCopiedOut) {
    Mbuf* m = headed("head", filled(PageClass::cache, pattern(3000)));
    Mbuf* clone = Mbuf::of(rte_pktmbuf_clone(&m->rte, rx_zone()->pool));
    Mbuf* top = inlined("top");
    m_cat(top, clone);
    ASSERT_EQ(mb_unmapped_copy(&top, M_NOWAIT, CopiedFor::verb), 0);
    EXPECT_FALSE(m_has_unmapped(top));
    EXPECT_EQ(bytes_of(top), "tophead" + pattern(3000));
    verify(top);
    m_freem(top);
    m_freem(m);
}

TEST_F(StrictPageTest, AWindowThatWasClosedFaults) {
    Mbuf* m = filled(PageClass::cache, pattern(64));
    const std::byte* window = nullptr;
    {
        const ReadWindow in(m, 0, 64);
        window = in.bytes();
        EXPECT_EQ(std::memcmp(window, pattern(64).data(), 64), 0);
        EXPECT_EQ(page_counters().windows_now, 1U);
    }
    EXPECT_EQ(page_counters().windows_now, 0U);
    const auto fault = fault_of([window] { look(window); });
    ASSERT_TRUE(fault.has_value());
    EXPECT_EQ(fault->kind, FaultKind::closed_window);
    EXPECT_EQ(fault->page, page_of(m));
    m_freem(m);
}

TEST_F(StrictPageTest, MappingCopiesWhereNoWindowStands) {
    Mbuf* m = headed("head", filled(PageClass::cache, pattern(40000)));
    ASSERT_EQ(mb_unmapped_to_ext(&m, M_NOWAIT, MappedFor::caller), 0);
    EXPECT_FALSE(m_has_unmapped(m));
    EXPECT_EQ(bytes_of(m), "head" + pattern(40000));
    verify(m);
    m_freem(m);
}

TEST_F(PageTest, ATouchTellsWhosePageItWasAndAborts) {
    Mbuf* m = filled(PageClass::cache, pattern(64));
    Mbuf* copy = m_copym(m, 0, 64, M_NOWAIT);
    EXPECT_DEATH(look(m->data()), "touched an unmapped page.*page [0-9]+ of class cache.*ready; owner test, 2 holders");
    m_freem(copy);
    m_freem(m);
}

}  // namespace
}  // namespace umbuf::test
