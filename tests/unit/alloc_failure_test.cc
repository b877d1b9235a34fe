// SPDX-License-Identifier: BSD-2-Clause
// alloc_failure_test.cc - when an allocation fails, the caller is left as verbs.h promises.
//
// Goal: each verb, each allocation or share inside it. Method: arm the injector for the 1st, 2nd,
// 3rd ... event until the verb succeeds; after each failure compare the bytes, the lengths, the
// chain and the zones with what they were. Chains are built anew for each try.
#include <functional>

#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

class AllocFailure : public MbufTest {};

// Three kinds of storage, one of it shared with `other`.
struct Subject {
    Mbuf* m = inlined(pattern(100));
    Mbuf* other = nullptr;
    Subject() {
        Mbuf* shared = clustered(pattern(900, 1));
        other = m_copypacket(shared, M_NOWAIT);
        m_cat(m, shared);
        m_cat(m, received(pattern(700, 2)));
    }
    [[nodiscard]] static std::string bytes() { return pattern(100) + pattern(900, 1) + pattern(700, 2); }
    void expect_unchanged(uint32_t k) const {
        EXPECT_EQ(bytes_of(m), bytes()) << "failed allocation " << k;
        EXPECT_EQ(m->rte.nb_segs, 3);
        EXPECT_EQ(m->flags() & M_PKTHDR, uint32_t{M_PKTHDR});
        verify(m);
        EXPECT_EQ(bytes_of(other), pattern(900, 1));
        verify(other);
    }
};

// Runs `verb` with the k-th allocation failing, k = 1, 2, ... until it succeeds. The verb says
// whether it succeeded; it frees what it made and what it consumed. Returns how many failures there were.
uint32_t fail_each(const std::function<bool(Subject&, uint32_t k)>& verb) {
    for (uint32_t k = 1;; ++k) {
        Subject s;
        const std::vector<uint32_t> before = levels();
        alloc_faults_arm(k);
        const bool done = verb(s, k);
        alloc_faults_arm(0);
        if (!done && s.m != nullptr) {
            s.expect_unchanged(k);
            EXPECT_TRUE(zones_unbalanced(before).empty()) << "a partial result leaked, k = " << k;
        }
        m_freem(s.m);
        m_freem(s.other);
        if (done) return k - 1;
    }
}

TEST_F(AllocFailure, CopymLeavesTheOriginalAndFreesThePartialCopy) {
    EXPECT_EQ(fail_each([](Subject& s, uint32_t) {
                  Mbuf* copy = m_copym(s.m, 0, M_COPYALL, M_NOWAIT);
                  EXPECT_TRUE(copy == nullptr || bytes_of(copy) == Subject::bytes());
                  m_freem(copy);
                  return copy != nullptr;
              }),
              5U);  // three headers, two shares
}

TEST_F(AllocFailure, CopymInsideAChainLeavesTheOriginal) {
    EXPECT_EQ(fail_each([](Subject& s, uint32_t) {
                  Mbuf* copy = m_copym(s.m, 50, 1000, M_NOWAIT);
                  m_freem(copy);
                  return copy != nullptr;
              }),
              5U);
}

TEST_F(AllocFailure, SplitInSharedStorageRestoresTheOriginal) {
    EXPECT_EQ(fail_each([](Subject& s, uint32_t) {
                  Mbuf* rest = m_split(s.m, 500, M_NOWAIT);
                  m_freem(rest);
                  return rest != nullptr;
              }),
              2U);  // header, share
}

TEST_F(AllocFailure, SplitInAReceivedPacketRestoresTheOriginal) {
    EXPECT_EQ(fail_each([](Subject& s, uint32_t) {
                  Mbuf* rest = m_split(s.m, 1200, M_NOWAIT);
                  m_freem(rest);
                  return rest != nullptr;
              }),
              2U);
}

TEST_F(AllocFailure, SplitInInlineBytesRestoresTheOriginal) {
    EXPECT_EQ(fail_each([](Subject& s, uint32_t) {
                  Mbuf* rest = m_split(s.m, 10, M_NOWAIT);
                  m_freem(rest);
                  return rest != nullptr;
              }),
              1U);
}

