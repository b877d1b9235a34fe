// SPDX-License-Identifier: BSD-2-Clause
// deep_test.cc - private copies are private, and only what must be copied is.
#include "tests/unit/verb_fixture.h"

namespace umbuf::test {
namespace {

class Deep : public MbufTest {};

// Writes over every byte of a chain that says it is writable.
void scribble(Mbuf* m) {
    ASSERT_TRUE(all_writable(m));
    for (; m != nullptr; m = m->next()) std::memset(m->data(), 0xdd, m->len());
}

TEST_F(Deep, DupIsWritableAndNobodyElseSeesIt) {
    for (const Kind kind : kKinds) {
        SCOPED_TRACE(name(kind));
        Trio t(kind);
        for (Mbuf* copy : {m_dup(t.m, M_NOWAIT), m_dup_pkt(t.m, 0, M_NOWAIT), m_dup(t.m, 0, M_COPYALL, M_NOWAIT)}) {
            EXPECT_EQ(bytes_of(copy), t.bytes());
            EXPECT_EQ(copy->pkt_len(), Trio::kLen);
            Trio::expect_header(copy);
            verify(copy);
            scribble(copy);
            m_freem(copy);
        }
        Mbuf* copy = m_dup_data(t.m, M_NOWAIT);
        EXPECT_FALSE(copy->has_pkthdr());
        EXPECT_EQ(bytes_of(copy), t.bytes());
        m_freem(copy);
        EXPECT_EQ(bytes_of(t.m), t.bytes());
        t.expect_other();
        t.free();
    }
}

TEST_F(Deep, DupOfARangeIsThatRange) {
    for (const Kind kind : kKinds)
        for (const uint32_t off : {0U, 1U, 99U, 100U, 350U, 1100U})
            for (const uint32_t len : {0U, 1U, 700U, uint32_t{M_COPYALL}}) {
                if (len != M_COPYALL && off + len > Trio::kLen) continue;
                Trio t(kind);
                Mbuf* copy = m_dup(t.m, off, len, M_NOWAIT);
                ASSERT_NE(copy, nullptr);
                EXPECT_EQ(bytes_of(copy), t.bytes().substr(off, len));
                EXPECT_EQ(copy->has_pkthdr(), off == 0);
                verify(copy);
                m_freem(copy);
                t.free();
            }
}

TEST_F(Deep, DupPktIsOnePieceWithTheRoomAskedFor) {
    for (const uint32_t adj : {0U, 2U, 64U, 2000U, 16384U - Trio::kLen}) {
        Trio t(Kind::readonly);
        Mbuf* copy = m_dup_pkt(t.m, adj, M_NOWAIT);
        ASSERT_NE(copy, nullptr);
        EXPECT_EQ(copy->next(), nullptr);
        EXPECT_EQ(m_leadingspace(copy), adj);
        m_freem(copy);
        EXPECT_EQ(m_dup_pkt(t.m, 16385 - Trio::kLen, M_NOWAIT), nullptr);
        t.free();
    }
}

TEST_F(Deep, ALargePacketIsCopiedIntoManyMbufs) {
    const std::string bytes = pattern(40000);
    Mbuf* m = lent(bytes);
    Mbuf* copy = m_dup(m, M_NOWAIT);
    EXPECT_EQ(copy->rte.nb_segs, 10);
    EXPECT_EQ(bytes_of(copy), bytes);
    verify(copy);
    m_freem(copy);
    m = m_unshare(m, M_NOWAIT);
    EXPECT_EQ(bytes_of(m), bytes);
    scribble(m);
    verify(m);
    m_freem(m);
}

TEST_F(Deep, UnshareCopiesWhatIsSharedAndKeepsTheRest) {
    for (const Kind kind : kKinds) {
        SCOPED_TRACE(name(kind));
        Trio t(kind);
        Mbuf* const first = t.m;
        t.m = m_unshare(t.m, M_NOWAIT);
        EXPECT_EQ(t.m, first) << "it was writable";
        EXPECT_EQ(bytes_of(t.m), t.bytes());
        Trio::expect_header(t.m);
        verify(t.m);
        scribble(t.m);
        t.expect_other();
        t.free();
    }
}

TEST_F(Deep, UnshareOfASharedFirstMbufMovesTheHeader) {
    for (const Kind kind : kKinds) {
        Made made = make(kind, pattern(200));
        if (kind != Kind::clone) add_tag(made.m, 1, "x");
        made.m->rte.port = 8;
        Mbuf* m = m_unshare(made.m, M_NOWAIT);
        EXPECT_EQ(m == made.m, writable(kind)) << name(kind);
        EXPECT_EQ(tags_of(m), kind == Kind::clone ? "" : "1:x");
        EXPECT_EQ(m->rte.port, 8);
        verify(m);
        scribble(m);
        if (made.other != nullptr) {
            EXPECT_EQ(bytes_of(made.other), pattern(200));
        }
        m_freem(m);
        m_freem(made.other);
    }
}

TEST_F(Deep, MakewritableCopiesTheRangeAndNoMore) {
    for (const Kind kind : kKinds)
        for (const uint32_t off : {0U, 1U, 99U, 100U, 101U, 300U, 699U, 700U, 1099U})
            for (const uint32_t len : {1U, 2U, 100U, 599U, 600U, 601U, uint32_t{M_COPYALL}}) {
                SCOPED_TRACE(std::string(name(kind)) + " " + std::to_string(off) + "+" + std::to_string(len));
                Trio t(kind);
                ASSERT_EQ(m_makewritable(&t.m, off, len, M_NOWAIT), 0);
                verify(t.m);
                EXPECT_EQ(bytes_of(t.m), t.bytes());
                Trio::expect_header(t.m);
                const uint32_t n = std::min(len, Trio::kLen - off);
                uint32_t at = off;
                for (Mbuf* s = t.m; s != nullptr; s = s->next()) {
                    if (at >= s->len()) {
                        at -= s->len();
                        continue;
                    }
                    EXPECT_TRUE(m_writable(s));
                    break;
                }
                const std::string text = pattern(n, 77);
                t.m = m_copyback_cow(t.m, off, n, text.data(), M_NOWAIT);
                std::string want = t.bytes();
                want.replace(off, n, text);
                EXPECT_EQ(bytes_of(t.m), want);
                t.expect_other();
                t.free();
            }
}

// NetBSD's rule: split first, then replace only what is read-only and asked for.
TEST_F(Deep, MakewritableOfTheMiddleOfSharedStorageSharesBothSides) {
    Made made = make(Kind::shared, pattern(1000));
    const std::byte* front = made.m->data();
    ASSERT_EQ(m_makewritable(&made.m, 400, 100, M_NOWAIT), 0);
    EXPECT_EQ(made.m->rte.nb_segs, 3);
    EXPECT_EQ(made.m->data(), front);
    EXPECT_EQ(made.m->len(), 400U);
    EXPECT_TRUE(m_writable(made.m->next()));
    EXPECT_EQ(made.m->next()->len(), 100U);
    EXPECT_EQ(m_last(made.m)->data(), front + 500) << "shared, not copied";
    EXPECT_FALSE(m_writable(m_last(made.m)));
    m_freem(made.m);
    m_freem(made.other);
}

TEST_F(Deep, CopybackCowNeverTouchesASibling) {
    for (const Kind kind : kKinds)
        for (const uint32_t off : {0U, 10U, 190U}) {
            Made made = make(kind, pattern(200));
            made.m = m_copyback_cow(made.m, off, 10, "0123456789", M_NOWAIT);
            ASSERT_NE(made.m, nullptr);
            EXPECT_EQ(bytes_of(made.m), pattern(200).replace(off, 10, "0123456789")) << name(kind);
            verify(made.m);
            if (made.other != nullptr) {
                EXPECT_EQ(bytes_of(made.other), pattern(200));
            }
            m_freem(made.m);
            m_freem(made.other);
        }
    Mbuf* m = inlined(pattern(10));
    EXPECT_DEATH((void)m_copyback_cow(m, 5, 6, "123456", M_NOWAIT), "beyond the chain");
    m_freem(m);
}

}  // namespace
}  // namespace umbuf::test
