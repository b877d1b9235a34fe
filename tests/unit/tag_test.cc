// SPDX-License-Identifier: BSD-2-Clause
// tag_test.cc - tags go where their packet goes, and end when it ends.
#include "tests/unit/verb_fixture.h"

namespace umbuf::test {
namespace {

class Tags : public MbufTest {};

TEST_F(Tags, AreFoundByKindFromTheNewestOn) {
    Mbuf* m = inlined(pattern(10));
    for (const char* text : {"a", "b", "c"}) add_tag(m, 5, text);
    add_tag(m, 6, "");
    EXPECT_EQ(tags_of(m), "6: 5:c 5:b 5:a");
    const MTag* t = m_tag_find(m, 5);
    EXPECT_EQ(*static_cast<const char*>(t->data()), 'c');
    t = m_tag_find(m, 5, t);
    EXPECT_EQ(*static_cast<const char*>(t->data()), 'b');
    EXPECT_EQ(m_tag_find(m, 7), nullptr);
    EXPECT_EQ(m_tag_locate(m, 1, 5, nullptr), nullptr) << "another module's 5";
    verify(m);
    m_freem(m);
}

TEST_F(Tags, AreOfACookieAndALengthUpToTheLimit) {
    EXPECT_EQ(m_tag_get(1, kTagLen + 1, M_NOWAIT), nullptr);
    MTag* t = m_tag_alloc(0xc00c1e, 1, kTagLen, M_NOWAIT);
    ASSERT_NE(t, nullptr);
    std::memset(t->data(), 7, kTagLen);
    MTag* copy = m_tag_copy(t, M_NOWAIT);
    EXPECT_EQ(std::memcmp(copy->data(), t->data(), kTagLen), 0);
    EXPECT_EQ(copy->m_tag_cookie, 0xc00c1eU);
    Mbuf* m = received(pattern(20));
    m_tag_prepend(m, t);
    EXPECT_EQ(m_tag_locate(m, 0xc00c1e, 1, nullptr), t);
    m_tag_free(copy);
    m_freem(m);
}

TEST_F(Tags, CanBeTakenOffAndDeletedAnywhereInTheList) {
    Mbuf* m = inlined(pattern(10));
    for (uint16_t id = 1; id <= 5; ++id) add_tag(m, id, "");
    MTag* t = m_tag_find(m, 3);
    m_tag_unlink(m, t);
    EXPECT_EQ(tags_of(m), "5: 4: 2: 1:");
    m_tag_prepend(m, t);
    m_tag_delete(m, m_tag_find(m, 1));
    m_tag_delete(m, m_tag_first(m));
    EXPECT_EQ(tags_of(m), "5: 4: 2:");
    m_tag_delete_chain(m, m_tag_find(m, 4));
    EXPECT_EQ(tags_of(m), "5:");
    m_tag_delete_chain(m);
    EXPECT_EQ(m_tag_first(m), nullptr);
    m_tag_delete_chain(m);
    m_freem(m);
}

TEST_F(Tags, OfAPacketOfOneMbufGoWithItsCopies) {
    for (const Kind kind : kKinds) {
        if (kind == Kind::clone) continue;  // it has no place for tags
        SCOPED_TRACE(name(kind));
        const Made made = make(kind, pattern(200));
        add_tag(made.m, 7, "one");
        for (Mbuf* copy : {m_copypacket(made.m, M_NOWAIT), m_copym(made.m, 0, 100, M_NOWAIT)}) {
            EXPECT_EQ(tags_of(copy), "7:one");
            EXPECT_NE(m_tag_first(copy), m_tag_first(made.m)) << "copies of their own";
            verify(copy);
            m_freem(copy);
        }
        m_freem(made.m);
        m_freem(made.other);
    }
}

TEST_F(Tags, GoWithThePacketThroughEachVerb) {
    for (const Kind kind : kKinds) {
        SCOPED_TRACE(name(kind));
        Trio t(kind);
        for (Mbuf* copy : {m_copypacket(t.m, M_NOWAIT), m_copym(t.m, 0, 500, M_NOWAIT), m_dup(t.m, M_NOWAIT),
                           m_dup_pkt(t.m, 0, M_NOWAIT), m_dup(t.m, 0, 200, M_NOWAIT)}) {
            Trio::expect_header(copy);
            EXPECT_NE(m_tag_first(copy), m_tag_first(t.m)) << "copies of their own";
            verify(copy);
            m_freem(copy);
        }
        Mbuf* inside = m_copym(t.m, 1, 50, M_NOWAIT);
        EXPECT_EQ(tags_of(inside), "") << "no packet, no tags";
        m_freem(inside);
        t.m = m_prepend(t.m, 100, M_NOWAIT);
        Trio::expect_header(t.m);
        t.m = m_pullup(t.m, 600);
        Trio::expect_header(t.m);
        t.m = m_copyup(t.m, 20, 40);
        Trio::expect_header(t.m);
        t.m = m_unshare(t.m, M_NOWAIT);
        t.m = m_defrag(m_fragment(t.m, M_NOWAIT, 200), M_NOWAIT);
        Trio::expect_header(t.m);
        Mbuf* rest = m_split(t.m, 300, M_NOWAIT);
        Trio::expect_header(t.m);
        Trio::expect_header(rest);
        verify(t.m);
        m_catpkt(t.m, rest);
        Trio::expect_header(t.m);
        verify(t.m);
        t.free();
    }
}

TEST_F(Tags, OfASplitBetweenMbufsAreCopiedAlsoWhenTheSecondIsDpdks) {
    for (const Kind kind : kKinds) {
        SCOPED_TRACE(name(kind));
        Trio t(kind);
        Mbuf* rest = m_split(t.m, 100, M_NOWAIT);
        ASSERT_NE(rest, nullptr);
        Trio::expect_header(rest);
        EXPECT_EQ(bytes_of(rest), t.bytes().substr(100));
        verify(t.m);
        verify(rest);
        m_freem(rest);
        t.free();
    }
}

TEST_F(Tags, OfAnEndedHeaderAreFreed) {  // the fixture counts them
    Mbuf* m = inlined(pattern(100));
    Mbuf* n = clustered(pattern(2000));
    Mbuf* small = inlined(pattern(3));
    for (Mbuf* each : {m, n, small}) add_tag(each, 1, "x");
    m_cat(m, n);      // linked: n is demoted
    m_cat(m, small);  // moved: small is freed
    EXPECT_EQ(tags_of(m), "1:x");
    verify(m);
    m_removehdr(m);
    EXPECT_EQ(m_tag_first(m), nullptr);
    EXPECT_FALSE(m->has_pkthdr());
    m_freem(m);
}

TEST_F(Tags, AreStrippedBeforeADriverGetsThePacket) {
    const uint64_t lost = mbuf_traps().lost_tags;
    for (Mbuf* m : {inlined(pattern(9)), received(pattern(9))}) {
        add_tag(m, 1, "x");
        m_strip(m);
        EXPECT_EQ(m_tag_first(m), nullptr);
        rte_pktmbuf_free(&m->rte);
    }
    EXPECT_EQ(mbuf_traps().lost_tags, lost);
}

// Takes every free mbuf of a zone and gives them back, as the next users of all of them would.
template <class Get>
void use_all(Get get) {
    std::vector<Mbuf*> all;
    while (Mbuf* m = get()) {
        EXPECT_EQ(m_tag_first(m), nullptr);
        all.push_back(m);
    }
    for (Mbuf* m : all) m_free(m);
}

TEST_F(Tags, ThatADriverFreedWithThePacketAreFreedAtReuseAndCounted) {
    const uint64_t lost = mbuf_traps().lost_tags;
    Mbuf* m = inlined(pattern(9));
    add_tag(m, 1, "x");
    add_tag(m, 2, "y");
    rte_pktmbuf_free(&m->rte);
    use_all([] { return m_get(M_NOWAIT, MT_DATA); });
    EXPECT_EQ(mbuf_traps().lost_tags, lost + 2);
    m = received(pattern(9));
    add_tag(m, 1, "x");
    rte_pktmbuf_free(&m->rte);
    use_all([] {
        Mbuf* next = received("z");
        if (next != nullptr) next->make_valid();
        return next;
    });
    EXPECT_EQ(mbuf_traps().lost_tags, lost + 3);
}

TEST_F(Tags, OfAnEmptyZoneAreDeniedAndCounted) {
    Zone* zone = zone_of(ZoneKind::tag);
    const uint64_t denied = zone->denied();
    std::vector<MTag*> all;
    while (MTag* t = m_tag_get(1, 8, M_NOWAIT)) all.push_back(t);
    EXPECT_EQ(zone->denied(), denied + 1);
    Mbuf* m = inlined(pattern(5));
    Mbuf* to = inlined(pattern(5));
    m_tag_prepend(m, all.back());
    all.pop_back();
    EXPECT_EQ(m_tag_copy_chain(to, m, M_NOWAIT), ENOMEM);
    m_copy_pkthdr(to, m);
    EXPECT_EQ(m_tag_first(to), nullptr) << "m_copy_pkthdr does without";
    for (MTag* t : all) m_tag_free(t);
    m_freem(m);
    m_freem(to);
}

TEST_F(Tags, HaveNoPlaceOnAForeignMbuf) {
    Made made = make(Kind::clone, pattern(50));
    Mbuf* tagged = inlined(pattern(5));
    EXPECT_EQ(m_tag_copy_chain(made.m, tagged, M_NOWAIT), 0) << "none to copy";
    add_tag(tagged, 1, "x");
    EXPECT_EQ(m_tag_copy_chain(made.m, tagged, M_NOWAIT), ENOMEM);
    MTag* t = m_tag_get(1, 1, M_NOWAIT);
    EXPECT_DEATH(m_tag_prepend(made.m, t), "foreign");
    m_tag_free(t);
    for (Mbuf* m : {tagged, made.m, made.other}) m_freem(m);
}

TEST_F(Tags, OnAnInnerMbufAreFoundByVerify) {
    Mbuf* m = inlined(pattern(5));
    Mbuf* inner = inlined(pattern(5, 1));
    add_tag(inner, 1, "x");
    MTag* t = m_tag_first(inner);
    m_add(m, inner);
    EXPECT_EQ(m_tag_first(inner), nullptr);
    t = m_tag_get(1, 1, M_NOWAIT);
    inner->tags = t;
    ASSERT_TRUE(m_sanity(m));
    EXPECT_EQ(m_sanity(m)->substr(0, 2), "V8");
    inner->tags = nullptr;
    m_tag_free(t);
    m_freem(m);
}

}  // namespace
}  // namespace umbuf::test