TEST_F(AllocFailure, SplitBetweenMbufsNeedsNoMemory) {
    EXPECT_EQ(fail_each([](Subject& s, uint32_t) {
                  Mbuf* rest = m_split(s.m, 1000, M_NOWAIT);
                  m_freem(rest);
                  return rest != nullptr;
              }),
              0U);
}

TEST_F(AllocFailure, PrependConsumesTheChain) {
    EXPECT_EQ(fail_each([](Subject& s, uint32_t) {
                  s.m = m_prepend(s.m, 64, M_NOWAIT);
                  return s.m != nullptr;
              }),
              1U);
}

TEST_F(AllocFailure, PullupConsumesTheChain) {
    EXPECT_EQ(fail_each([](Subject& s, uint32_t) {
                  Mbuf* rest = m_split(s.m, 100, M_NOWAIT);  // between two mbufs: no memory
                  m_freem(s.m);
                  m_adj(rest, 890);  // ten shared bytes, so there is no room to pull into
                  s.m = m_pullup(rest, 200);
                  return s.m != nullptr;
              }),
              1U);
}

TEST_F(AllocFailure, PullupIntoAClusterConsumesTheChain) {
    EXPECT_EQ(fail_each([](Subject& s, uint32_t) {
                  s.m = m_pullup(s.m, 1500);
                  return s.m != nullptr;
              }),
              2U);  // header, cluster
}

TEST_F(AllocFailure, CopybackKeepsAndReportsThePartThatCouldBeHad) {
    for (uint32_t k = 1;; ++k) {
        Mbuf* m = inlined(pattern(100));
        const std::string more = pattern(60000, 5);
        alloc_faults_arm(k);
        const int error = m_copyback(m, 100, 60000, more.data(), M_NOWAIT);
        alloc_faults_arm(0);
        verify(m);
        EXPECT_EQ(bytes_of(m), (pattern(100) + more).substr(0, m->pkt_len())) << k;
        EXPECT_EQ(error, m->pkt_len() == 60100 ? 0 : ENOBUFS);
        m_freem(m);
        if (error == 0) {
            EXPECT_EQ(k - 1, 8U);  // four headers, four clusters
            break;
        }
    }
}

TEST_F(AllocFailure, GettersGiveNullAndLoseNothing) {
    for (const uint32_t k : {1U, 2U}) {
        alloc_faults_arm(k);
        EXPECT_EQ(m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, 9000), nullptr) << k;
    }
    alloc_faults_arm(1);
    EXPECT_EQ(m_get(M_NOWAIT, MT_DATA), nullptr);
    alloc_faults_arm(1);
    EXPECT_EQ(m_gethdr(M_NOWAIT, MT_DATA), nullptr);
    Mbuf* m = m_get(M_NOWAIT, MT_DATA);
    alloc_faults_arm(1);
    EXPECT_EQ(m_clget(m, M_NOWAIT, 2048), ENOBUFS);
    EXPECT_EQ(m->flags(), 0U);
    char byte = 0;
    alloc_faults_arm(1);
    EXPECT_EQ(m_extadd(m, &byte, 1, [](void*, uint32_t, void*) { FAIL(); }, nullptr, 0), ENOBUFS);
    EXPECT_EQ(m->flags(), 0U);
    m_free(m);
}

TEST_F(AllocFailure, AnEmptyZoneDeniesAndCounts) {
    Zone* zone = nullptr;
    for (Zone* z : zones())
        if (z->kind == ZoneKind::cluster && z->size == 16384) zone = z;
    std::vector<Mbuf*> all;
    const uint64_t denied = zone->denied();
    while (Mbuf* m = m_getjcl(M_NOWAIT, MT_DATA, 0, 16384)) all.push_back(m);
    EXPECT_EQ(zone->denied(), denied + 1);
    for (Mbuf* m : all) m_free(m);
    Mbuf* m = m_getjcl(M_NOWAIT, MT_DATA, 0, 16384);
    EXPECT_NE(m, nullptr) << "what was given back can be had again";
    m_free(m);
}

}  // namespace
}  // namespace umbuf::test
