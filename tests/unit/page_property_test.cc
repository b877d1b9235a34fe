// SPDX-License-Identifier: BSD-2-Clause
// page_property_test.cc - random verbs over chains of all kinds of storage: no page changes that may not.
//
// R07 (CVE-2026-46300, CVE-2026-43503: a mark that pages are not ours was lost where fragments were moved
// and merged). Goal: whatever the verbs did, m_changeable() says of each mbuf what the storage's holders
// and class say, and no byte changes but those that a verb was told to write. Method: a plain oracle that
// knows no count. It knows the bytes of each chain, finds who holds which storage by walking all
// chains, and keeps a copy of every page that was ever filled.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <rte_errno.h>

#include "tests/unit/page_fixture.h"

namespace umbuf::test {
namespace {

// What a byte is: its value, or a byte of a page that is not there yet, or one that nobody sees.
using Token = uint32_t;
constexpr Token kLate = 1U << 31, kHidden = 1U << 30;
using Tokens = std::vector<Token>;

struct Chain {
    Mbuf* m;
    Tokens bytes;
};

enum class State : uint8_t { ready, filling, failed };

// LatePage - a page that was given to an mbuf before its content arrived.
struct LatePage {
    Page* page;
    std::string content;
    State state = State::filling;
};

// KnownPage - what the oracle believes of a page.
struct KnownPage {
    PageClass cls = PageClass::anonymous;
    State state = State::ready;
    std::string content;
};

char lent_memory[1024];
bool is_lent(const Mbuf* m) {
    const auto* at = static_cast<const char*>(m->rte.buf_addr);
    return at >= lent_memory && at < lent_memory + sizeof lent_memory;
}

// storage_of - by addresses: a clone of DPDK's is traced to what it was made of.
const void* storage_of(const Mbuf* m) {
    if ((m->rte.ol_flags & RTE_MBUF_F_INDIRECT) != 0) {
        const Mbuf* direct = Mbuf::of(rte_mbuf_from_indirect(const_cast<rte_mbuf*>(&m->rte)));
        return is_packet(direct) ? packet_control(direct) : static_cast<const void*>(direct + 1);
    }
    if (m->foreign()) {
        const auto* record = reinterpret_cast<const std::byte*>(m->rte.shinfo);
        return reinterpret_cast<const Mbuf*>(record - offsetof(Mbuf, shinfo))->ctl.load(sync::relaxed);
    }
    return (m->flags() & M_EXT) != 0 ? ext_control(m) : static_cast<const void*>(m + 1);
}

class World {
  public:
    explicit World(uint64_t seed) : random_(seed) {}
    ~World() {
        for (Chain& c : chains_) m_freem(c.m);
    }
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    void step();
    void check();
    // What was met: a run that never saw a refusal proves nothing about refusals.
    std::map<std::string, uint32_t> met;

  private:
    uint32_t below(size_t n) { return n == 0 ? 0 : static_cast<uint32_t>(random_() % n); }
    std::string noise(uint32_t n) {
        std::string s(n, '\0');
        for (char& c : s) c = static_cast<char>(random_());
        return s;
    }

