// SPDX-License-Identifier: BSD-2-Clause
// verb_failure_test.cc - one table: each verb, each allocation or share in it, each kind of storage.
//
// Goal: when memory runs out, the caller is left with what the verb's header promises. Method: arm the
// injector for the 1st, 2nd, 3rd ... event until the verb succeeds; after each failure compare byte
// image, lengths, flags, header, tags and zones with what they were. Chains are built anew for each try.
#include "tests/unit/verb_fixture.h"

namespace umbuf::test {
namespace {

class VerbFailure : public MbufTest {};

enum class After {
    unchanged,  // every mbuf, byte, flag and tag is where it was, and nothing leaked
    whole,      // all bytes and tags are there, in mbufs that may be others
    consumed,   // the chain is freed
};

struct Row {
    const char* verb;
    After after;
    uint32_t events;                   // allocations and shares, for the kind that needs the most
    std::function<bool(Trio&)> run;    // true: it succeeded. Frees what it made; updates t.m
};

bool freed(Mbuf* made) {
    m_freem(made);
    return made != nullptr;
}
bool kept(Trio& t, Mbuf* result) {
    t.m = result;
    return result != nullptr;
}

const std::string kText = pattern(1100, 9);

const std::vector<Row>& table() {
    static const std::vector<Row> rows = {
        {"m_copym", After::unchanged, 7, [](Trio& t) { return freed(m_copym(t.m, 0, M_COPYALL, M_NOWAIT)); }},
        {"m_copym, inside", After::unchanged, 5, [](Trio& t) { return freed(m_copym(t.m, 50, 900, M_NOWAIT)); }},
        {"m_copypacket", After::unchanged, 7, [](Trio& t) { return freed(m_copypacket(t.m, M_NOWAIT)); }},
        {"m_dup", After::unchanged, 4, [](Trio& t) { return freed(m_dup(t.m, M_NOWAIT)); }},
        {"m_dup, inside", After::unchanged, 2, [](Trio& t) { return freed(m_dup(t.m, 50, 900, M_NOWAIT)); }},
        {"m_dup_data", After::unchanged, 2, [](Trio& t) { return freed(m_dup_data(t.m, M_NOWAIT)); }},
        {"m_dup_pkt", After::unchanged, 4, [](Trio& t) { return freed(m_dup_pkt(t.m, 64, M_NOWAIT)); }},
        {"m_split, inline bytes", After::unchanged, 3, [](Trio& t) { return freed(m_split(t.m, 10, M_NOWAIT)); }},
        {"m_split, second mbuf", After::unchanged, 4, [](Trio& t) { return freed(m_split(t.m, 250, M_NOWAIT)); }},
        {"m_split, received mbuf", After::unchanged, 4, [](Trio& t) { return freed(m_split(t.m, 900, M_NOWAIT)); }},
        {"m_split, between", After::unchanged, 3, [](Trio& t) { return freed(m_split(t.m, 100, M_NOWAIT)); }},
        {"m_makespace", After::unchanged, 4,
         [](Trio& t) {
             uint32_t off = 0;
             return m_makespace(t.m, 200, 300, &off, M_NOWAIT) != nullptr;
         }},
        {"m_defrag", After::unchanged, 2,
         [](Trio& t) {
             Mbuf* n = m_defrag(t.m, M_NOWAIT);
             if (n != nullptr) t.m = n;
             return n != nullptr;
         }},
        {"m_fragment", After::unchanged, 8,
         [](Trio& t) {
             Mbuf* n = m_fragment(t.m, M_NOWAIT, 150);
             return n == t.m ? false : kept(t, n);
         }},
        {"m_ensure_contig", After::unchanged, 2, [](Trio& t) { return m_ensure_contig(&t.m, 1000); }},
        {"m_getm2", After::unchanged, 4,
         [](Trio& t) { return m_getm2(t.m, 5000, M_NOWAIT, MT_DATA, M_EOR) != nullptr; }},
        {"m_dup_pkthdr", After::unchanged, 3,
         [](Trio& t) {
             Mbuf* to = m_get(M_WAITOK, MT_DATA);
             if (to == nullptr) return false;
             const int error = m_dup_pkthdr(to, t.m, M_NOWAIT);
             EXPECT_EQ(m_tag_first(to) == nullptr, error != 0);
             EXPECT_EQ(to->has_pkthdr(), error == 0);
             m_free(to);
             return error == 0;
         }},
        {"m_tag_copy_chain", After::unchanged, 3,
         [](Trio& t) {
             Mbuf* to = m_gethdr(M_WAITOK, MT_DATA);
             if (to == nullptr) return false;
             const int error = m_tag_copy_chain(to, t.m, M_NOWAIT);
             EXPECT_TRUE(error == 0 || m_tag_first(to) == nullptr);
             m_free(to);
             return error == 0;
         }},
        {"m_devget", After::unchanged, 2,
         [](Trio&) { return freed(m_devget(kText.data(), 1100, 2)); }},
        {"m_uiotombuf", After::unchanged, 2,
         [](Trio&) {
             std::string text = kText;
             iovec pieces[] = {{text.data(), 300}, {text.data() + 300, 800}};
             Uio uio{pieces, 2, 1100};
             Mbuf* m = m_uiotombuf(&uio, M_NOWAIT, 0, 16, M_PKTHDR);
             EXPECT_EQ(uio.uio_resid, m == nullptr ? 1100U : 0U);
             EXPECT_EQ(pieces[0].iov_len, m == nullptr ? 300U : 0U);
             return freed(m);
         }},
        {"m_makewritable", After::whole, 3,
         [](Trio& t) { return m_makewritable(&t.m, 150, 100, M_NOWAIT) == 0; }},
        {"m_makewritable, all", After::whole, 2,
         [](Trio& t) { return m_makewritable(&t.m, 0, M_COPYALL, M_NOWAIT) == 0; }},
        {"m_collapse", After::whole, 2, [](Trio& t) { return m_collapse(t.m, M_NOWAIT, 2) != nullptr; }},
        {"m_prepend", After::consumed, 1, [](Trio& t) { return kept(t, m_prepend(t.m, 64, M_NOWAIT)); }},
        {"m_pullup", After::consumed, 2, [](Trio& t) { return kept(t, m_pullup(t.m, 1000)); }},
        {"m_copyup", After::consumed, 2, [](Trio& t) { return kept(t, m_copyup(t.m, 300, 14)); }},
        {"m_pulldown", After::consumed, 5,
         [](Trio& t) {
             uint32_t off = 0;
             if (m_pulldown(t.m, 150, 40, &off) != nullptr && m_pulldown(t.m, 250, 600, nullptr) != nullptr)
                 return true;
             t.m = nullptr;
             return false;
         }},
        {"m_unshare", After::consumed, 2, [](Trio& t) { return kept(t, m_unshare(t.m, M_NOWAIT)); }},
        {"m_copyback_cow", After::consumed, 3,
         [](Trio& t) { return kept(t, m_copyback_cow(t.m, 150, 100, t.bytes().data() + 150, M_NOWAIT)); }},
    };
    return rows;
}

struct Segment {
    const Mbuf* m;
    const std::byte* data;
    uint32_t len, room, flags;
    bool operator==(const Segment&) const = default;
};
std::vector<Segment> segments(const Mbuf* m) {
    std::vector<Segment> all;
    for (; m != nullptr; m = m->next())
        all.push_back({m, m->data(), m->len(), uint32_t{m->rte.buf_len} - m->rte.data_off, m->flags()});
    return all;
}

void expect_after(const Row& row, Trio& t, const std::vector<Segment>& before,
                  const std::vector<uint32_t>& in_use, const std::string& at) {
    SCOPED_TRACE(at);
    if (row.after == After::consumed) {
        EXPECT_EQ(t.m, nullptr);
    } else {
        ASSERT_NE(t.m, nullptr);
        EXPECT_EQ(m_sanity(t.m), std::nullopt);
        EXPECT_EQ(bytes_of(t.m), t.bytes());
        EXPECT_EQ(t.m->pkt_len(), Trio::kLen);
        Trio::expect_header(t.m);
    }
    if (row.after == After::unchanged) {
        EXPECT_EQ(segments(t.m), before);
        // A source that was proxied on the way may stay so: the proxy is its own, not a leak.
        for (const Unbalanced& u : zones_unbalanced(in_use))
            EXPECT_NE(u.zone.find("um_proxy"), std::string::npos) << "a partial result leaked: " << u.zone;
    }
    t.expect_other();
}

// Fails the k-th event of row's verb on a fresh chain. True: the verb had fewer, and succeeded.
bool fail_one(const Row& row, Kind kind, uint32_t k) {
    const std::vector<uint32_t> empty = levels();
    Trio t(kind);
    const std::vector<Segment> before = segments(t.m);
    const std::vector<uint32_t> in_use = levels();
    alloc_faults_arm(k);
    const bool done = row.run(t);
    alloc_faults_arm(0);
    const std::string at = std::string(row.verb) + ", " + name(kind) + ", event " + std::to_string(k);
    if (!done) expect_after(row, t, before, in_use, at);
    if (done) t.expect_other();
    t.free();
    for (const Unbalanced& u : zones_unbalanced(empty))
        ADD_FAILURE() << at << ": " << u.zone << " has " << u.in_use << " in use, not " << u.expected;
    return done;
}

TEST_F(VerbFailure, EachVerbKeepsItsPromiseAtEachAllocation) {
    for (const Row& row : table()) {
        uint32_t most = 0;
        for (const Kind kind : kKinds) {
            uint32_t k = 1;
            while (!fail_one(row, kind, k) && k < 100) ++k;
            ASSERT_LT(k, 100U) << row.verb << " never succeeds on " << name(kind);
            most = std::max(most, k - 1);
        }
        if (refs_in_use().takes_proxies)  // a first share is one more that can fail
            EXPECT_GE(most, row.events) << row.verb;
        else
            EXPECT_EQ(most, row.events) << row.verb;
    }
}

// An errno that the zone gives for real, not the injector.
TEST_F(VerbFailure, WithoutTagsLeftACopyFailsAndTheOriginalIsWhole) {
    Trio t(Kind::cluster);
    std::vector<MTag*> all;
    while (MTag* tag = m_tag_get(9, 1, M_NOWAIT)) all.push_back(tag);
    EXPECT_EQ(m_copypacket(t.m, M_NOWAIT), nullptr);
    EXPECT_EQ(m_dup(t.m, M_NOWAIT), nullptr);
    EXPECT_EQ(m_split(t.m, 300, M_NOWAIT), nullptr);
    EXPECT_EQ(m_split(t.m, 100, M_NOWAIT), nullptr);
    EXPECT_EQ(bytes_of(t.m), t.bytes());
    Trio::expect_header(t.m);
    verify(t.m);
    EXPECT_TRUE(m_writable(t.m->next())) << "no share is left behind";
    for (MTag* tag : all) m_tag_free(tag);
    Mbuf* rest = m_split(t.m, 300, M_NOWAIT);
    Trio::expect_header(rest);
    m_freem(rest);
    t.free();
}

}  // namespace
}  // namespace umbuf::test
