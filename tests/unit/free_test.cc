// SPDX-License-Identifier: BSD-2-Clause
// free_test.cc - an mbuf is freed once, by itself, and what was secret in it is zero afterwards.
#include <string_view>
#include <thread>

#include <rte_mbuf_pool_ops.h>

#include "tests/unit/verb_fixture.h"

namespace umbuf::test {
namespace {

class Free : public MbufTest {};
using FreeDeathTest = Free;
class Zeroize : public MbufTest {};

// F-Stack #565: m_free mapped to rte_pktmbuf_free(), which frees the chain.
TEST_F(Free, FreesOneMbufAndLeavesTheRestOfTheChain) {
    Mbuf* m = inlined(pattern(10));
    Mbuf* second = clustered(pattern(300, 1));
    m_add(m, second);
    m_add(m, received(pattern(20, 2)));
    EXPECT_EQ(m_free(m), second);
    EXPECT_EQ(bytes_of(second), pattern(300, 1) + pattern(20, 2));
    m_freem(second);
}

// F-Stack #568: m_ext was read of an mbuf that has none, but had one in its last life.
TEST_F(Free, AnMbufThatHadStorageOnceHasNoneInItsNextLife) {
    std::vector<Mbuf*> all;
    for (int i = 0; i < 300; ++i) all.push_back(lent(pattern(100)));
    for (Mbuf* m : all) m_freem(m);
    all.clear();
    for (int i = 0; i < 600; ++i) {
        Mbuf* m = inlined(pattern(30));
        EXPECT_EQ(m->flags() & M_EXT, 0U);
        EXPECT_TRUE(m_writable(m));
        EXPECT_EQ(m->data(), reinterpret_cast<std::byte*>(m + 1));
        Mbuf* copy = m_copypacket(m, M_NOWAIT);
        EXPECT_NE(copy->data(), m->data()) << "copied, not shared by what is left of m_ext";
        verify(m);
        m_free(copy);
        all.push_back(m);
    }
    for (Mbuf* m : all) m_free(m);
}

TEST_F(FreeDeathTest, TheSecondFreeOfAnMbufDies) {
    for (const Kind kind : {Kind::inlined, Kind::cluster, Kind::shared, Kind::readonly}) {
        Made made = make(kind, pattern(80));
        m_freem(made.other);
        m_free(made.m);
        EXPECT_DEATH(m_free(made.m), "freed a second time") << name(kind);
        EXPECT_DEATH(m_freem(made.m), "freed a second time") << name(kind);
        ASSERT_TRUE(m_sanity(made.m));
        EXPECT_EQ(m_sanity(made.m)->substr(0, 2), "V7");
    }
}

TEST_F(Free, FreempLeavesNullAndPurgeFreesAList) {
    Mbuf* m = received(pattern(100));
    m_freemp(&m);
    EXPECT_EQ(m, nullptr);
    m_freemp(&m);
    m_purge(nullptr);
    m_purge(received(pattern(10)));
    MbufList ml;
    for (const Kind kind : kKinds) {
        const Made made = make(kind, pattern(50));
        ml_enqueue(&ml, made.m);
        if (made.other != nullptr) ml_enqueue(&ml, made.other);
    }
    m_purge(ml_dechain(&ml));
}

// Checked pools poison what is freed: what the free left there cannot be seen.
bool poisoned() { return std::string_view(rte_mbuf_best_mempool_ops()) == "checked"; }

// zeroed - are the n bytes at p zero, now that nobody owns them?
bool zeroed(const std::byte* p, size_t n) {
    for (size_t i = 0; i < n; ++i)
        if (p[i] != std::byte{0}) return false;
    return true;
}

TEST_F(Zeroize, BytesInsideAnMbufAreZeroAfterItsFree) {
    if (poisoned()) GTEST_SKIP() << "the pools poison what is freed";
    Mbuf* m = inlined(pattern(200, 5));
    const std::byte* room = m->data();
    m->set_flags(M_ZEROIZE);
    m_free(m);
    EXPECT_TRUE(zeroed(room, kMLen));
}

TEST_F(Zeroize, BytesInsideAnMbufThatADriverFreedAreZeroForItsNextOwner) {
    Mbuf* m = inlined(pattern(200, 5));
    m->set_flags(M_ZEROIZE);
    rte_pktmbuf_free(&m->rte);
    std::vector<Mbuf*> all;
    bool met = false;
    while (Mbuf* next = m_get(M_NOWAIT, MT_DATA)) {
        if (next == m) {
            met = true;
            EXPECT_TRUE(zeroed(next->data(), kMLen));
            EXPECT_EQ(next->flags(), 0U);
        }
        all.push_back(next);
    }
    EXPECT_TRUE(met);
    for (Mbuf* each : all) m_free(each);
}

TEST_F(Zeroize, AReceivedPacketIsZeroAfterTheLastOfHeaderAndCopies) {
    if (poisoned()) GTEST_SKIP() << "the pools poison what is freed";
    for (const bool flag_on_copy : {false, true})
        for (const bool header_first : {false, true}) {
            Mbuf* m = received(pattern(1500, 3));
            const std::byte* buffer = static_cast<std::byte*>(m->rte.buf_addr);
            const uint32_t size = m->rte.buf_len;
            Mbuf* copy = m_copypacket(m, M_NOWAIT);
            (flag_on_copy ? copy : m)->set_flags(M_ZEROIZE);
            m_freem(header_first ? m : copy);
            EXPECT_EQ(bytes_of(header_first ? copy : m), pattern(1500, 3)) << "somebody still reads";
            m_freem(header_first ? copy : m);
            EXPECT_TRUE(zeroed(buffer, size)) << flag_on_copy << header_first;
        }
}

// A driver that frees a received packet's own header sees no flag. A copy's free it cannot but see.
TEST_F(Zeroize, AReceivedSecretThatIsSentAsACopyOfItselfIsZeroAfterTheDriversFree) {
    if (poisoned()) GTEST_SKIP() << "the pools poison what is freed";
    Mbuf* m = received(pattern(1500, 3));
    const std::byte* buffer = static_cast<std::byte*>(m->rte.buf_addr);
    const uint32_t size = m->rte.buf_len;
    m->set_flags(M_ZEROIZE);
    Mbuf* sent = m_copypacket(m, M_NOWAIT);
    m_freem(m);
    EXPECT_EQ(bytes_of(sent), pattern(1500, 3));
    rte_pktmbuf_free(&sent->rte);
    EXPECT_TRUE(zeroed(buffer, size));
}

// Z1 of the schedules: the request is made by one, while the other has looked already.
TEST_F(Zeroize, HeaderAndCopyFreedAtOnceStillZero) {
    if (poisoned()) GTEST_SKIP() << "the pools poison what is freed";
    for (int round = 0; round < 300; ++round) {
        Mbuf* m = received(pattern(500, 3));
        const std::byte* buffer = static_cast<std::byte*>(m->rte.buf_addr);
        const uint32_t size = m->rte.buf_len;
        Mbuf* copy = m_copypacket(m, M_NOWAIT);
        (round % 2 == 0 ? m : copy)->set_flags(M_ZEROIZE);
        std::thread other([copy] { m_freem(copy); });
        m_freem(m);
        other.join();
        ASSERT_TRUE(zeroed(buffer, size)) << round;
    }
}

TEST_F(Zeroize, TheFlagFollowsTheBytesThatAVerbCopies) {
    Mbuf* m = inlined(pattern(20));
    Mbuf* secret = inlined(pattern(100, 7));
    secret->set_flags(M_ZEROIZE);
    m_add(m, secret);
    const auto secret_in = [](const Mbuf* chain) {
        for (const Mbuf* s = chain; s != nullptr; s = s->next())
            if ((s->flags() & M_ZEROIZE) != 0) return true;
        return false;
    };
    for (Mbuf* copy : {m_copypacket(m, M_NOWAIT), m_copym(m, 50, 10, M_NOWAIT), m_dup(m, M_NOWAIT),
                       m_dup_pkt(m, 8, M_NOWAIT), m_dup(m, 30, 10, M_NOWAIT)}) {
        EXPECT_TRUE(secret_in(copy));
        m_freem(copy);
    }
    Mbuf* rest = m_split(m, 60, M_NOWAIT);
    EXPECT_TRUE(secret_in(rest));
    m_cat(m, rest);
    m = m_pullup(m, 120);
    EXPECT_TRUE((m->flags() & M_ZEROIZE) != 0);
    m_freem(m);
}

TEST_F(Zeroize, MZeroActsAtOnceWhenAloneAndAtTheEndWhenNot) {
    if (poisoned()) GTEST_SKIP() << "the pools poison what is freed";
    for (const Kind kind : {Kind::inlined, Kind::cluster, Kind::received}) {
        Made made = make(kind, pattern(200, 4));
        m_zero(made.m);
        EXPECT_EQ(bytes_of(made.m), std::string(200, '\0')) << name(kind);
        EXPECT_EQ(made.m->flags() & M_ZEROIZE, 0U);
        m_freem(made.m);
    }
    Made made = make(Kind::shared, pattern(200, 4));
    const std::byte* bytes = made.m->data();
    m_zero(made.m);
    EXPECT_EQ(bytes_of(made.other), pattern(200, 4)) << "the other one still reads them";
    m_freem(made.m);
    EXPECT_EQ(bytes_of(made.other), pattern(200, 4));
    m_freem(made.other);
    EXPECT_TRUE(zeroed(bytes, 200));
}

TEST_F(Zeroize, ReadOnlyStorageIsNeverWritten) {
    static std::string memory = pattern(300, 6);
    Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
    ASSERT_EQ(m_extadd(m, memory.data(), 300, [](void*, uint32_t, void*) {}, nullptr, M_RDONLY), 0);
    m_zero(m);
    m_freem(m);
    EXPECT_EQ(memory, pattern(300, 6));
}

}  // namespace
}  // namespace umbuf::test