    // ---- the oracle
    [[nodiscard]] bool there(Token t) const { return t < 256 || ((t & kLate) != 0 && late_[(t & ~kLate) >> 16].state == State::ready); }
    [[nodiscard]] char value(Token t) const {
        if (t < 256) return static_cast<char>(t);
        return there(t) ? late_[(t & ~kLate) >> 16].content[t & 0xffff] : '\0';
    }
    [[nodiscard]] bool readable(const Tokens& bytes, uint32_t off, uint32_t len) const {
        return std::all_of(bytes.begin() + off, bytes.begin() + off + len, [this](Token t) { return there(t); });
    }
    [[nodiscard]] bool readable(const Chain& c) const { return readable(c.bytes, 0, length(c)); }
    [[nodiscard]] static uint32_t length(const Chain& c) { return static_cast<uint32_t>(c.bytes.size()); }
    [[nodiscard]] std::map<const void*, uint32_t> holders() const {
        std::map<const void*, uint32_t> n;
        for (const Chain& c : chains_)
            for (const Mbuf* m = c.m; m != nullptr; m = m->next()) ++n[storage_of(m)];
        return n;
    }
    [[nodiscard]] bool changeable(const Mbuf* m, const std::map<const void*, uint32_t>& held) const {
        if (m->foreign() || is_lent(m) || held.at(storage_of(m)) != 1) return false;
        const Page* page = page_of(m);
        if (page == nullptr) return true;
        const KnownPage& known = pages_.at(page);
        return known.cls == PageClass::anonymous && known.state == State::ready;
    }
    static void put(Tokens& to, uint32_t off, const std::string& bytes) {
        for (size_t i = 0; i < bytes.size(); ++i) to[off + i] = static_cast<uint8_t>(bytes[i]);
    }
    static Tokens tokens(const std::string& bytes) {
        Tokens t(bytes.size());
        put(t, 0, bytes);
        return t;
    }
    static Tokens part(const Tokens& t, uint32_t off, uint32_t len) { return {t.begin() + off, t.begin() + off + len}; }
    // shares - can [off, off + len) be shown by another chain? Clones of DPDK's are copied.
    [[nodiscard]] bool shares(const Chain& c, uint32_t off, uint32_t len) const {
        uint32_t at = 0;
        for (const Mbuf* m = c.m; m != nullptr; at += m->len(), m = m->next()) {
            const uint32_t begin = std::max(at, off);
            const uint32_t end = std::min(at + m->len(), off + len);
            if (begin < end && m->foreign() && !readable(c.bytes, begin, end - begin)) return false;
        }
        return true;
    }
    // cuts - the same for a cut at `at`: what is behind it in its mbuf is shown by another.
    [[nodiscard]] bool cuts(const Chain& c, uint32_t at) const {
        uint32_t end = 0;
        for (const Mbuf* m = c.m; m != nullptr; m = m->next()) {
            end += m->len();
            if (at < end) return shares(c, at, end - at);
            if (at == end) return true;
        }
        return true;
    }
    // unmapped_in - does the range touch an unmapped mbuf?
    [[nodiscard]] static bool unmapped_in(const Chain& c, uint32_t off, uint32_t len) {
        uint32_t at = 0;
        for (const Mbuf* m = c.m; m != nullptr; at += m->len(), m = m->next())
            if (std::max(at, off) < std::min(at + m->len(), off + len) && m_unmapped(m)) return true;
        return false;
    }
    // not_there - is any mbuf, one without bytes included, of a page that cannot be read?
    [[nodiscard]] bool not_there(const Chain& c) const {
        for (const Mbuf* m = c.m; m != nullptr; m = m->next())
            if (m_unmapped(m) && (pages_.at(page_of(m)).state != State::ready || pages_.at(page_of(m)).cls == PageClass::device)) return true;
        return false;
    }

    // ---- the verbs
    Chain segment();
    void make();
    Mbuf* page(PageClass cls, const std::string& bytes);
    Mbuf* late(uint32_t n, Tokens& t);
    void learn(const Mbuf* m);
    void add(Mbuf* m, Tokens bytes) {
        if (!m->has_pkthdr()) m = m_add(inlined(""), m);
        chains_.push_back({m, std::move(bytes)});
    }
    void lose(size_t i) { chains_.erase(chains_.begin() + static_cast<std::ptrdiff_t>(i)); }
    void arrive();
    void rearrange(uint32_t verb, size_t i);
    void write(uint32_t verb, size_t i);
    void relearn(const Chain& c, uint32_t off, uint32_t len);
    void map(uint32_t verb, size_t i);
    void expect(bool as, const char* verb, bool done) {
        EXPECT_EQ(done, as) << verb;
        ++met[std::string(verb) + (done ? " done" : " refused")];
    }

