// SPDX-License-Identifier: BSD-2-Clause
// merged_release_test.cc - releases that a thread holds back, zero requests, and the audit of both, on
// mbufs and under whatever scheme serves the program.
#include <array>
#include <cstring>

#include "lib/mbuf/refs.h"
#include "lib/ref/weighted.h"
#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

class MergedRelease : public MbufTest {};

TEST_F(MergedRelease, EndsWithNothingHeldBack) {
    const std::vector<uint32_t> before = levels();
    {
        const MergedReleases merged;
        for (uint32_t i = 0; i < 100; ++i) {
            Mbuf* m = clustered(pattern(100, i));
            Mbuf* copy = m_copypacket(m, M_NOWAIT);
            m_freem(m);
            m_freem(copy);
        }
    }
    EXPECT_EQ(levels(), before);
}

TEST_F(MergedRelease, TheAuditCountsWhatThisThreadHoldsBack) {
    const MergedReleases merged;
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    EXPECT_EQ(refs_audit(), std::vector<std::string>{});
    m_freem(copy);
    EXPECT_EQ(refs_audit(), std::vector<std::string>{});
    m_freem(m);
    EXPECT_EQ(refs_audit(), std::vector<std::string>{});
    refs_flush();
}

TEST_F(MergedRelease, TheAuditNamesAStorageThatDoesNotAddUp) {
    if (std::string(refs_in_use().name).starts_with("list")) GTEST_SKIP() << "a ring is walked: it has no sum";
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    std::array<std::byte, sizeof copy->view> view;
    std::memcpy(view.data(), copy->view, sizeof copy->view);
    std::memset(copy->view, 0, sizeof copy->view);
    EXPECT_EQ(refs_audit().size(), 1U) << "a reference was lost";
    std::memcpy(copy->view, view.data(), sizeof copy->view);
    EXPECT_EQ(refs_audit(), std::vector<std::string>{});
    m_freem(m);
    m_freem(copy);
}

// held - storages that this thread holds releases of.
uint32_t held() {
    uint32_t n = 0;
    refs_in_use().held_back([](void* arg, const void*, uint64_t) { ++*static_cast<uint32_t*>(arg); }, &n);
    return n;
}

// Goal: where no release meets another one of its storage, the table is not asked any more; and it is
// asked again later, because traffic changes.
TEST_F(MergedRelease, TheTableStandsAsideWhileNothingMerges) {
    if (refs_in_use().name != std::string("weighted")) GTEST_SKIP() << "holds nothing back";
    using Table = ref::Weighted<>::Merge;
    const MergedReleases merged;
    const auto try_it = [] {
        for (uint32_t i = 0; i < Table::kTrial; ++i) {
            Mbuf* m = clustered(pattern(10, i));
            m_freem(m_copypacket(m, M_NOWAIT));
            EXPECT_EQ(held(), 1U) << "not before it was tried";
            EXPECT_TRUE(m_writable(m)) << "reclaimed";
            m_freem(m);
        }
    };
    try_it();
    Mbuf* m = clustered(pattern(100));
    for (uint32_t i = 0; i < Table::kAside; ++i) {
        m_freem(m_copypacket(m, M_NOWAIT));
        ASSERT_EQ(held(), 0U) << i;
    }
    for (uint32_t burst = 0; burst < 2 * Table::kTrial; ++burst) {
        for (int i = 0; i < 3; ++i) m_freem(m_copypacket(m, M_NOWAIT));
        ASSERT_EQ(held(), 1U) << "it pays, burst " << burst;
        refs_flush();
    }
    try_it();  // what paid once is judged again
    m_freem(m_copypacket(m, M_NOWAIT));
    EXPECT_EQ(held(), 0U);
    m_freem(m);
}

class Requests : public MbufTest {};

TEST_F(Requests, WhoIsAloneAgainInheritsThem) {
    Mbuf* m = clustered(pattern(500));
    const std::byte* bytes = m->data();
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    copy->set_flags(M_ZEROIZE);
    m_freem(copy);
    EXPECT_TRUE(m_writable(m));
    EXPECT_NE(m->flags() & M_ZEROIZE, 0U) << "nobody else remembers it";
    m_freem(m);
    for (uint32_t i = 0; i < 500; ++i) ASSERT_EQ(bytes[i], std::byte{0}) << i;  // in its zone, unused
}

TEST_F(Requests, OfAViewThatWasNeverSharedAreHeardToo) {
    Mbuf* m = clustered(pattern(500));
    const std::byte* bytes = m->data();
    m->set_flags(M_ZEROIZE);
    m_freem(m);
    for (uint32_t i = 0; i < 500; ++i) ASSERT_EQ(bytes[i], std::byte{0}) << i;
}

}  // namespace
}  // namespace umbuf::test
