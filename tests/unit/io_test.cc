// SPDX-License-Identifier: BSD-2-Clause
// io_test.cc - bytes come in and go out as they were; and the verbs that look see what is there.
#include "tests/unit/verb_fixture.h"

namespace umbuf::test {
namespace {

class Io : public MbufTest {};
class Walk : public MbufTest {};
class Make : public MbufTest {};

TEST_F(Io, AppendFillsTailroomThenAddsMbufs) {
    for (const Kind kind : kKinds)
        for (const uint32_t n : {0U, 1U, 100U, 256U, 5000U, 40000U}) {
            Made made = make(kind, pattern(150));
            const std::string more = pattern(n, 3);
            ASSERT_EQ(m_append(made.m, n, more.data()), 1);
            EXPECT_EQ(bytes_of(made.m), pattern(150) + more) << name(kind);
            EXPECT_EQ(made.m->pkt_len(), 150 + n);
            verify(made.m);
            if (made.other != nullptr) {
                EXPECT_EQ(bytes_of(made.other), pattern(150));
            }
            m_freem(made.m);
            m_freem(made.other);
        }
}

TEST_F(Io, AppendThatRunsOutKeepsWhatItCouldHave) {
    const std::string more = pattern(60000, 3);
    for (uint32_t k = 1;; ++k) {
        Mbuf* m = inlined(pattern(100));
        alloc_faults_arm(k);
        const int all = m_append(m, 60000, more.data());
        alloc_faults_arm(0);
        EXPECT_EQ(bytes_of(m), (pattern(100) + more).substr(0, m->pkt_len()));
        EXPECT_EQ(all == 1, m->pkt_len() == 60100U);
        verify(m);
        m_freem(m);
        if (all == 1) {
            EXPECT_EQ(k, 9U) << "four headers, four clusters";
            break;
        }
    }
}

TEST_F(Io, DevgetLeavesTheOffsetFree) {
    for (const uint32_t n : {0U, 1U, 200U, 256U, 1500U, 9000U, 60000U})
        for (const uint32_t off : {0U, 2U, 255U}) {
            const std::string bytes = pattern(n);
            Mbuf* m = m_devget(bytes.data(), n, off);
            ASSERT_NE(m, nullptr);
            EXPECT_EQ(m_leadingspace(m), off);
            EXPECT_EQ(bytes_of(m), bytes);
            EXPECT_EQ(m->pkt_len(), n);
            verify(m);
            m_freem(m);
        }
}

TEST_F(Io, ScatteredMemoryGoesInAndComesOut) {
    std::string a = pattern(3), b, c = pattern(5000, 1), d = pattern(700, 2);
    const std::string all = a + c + d;
    for (const uint32_t len : {0U, 1U, 3U, 4U, 5003U, 5703U, 99999U}) {
        iovec in[] = {{a.data(), a.size()}, {b.data(), 0}, {c.data(), c.size()}, {d.data(), d.size()}};
        Uio uio{in, 4, all.size()};
        const size_t want = len == 0 ? all.size() : std::min<size_t>(len, all.size());
        Mbuf* m = m_uiotombuf(&uio, M_NOWAIT, len, 32, M_PKTHDR | M_EOR);
        ASSERT_NE(m, nullptr);
        EXPECT_EQ(bytes_of(m), all.substr(0, want));
        EXPECT_EQ(m_leadingspace(m), 32U);
        EXPECT_EQ(uio.uio_resid, all.size() - want);
        EXPECT_NE(m_last(m)->flags() & M_EOR, 0U);
        verify(m);
        std::string x(100, '.'), y(6000, '.');
        iovec out[] = {{x.data(), x.size()}, {y.data(), y.size()}};
        Uio to{out, 2, 6100};
        EXPECT_EQ(m_mbuftouio(&to, m, 0), 0);
        EXPECT_EQ((x + y).substr(0, want), all.substr(0, want));
        EXPECT_EQ((x + y)[want], '.') << "and nothing behind";
        EXPECT_EQ(to.uio_resid, 6100 - want);
        m_freem(m);
    }
}

TEST_F(Walk, GetptrFindsEachByteAndTheEnd) {
    for (const Kind kind : kKinds) {
        Trio t(kind);
        for (uint32_t loc = 0; loc < Trio::kLen; ++loc) {
            uint32_t off = 0;
            const Mbuf* m = m_getptr(t.m, loc, &off);
            ASSERT_NE(m, nullptr);
            ASSERT_EQ(static_cast<char>(m->data()[off]), t.bytes()[loc]);
        }
        uint32_t off = 0;
        EXPECT_EQ(m_getptr(t.m, Trio::kLen, &off), m_last(t.m));
        EXPECT_EQ(off, m_last(t.m)->len());
        EXPECT_EQ(m_getptr(t.m, Trio::kLen + 1, &off), nullptr);
        t.free();
    }
}

TEST_F(Walk, ApplySeesTheRangeInOrderUntilItIsTold) {
    Trio t(Kind::shared);
    std::string seen;
    const apply_fn collect = [](void* arg, void* data, unsigned len) {
        static_cast<std::string*>(arg)->append(static_cast<char*>(data), len);
        return 0;
    };
    EXPECT_EQ(m_apply(t.m, 50, 900, collect, &seen), 0);
    EXPECT_EQ(seen, t.bytes().substr(50, 900));
    EXPECT_EQ(m_apply(t.m, 1100, 0, collect, &seen), 0);
    int calls = 0;
    const apply_fn stop = [](void* arg, void*, unsigned) { return ++*static_cast<int*>(arg) == 2 ? 42 : 0; };
    EXPECT_EQ(m_apply(t.m, 0, 1100, stop, &calls), 42);
    EXPECT_EQ(calls, 2);
    t.free();
}

TEST_F(Walk, AlignPlacesDataAtTheEndOfTheRoom) {
    for (const uint32_t len : {0U, 1U, 14U, 200U, 256U}) {
        Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
        m_align(m, len);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(m->data()) % 8, 0U);
        EXPECT_GE(m_trailingspace(m), len);
        EXPECT_LT(m_trailingspace(m), len + 8);
        m_free(m);
    }
}

TEST_F(Make, GetclrIsZeroAndGet2HasTheRoom) {
    Mbuf* m = m_getclr(M_NOWAIT, MT_DATA);
    for (uint32_t i = 0; i < kMLen; ++i) ASSERT_EQ(m->data()[i], std::byte{0});
    m_free(m);
    for (const uint32_t size : {0U, 1U, 256U, 257U, 2048U, 2049U, 16384U}) {
        m = m_get2(size, M_NOWAIT, MT_DATA, M_PKTHDR);
        EXPECT_GE(m_trailingspace(m), size);
        EXPECT_EQ((m->flags() & M_EXT) != 0, size > kMLen);
        verify(m);
        m_free(m);
    }
    EXPECT_EQ(m_get2(16385, M_NOWAIT, MT_DATA, 0), nullptr);
    m = m_get(M_NOWAIT, MT_DATA);
    void* const cluster = m_cljget(m, M_NOWAIT, 9000);
    EXPECT_EQ(cluster, m->data());
    m_free(m);
}

TEST_F(Make, Getm2HasTheRoomAndGoesBehindTheChain) {
    for (const uint32_t len : {0U, 1U, 256U, 257U, 4096U, 4097U, 20000U}) {
        const auto room = [](const Mbuf* m) {
            uint32_t n = 0;
            for (; m != nullptr; m = m->next()) n += m_trailingspace(m);
            return n;
        };
        Mbuf* m = m_getm(nullptr, len, M_NOWAIT, MT_DATA);
        EXPECT_GE(room(m), len);
        verify(m);
        m_freem(m);
        Trio t(Kind::readonly);
        const uint32_t before = room(t.m);
        ASSERT_EQ(m_getm2(t.m, len, M_NOWAIT, MT_DATA, M_EOR), t.m);
        EXPECT_GE(room(t.m), before + len);
        EXPECT_EQ(bytes_of(t.m), t.bytes());
        verify(t.m);
        t.free();
    }
}

TEST_F(Make, AddLinksWithoutMovingAByte) {
    Mbuf* m = clustered(pattern(10));
    Mbuf* n = inlined(pattern(20, 1));
    EXPECT_EQ(m_add(nullptr, m), m);
    EXPECT_EQ(m_add(m, nullptr), m);
    EXPECT_EQ(m_add(m, n), m);
    EXPECT_EQ(m->next(), n);
    verify(m);
    m_freem(m);
}

}  // namespace
}  // namespace umbuf::test