    std::mt19937_64 random_;
    std::vector<Chain> chains_;
    std::vector<LatePage> late_;
    std::map<const Page*, KnownPage> pages_;
};

// ---- chains are made

Mbuf* World::page(PageClass cls, const std::string& bytes) {
    Mbuf* m = filled(cls, bytes);
    if (m != nullptr) learn(m);
    return m;
}

void World::learn(const Mbuf* m) {
    const Page* p = page_of(m);
    pages_[p] = {p->cls, State::ready, p->cls == PageClass::device ? "" : page_bytes(p)};
}

Mbuf* World::late(uint32_t n, Tokens& t) {
    Mbuf* m = mb_alloc_ext_pgs(PageClass::cache, n, M_NOWAIT, "late");
    if (m == nullptr) return nullptr;
    const std::string bytes = noise(n);
    FillWindow fill = FillWindow::open().value();
    std::memcpy(fill.at(page_of(m)), bytes.data(), n);
    learn(m);
    pages_[page_of(m)].state = State::filling;
    t.resize(n);
    for (uint32_t i = 0; i < n; ++i) t[i] = kLate | static_cast<Token>(late_.size() << 16) | i;
    late_.push_back({page_of(m), bytes});
    return m;
}

Chain World::segment() {
    Chain c{nullptr, {}};
    std::string bytes = noise(1 + below(500));
    switch (below(9)) {
    case 0: c.m = inlined(bytes = bytes.substr(0, kMLen)); break;
    case 1: c.m = clustered(bytes); break;
    case 2: c.m = received(bytes); break;
    case 3:
        c.m = m_gethdr(M_NOWAIT, MT_DATA);
        EXPECT_EQ(m_extadd(c.m, lent_memory, sizeof lent_memory, [](void*, uint32_t, void*) {}, nullptr, M_RDONLY), 0);
        c.m->rte.pkt_len = static_cast<uint32_t>(bytes.size());
        c.m->set_len(c.m->pkt_len());
        bytes.assign(lent_memory, bytes.size());
        break;
    case 4:
    case 5: c.m = page(PageClass::anonymous, bytes); break;
    case 6: c.m = page(PageClass::cache, bytes); break;
    case 7:
        if (below(4) != 0) return segment();
        c.m = page(PageClass::device, bytes);
        c.bytes.assign(bytes.size(), kHidden);
        return c;
    default:
        c.m = late(static_cast<uint32_t>(bytes.size()), c.bytes);
        return c;
    }
    c.bytes = tokens(bytes);
    return c;
}

void World::make() {
    const std::string head = noise(1 + below(60));
    Chain c{inlined(head), tokens(head)};
    for (uint32_t n = below(5); n > 0; --n) {
        Chain more = segment();
        if (more.m == nullptr) continue;  // no page left
        below(2) == 0 ? m_cat(c.m, more.m) : static_cast<void>(m_add(c.m, more.m));
        c.bytes.insert(c.bytes.end(), more.bytes.begin(), more.bytes.end());
    }
    chains_.push_back(std::move(c));
}

// arrive - a page's content, or the news that it never will.
void World::arrive() {
    std::vector<size_t> waiting;
    for (size_t i = 0; i < late_.size(); ++i)
        if (late_[i].state == State::filling && late_[i].page->owner != nullptr && pages_.at(late_[i].page).state == State::filling) waiting.push_back(i);
    if (waiting.empty()) return;
    LatePage& page = late_[waiting[below(waiting.size())]];
    // A page that went home, and came again as another one, is not this one's to fill.
    for (const LatePage& other : late_)
        if (&other > &page && other.page == page.page) return;
    page.state = below(4) == 0 ? State::failed : State::ready;
    page.state == State::ready ? page_ready(page.page) : page_failed(page.page);
    pages_.at(page.page).state = page.state;
    ++met[page.state == State::ready ? "arrived" : "failed"];
}

// ---- verbs that move mbufs, and bytes

void World::rearrange(uint32_t verb, size_t i) {
    Chain& c = chains_[i];
    const uint32_t n = length(c);
    const uint32_t off = below(n + 1);
    const uint32_t len = below(n - off + 1);
    switch (verb) {
    case 0: {
        Mbuf* copy = m_copym(c.m, off, len, M_NOWAIT);
        expect(shares(c, off, len), "m_copym", copy != nullptr);
        if (copy != nullptr) add(copy, part(c.bytes, off, len));
        break;
    }
    case 1: {
        const bool can = cuts(c, off);
        Mbuf* rest = m_split(c.m, off, M_NOWAIT);
        expect(can, "m_split", rest != nullptr);
        if (rest == nullptr) break;
        Tokens behind = part(c.bytes, off, n - off);
        c.bytes.resize(off);
        add(rest, std::move(behind));
        break;
    }
    case 2: {
        const size_t k = below(chains_.size());
        if (k == i || n + length(chains_[k]) > 5000) break;
        m_catpkt(c.m, chains_[k].m);
        c.bytes.insert(c.bytes.end(), chains_[k].bytes.begin(), chains_[k].bytes.end());
        lose(k);
        break;
    }
    case 3:
        if (below(2) == 0) {
            m_adj(c.m, static_cast<int32_t>(off));
            c.bytes.erase(c.bytes.begin(), c.bytes.begin() + off);
        } else {
            m_adj(c.m, -static_cast<int32_t>(off));
            c.bytes.resize(n - off);
        }
        break;
    case 4: {
        Mbuf* deep = below(2) == 0 ? m_dup(c.m, M_NOWAIT) : m_dup_pkt(c.m, below(100), M_NOWAIT);
        expect(readable(c), "m_dup", deep != nullptr);
        if (deep != nullptr) add(deep, Tokens(c.bytes));
        break;
    }
    case 5: {
        Mbuf* now = m_fragment(c.m, M_NOWAIT, 20 + below(2000));
        expect(readable(c), "m_fragment", now != c.m);
        c.m = now;
        break;
    }
    case 6: {
        const uint32_t most = 1 + below(6);
        const bool few = c.m->rte.nb_segs <= most;
        const bool can = few || readable(c);
        const bool done = m_collapse(c.m, M_NOWAIT, most) != nullptr;
        expect(can && done, "m_collapse", done);  // the first mbuf stays: one may be too few
        break;
    }
    case 7: {
        const bool one = c.m->next() == nullptr;
        Mbuf* now = m_defrag(c.m, M_NOWAIT);
        expect(one || readable(c), "m_defrag", now != nullptr);
        if (now != nullptr) c.m = now;
        break;
    }
    case 8: {
        Mbuf* clone = Mbuf::of(rte_pktmbuf_clone(&c.m->rte, rx_zone()->pool));
        if (clone != nullptr) chains_.push_back({clone, Tokens(c.bytes)});
        break;
    }
    case 9: {
        const bool can = len > 0 && !unmapped_in(c, 0, len);
        if (len == 0) break;
        const bool done = m_ensure_contig(&c.m, len);
        expect(can, "m_ensure_contig", done);
        for (uint32_t k = 0; done && k < len; ++k) ASSERT_EQ(static_cast<char>(c.m->data()[k]), value(c.bytes[k]));
        break;
    }
    default:
        m_freem(c.m);
        lose(i);
        break;
    }
}

// ---- verbs that write

void World::write(uint32_t verb, size_t i) {
    Chain& c = chains_[i];
    const uint32_t n = length(c);
    const uint32_t off = below(n + 1);
    const uint32_t len = below(std::min(n - off, 300U) + 1);
    const std::string bytes = noise(len);
    switch (verb) {
    case 0: {
        const std::string front = noise(below(100));
        c.m = m_prepend(c.m, static_cast<uint32_t>(front.size()), M_NOWAIT);
        ASSERT_NE(c.m, nullptr);
        std::memcpy(c.m->data(), front.data(), front.size());
        const Tokens t = tokens(front);
        c.bytes.insert(c.bytes.begin(), t.begin(), t.end());
        break;
    }
    case 1: {  // an explicit window on one mbuf
        const auto held = holders();
        uint32_t at = 0;
        Mbuf* m = c.m;
        const bool own_page = below(2) == 0;
        const auto here = [&] { return m_unmapped(m) && m->len() > 0 && changeable(m, held); };
        for (uint32_t k = own_page ? 99 : below(c.m->rte.nb_segs); k > 0 && m->next() != nullptr && !(own_page && here()); --k, m = m->next()) at += m->len();
        if (m->len() == 0) break;
        const uint32_t from = below(m->len());
        const std::string text = noise(1 + below(m->len() - from));
        const bool can = changeable(m, held);
        PageMap window;
        const int error = page_map(m, from, static_cast<uint32_t>(text.size()), PageProt::write, window);
        expect(can, "page_map", error == 0);
        if (error != 0) break;
        std::memcpy(window.bytes(), text.data(), text.size());
        window.close();
        put(c.bytes, at + from, text);
        Page* page = page_of(m);
        if (page == nullptr) break;
        const auto in_page = static_cast<size_t>(ghost::of(m->data()) - page->ctl.base) + from;
        pages_.at(page).content.replace(in_page, text.size(), text);
        ++met["page written"];
        break;
    }
    case 2: {
        const bool can = readable(c.bytes, off, len);
        Mbuf* now = m_copyback_cow(c.m, off, len, bytes.data(), M_NOWAIT);
        expect(can, "m_copyback_cow", now != nullptr);
        c.m = now;
        if (now == nullptr) return lose(i);
        put(c.bytes, off, bytes);
        relearn(c, off, len);
        break;
    }
    case 3: {
        int as = 0;
        const auto held = holders();
        uint32_t at = 0;
        for (const Mbuf* m = c.m; m != nullptr && as == 0; at += m->len(), m = m->next())
            if (std::max(at, off) < std::min(at + m->len(), off + len)) as = m_unmapped(m) ? EOPNOTSUPP : page_of(m) != nullptr || !changeable(m, held) ? EROFS : 0;
        const int error = m_copyback(c.m, off, len, bytes.data(), M_NOWAIT);
        EXPECT_EQ(error, as) << "m_copyback";
        expect(as == 0, "m_copyback", error == 0);
        if (error == 0) put(c.bytes, off, bytes);
        break;
    }
    case 4: {
        const std::string tail = noise(below(600));
        ASSERT_EQ(m_append(c.m, static_cast<uint32_t>(tail.size()), tail.data()), 1);
        const Tokens t = tokens(tail);
        c.bytes.insert(c.bytes.end(), t.begin(), t.end());
        break;
    }
    case 5: {
        const uint32_t hole = 1 + below(60);
        const bool can = cuts(c, off);
        uint32_t at = 0;
        Mbuf* m = m_makespace(c.m, off, hole, &at);
        expect(can, "m_makespace", m != nullptr);
        if (m == nullptr) break;
        const std::string text = noise(hole);
        std::memcpy(m->data() + at, text.data(), hole);
        const Tokens t = tokens(text);
        c.bytes.insert(c.bytes.begin() + off, t.begin(), t.end());
        break;
    }
    case 6: {
        const bool can = readable(c);
        const int error = m_unshare(&c.m, M_NOWAIT);
        expect(can, "m_unshare", error == 0);
        for (const Mbuf* m = c.m; m != nullptr && error == 0; m = m->next()) EXPECT_TRUE(m->len() == 0 || m_changeable(m));
        break;
    }
    case 7: {
        const int error = m_makewritable(&c.m, off, len, M_NOWAIT);
        expect(readable(c.bytes, off, len), "m_makewritable", error == 0);
        uint32_t at = 0;
        for (const Mbuf* m = c.m; m != nullptr && error == 0; at += m->len(), m = m->next())
            EXPECT_TRUE(std::max(at, off) >= std::min(at + m->len(), off + len) || m_changeable(m));
        break;
    }
    default: {
        if (len == 0) break;
        const bool can = !unmapped_in(c, off, len);
        uint32_t at = 0;
        Mbuf* m = m_pulldown(c.m, off, len, &at);
        expect(can, "m_pulldown", m != nullptr);
        if (m == nullptr) return lose(i);
        EXPECT_TRUE(m_writable(m));
        std::memcpy(m->data() + at, bytes.data(), len);
        put(c.bytes, off, bytes);
        break;
    }
    }
}

// relearn - the pages of [off, off + len) were written by a verb that may: what else they have is as before.
void World::relearn(const Chain& c, uint32_t off, uint32_t len) {
    uint32_t at = 0;
    for (const Mbuf* m = c.m; m != nullptr; at += m->len(), m = m->next()) {
        const uint32_t begin = std::max(at, off);
        const uint32_t end = std::min(at + m->len(), off + len);
        Page* page = page_of(m);
        if (begin >= end || page == nullptr) continue;
        EXPECT_EQ(page->cls, PageClass::anonymous);
        const auto in_page = static_cast<size_t>(ghost::of(m->data()) - page->ctl.base) + (begin - at);
        for (uint32_t k = begin; k < end; ++k) pages_.at(page).content[in_page + (k - begin)] = value(c.bytes[k]);
    }
}

// ---- from unmapped to mapped, and back

void World::map(uint32_t verb, size_t i) {
    Chain& c = chains_[i];
    switch (verb) {
    case 0: expect(!not_there(c), "mb_unmapped_to_ext", mb_unmapped_to_ext(&c.m, M_NOWAIT, MappedFor::caller) == 0); break;
    case 1: mb_mapped_again(c.m); break;
    case 2: expect(!not_there(c), "mb_unmapped_copy", mb_unmapped_copy(&c.m, M_NOWAIT, CopiedFor::verb) == 0); break;
    case 3: {
        const auto held = holders();
        for (Mbuf* m = c.m; m != nullptr; m = m->next()) {
            if (!m_unmapped(m) || m->foreign()) continue;
            const KnownPage& known = pages_.at(page_of(m));
            const bool can = m->len() <= kMLen && known.cls != PageClass::device && known.state == State::ready && held.at(storage_of(m)) == 1;
            expect(can, "mb_unmapped_compress", mb_unmapped_compress(m) == 0);
            break;
        }
        break;
    }
    default: {
        if (c.bytes.empty() || page_counters().in_use[1] + 2 > page_counters().total[1]) break;
        Mbuf* copy = mb_mapped_to_unmapped(c.m, M_NOWAIT, "test");
        expect(readable(c), "mb_mapped_to_unmapped", copy != nullptr);
        if (copy == nullptr) break;
        for (const Mbuf* m = copy; m != nullptr; m = m->next()) learn(m);
        add(copy, Tokens(c.bytes));
        break;
    }
    }
}

void World::step() {
    if (chains_.size() < 2 || (chains_.size() < 9 && below(4) == 0)) return make();
    const size_t i = below(chains_.size());
    if (length(chains_[i]) > 6000 || chains_.size() > 14) return rearrange(99, i);
    switch (below(5)) {
    case 0:
    case 1: return rearrange(below(11), i);
    case 2: {
        const uint32_t verb = below(12);
        return write(verb < 9 ? verb : 1, i);  // most often through a window, as nothing else writes pages
    }
    case 3: return map(below(5), i);
    default: return below(2) == 0 ? arrive() : rearrange(below(2), i);
    }
}

// ---- what is true after every step

void World::check() {
    const auto held = holders();
    for (const Chain& c : chains_) {
        const auto fault = m_sanity(c.m);
        ASSERT_FALSE(fault) << *fault;
        ASSERT_EQ(m_length(c.m), c.bytes.size());
        std::string expected(c.bytes.size(), '\0');
        uint32_t unseen = 0;
        for (size_t k = 0; k < expected.size(); ++k) {
            expected[k] = value(c.bytes[k]);
            unseen += there(c.bytes[k]) ? 0 : 1;
        }
        std::string seen(expected.size(), '\0');
        uint32_t hidden = 0;
        ASSERT_EQ(m_snap(c.m, length(c), seen.data(), &hidden), length(c));
        ASSERT_EQ(hidden, unseen);
        ASSERT_TRUE(seen == expected) << "the bytes of a chain changed";
        for (const Mbuf* m = c.m; m != nullptr; m = m->next()) {
            const bool mine = changeable(m, held);
            ASSERT_EQ(m_changeable(m), mine) << m->len() << " bytes, flags " << m->flags();
            ++met[mine ? "changeable" : "not changeable"];
        }
    }
    for (const auto& [page, known] : pages_)
        ASSERT_TRUE(known.cls == PageClass::device || page_bytes(page) == known.content) << "page " << page->number << " changed";
}

uint32_t rounds(uint32_t by_default) {
    const char* given = std::getenv("UM_ROUNDS");
    return given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 0)) : by_default;
}

