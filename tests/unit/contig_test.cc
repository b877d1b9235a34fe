// SPDX-License-Identifier: BSD-2-Clause
// contig_test.cc - bytes become contiguous, where they were asked for, and siblings never change.
#include "tests/unit/verb_fixture.h"

namespace umbuf::test {
namespace {

class Contig : public MbufTest {};

constexpr uint32_t kPlaces[] = {0, 1, 50, 99, 100, 101, 150, 299, 300, 301, 699, 700, 701, 1000, 1099};
constexpr uint32_t kLengths[] = {1, 2, 40, 100, 250, 256, 257, 600, 1000};

TEST_F(Contig, PulldownMakesEveryRangeContiguousAndWritable) {
    for (const Kind kind : kKinds)
        for (const uint32_t off : kPlaces)
            for (const uint32_t len : kLengths)
                for (const bool with_offset : {true, false}) {
                    if (off + len > Trio::kLen) continue;
                    SCOPED_TRACE(std::string(name(kind)) + " " + std::to_string(off) + "+" + std::to_string(len));
                    Trio t(kind);
                    uint32_t at = 0;
                    Mbuf* n = m_pulldown(t.m, off, len, with_offset ? &at : nullptr);
                    ASSERT_NE(n, nullptr);
                    EXPECT_GE(n->len(), at + len);
                    EXPECT_TRUE(m_writable(n));
                    EXPECT_EQ(std::memcmp(n->data() + at, t.bytes().data() + off, len), 0);
                    verify(t.m);
                    EXPECT_EQ(bytes_of(t.m), t.bytes());
                    Trio::expect_header(t.m);
                    std::memset(n->data() + at, 0xee, len);
                    t.expect_other();
                    std::string want = t.bytes();
                    want.replace(off, len, len, '\xee');
                    EXPECT_EQ(bytes_of(t.m), want) << "written in the chain, and nowhere else";
                    t.free();
                }
}

TEST_F(Contig, PulldownBeyondTheEndFailsAndConsumes) {
    for (const Kind kind : kKinds) {
        Trio t(kind);
        uint32_t at = 0;
        EXPECT_EQ(m_pulldown(t.m, 1000, 101, &at), nullptr);
        m_freem(t.other);
    }
    EXPECT_EQ(m_pulldown(received(pattern(10)), 10, 1, nullptr), nullptr);
}

TEST_F(Contig, MakespaceOpensAGapAtEveryPlace) {
    for (const Kind kind : kKinds)
        for (const uint32_t skip : {0U, 1U, 50U, 99U, 100U, 101U, 300U, 699U, 700U, 1000U, 1099U, 1100U})
            for (const uint32_t hlen : {1U, 8U, 40U, 130U, 256U, 257U, 3000U}) {
                SCOPED_TRACE(std::string(name(kind)) + " " + std::to_string(skip) + ", " + std::to_string(hlen));
                Trio t(kind);
                uint32_t off = 9999;
                Mbuf* n = m_makespace(t.m, skip, hlen, &off);
                ASSERT_NE(n, nullptr);
                ASSERT_LE(off + hlen, n->len());
                ASSERT_TRUE(m_writable(n));
                std::memset(n->data() + off, 0xaa, hlen);
                std::string want = t.bytes();
                want.insert(skip, hlen, '\xaa');
                verify(t.m);
                EXPECT_EQ(bytes_of(t.m), want);
                EXPECT_EQ(t.m->pkt_len(), Trio::kLen + hlen);
                Trio::expect_header(t.m);
                t.expect_other();
                t.free();
            }
}

TEST_F(Contig, MakespaceBeyondTheEndChangesNothing) {
    Trio t(Kind::shared);
    uint32_t off = 0;
    EXPECT_EQ(m_makespace(t.m, 1101, 4, &off), nullptr);
    EXPECT_EQ(m_makespace(t.m, 10, 16385, &off), nullptr);
    EXPECT_EQ(bytes_of(t.m), t.bytes());
    verify(t.m);
    t.free();
}

TEST_F(Contig, CopyupAlwaysMakesANewFirstMbufWithTheRoomAskedFor) {
    for (const Kind kind : kKinds)
        for (const uint32_t len : {1U, 99U, 100U, 101U, 700U, 1100U}) {
            Trio t(kind);
            Mbuf* const old = t.m;
            t.m = m_copyup(t.m, len, 14);
            ASSERT_NE(t.m, nullptr);
            EXPECT_NE(t.m, old);
            EXPECT_EQ(m_leadingspace(t.m), 14U);
            EXPECT_EQ(t.m->len(), len);
            EXPECT_EQ(bytes_of(t.m), t.bytes());
            Trio::expect_header(t.m);
            verify(t.m);
            t.expect_other();
            t.free();
        }
    EXPECT_EQ(m_copyup(received(pattern(10)), 11, 0), nullptr);
    EXPECT_EQ(m_copyup(received(pattern(10)), 10, 16380), nullptr);
}

TEST_F(Contig, EnsureContigKeepsTheChainWhenItCannot) {
    for (const Kind kind : kKinds) {
        Trio t(kind);
        Mbuf* const m = t.m;
        EXPECT_FALSE(m_ensure_contig(&t.m, 1101));
        EXPECT_EQ(t.m, m);
        EXPECT_EQ(bytes_of(t.m), t.bytes());
        EXPECT_TRUE(m_ensure_contig(&t.m, 1100));
        EXPECT_EQ(t.m->len(), 1100U);
        EXPECT_EQ(bytes_of(t.m), t.bytes());
        Trio::expect_header(t.m);
        verify(t.m);
        t.expect_other();
        t.free();
    }
}

}  // namespace
}  // namespace umbuf::test