ArenaConfig small_pages(bool strict) {
    ArenaConfig c;
    c.cache = {24, 4096};
    c.anonymous = {24, 8192};
    c.device = {4, kFrame};
    c.strict = strict;
    c.pool_cache = 0;
    return c;
}

class Property : public PageTest {
  protected:
    void SetUp() override {}
    void run(bool strict, uint32_t by_default, uint32_t steps) {
        for (size_t i = 0; i < sizeof lent_memory; ++i) lent_memory[i] = static_cast<char>(i * 7);
        open(small_pages(strict));
        std::map<std::string, uint32_t> met;
        for (uint32_t round = 0; round < rounds(by_default); ++round) {
            Watchdog::feed();
            World world(seed() + round);
            for (uint32_t i = 0; i < steps; ++i) {
                world.step();
                world.check();
                ASSERT_FALSE(HasFailure()) << "round " << round << ", step " << i << ", scheme " << refs_in_use().name;
            }
            for (const auto& [what, n] : world.met) met[what] += n;
        }
        if (strict) return;  // the same verbs, fewer of them
        uint32_t unreadable = 0;
        for (const char* verb : {"m_dup", "m_unshare", "m_fragment", "m_makewritable", "m_copyback_cow"}) unreadable += met[std::string(verb) + " refused"];
        EXPECT_GT(unreadable, 0U);
        for (const char* what : {"changeable", "not changeable", "page written", "arrived", "m_split done", "m_unshare done", "page_map refused",
                                 "m_copyback refused", "mb_unmapped_to_ext done"})
            EXPECT_GT(met[what], 0U) << what << " was never met";
    }
};

TEST_F(Property, R07_NoVerbLosesTheMarkOrWritesAPage) { run(false, 30, 150); }
TEST_F(Property, R07_NeitherInAStrictArena) { run(true, 8, 80); }

}  // namespace
}  // namespace umbuf::test
