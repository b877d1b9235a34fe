// SPDX-License-Identifier: BSD-2-Clause
// esp_hole_test.cc - the holes that others had where cryptography met storage that is not its own: ours is shut.
//
//      R04  FreeBSD D48265      content that has not arrived
//      R05  CVE-2026-45257      a file's page that comes back from a port, decrypted in place
//      R06  CVE-2026-43284, -43500   "not cloned" taken for "mine"
//      R07  CVE-2026-46300, -43503   a mark that was lost where pieces were moved
//      R08  CVE-2026-31431      the destination used for scratch (esp_engine_test.cc; here: whole packets)
//      R09  CVE-2022-27666      room for less than the whole packet
// With the guard taken away, by an engine that writes where it reads, a file's page still does not change:
// there is no address to write it at.
#include <algorithm>
#include <array>
#include <functional>

#include "lib/ipsec/esp_batch.h"
#include "lib/page/fault.h"
#include "tests/unit/esp_proof.h"
#include "tests/unit/port_fixture.h"

namespace umbuf::test {
namespace {

class EspHoles : public EspProof {
  protected:
    uint32_t looked_at = 0;
    // esp_of - an ESP packet as a peer sends it.
    std::string esp_of(const SaTerms& terms, const std::string& packet) {
        const auto sa = of_engine(terms);
        Mbuf* m = cut_up(packet, {});
        EXPECT_TRUE(output(*sa, m).ok());
        std::string esp = bytes_of(m);
        m_freem(m);
        return esp;
    }
};

TEST_P(EspHoles, R04_WhatHasNotArrivedIsNotDecryptedEither) {
    struct Case {
        PageClass cls;
        int error;
    };
    for (const Case& c : {Case{PageClass::cache, EBUSY}, Case{PageClass::cache, EIO}, Case{PageClass::device, EOPNOTSUPP}}) {
        const SaTerms terms = terms_of("aes-gcm-128");
        const auto sa = of_engine(terms);
        Mbuf* tail = mb_alloc_ext_pgs(c.cls, 100, M_NOWAIT, "test");
        Page* page = page_of(tail);
        if (c.error == EIO) page_failed(page);
        Mbuf* m = headed(ip_header({.proto = kProtoEsp}, 100), tail);
        const std::vector<uint32_t> before = levels();
        const EspFate fate = input(*sa, m);
        EXPECT_EQ(fate.why, Xfrm::in_error);
        EXPECT_EQ(fate.error, c.error);
        EXPECT_EQ(levels(), before);
        EXPECT_EQ(m->next(), tail);
        EXPECT_EQ(sa->counters.refused.of(Xfrm::in_error), 1u);
        m_freem(m);
        if (c.error == EBUSY) page_ready(page);
    }
}

// A page of a file leaves by a port that is a loop, and is ESP for us.
TEST_P(EspHoles, R05_CVE_2026_45257_APageThatComesBackFromAPortIsNotDecryptedInPlace) {
    Ring loop = make_ring(64);
    PortConfig wanted = config_with_zone();
    wanted.unmapped = true;
    auto port = configured(ring_device({loop.get()}, {loop.get()}), wanted);
    test::open(*port);
    for (const std::string& name : algorithms_of(engine())) {
        const SaTerms terms = terms_of(name);
        const std::string packet = udp_packet({}, 3000), esp = esp_of(terms, packet);
        Mbuf* m = paged(PageClass::cache, esp, 28);
        Mbuf* held = m_copypacket(m, M_NOWAIT);
        const Page* page = page_of(m->next());
        const std::string content = page_bytes(page);
        const uint64_t faults = faults_caught();
        ASSERT_TRUE(test::send(*port, m));
        Mbuf* back = test::receive(*port);
        ASSERT_NE(back, nullptr);
        EXPECT_TRUE(m_has_unmapped(back));
        const auto sa = of_engine(terms);
        ASSERT_TRUE(input(*sa, back).ok()) << name;
        EXPECT_EQ(bytes_of(back), packet) << name;
        EXPECT_EQ(page_bytes(page), content) << name;
        EXPECT_EQ(bytes_of(held), esp) << name;
        EXPECT_EQ(faults_caught(), faults);
        m_freem(back);
        m_freem(held);
    }
    gone(std::move(port));
}

// The test hook that takes the guard away: an engine that writes where it reads. A device would not get over a fault
// in the middle of its work, so it writes elsewhere first.
const Engine* honest = nullptr;
void in_place(EngineLane& lane, Job* jobs, uint16_t n) noexcept {
    static std::array<std::byte, 65536> elsewhere;
    for (uint16_t i = 0; i < n; ++i) {
        Room here[64];
        size_t rooms = 0;
        for (const Piece& p : jobs[i].source)
            if (p.len > 0 && rooms < 64) here[rooms++] = {const_cast<std::byte*>(p.at), p.len};
        Job job = jobs[i];
        const Room there{elsewhere.data(), job.len};
        job.to = honest->submit == nullptr ? std::span<const Room>(here, rooms) : std::span(&there, 1);
        honest->run(lane, &job, 1);
        const std::byte* from = there.at;
        for (size_t r = 0; r < rooms && honest->submit != nullptr; from += here[r++].len) std::memcpy(here[r].at, from, here[r].len);
    }
}

TEST_P(EspHoles, R05_WithTheGuardTakenAwayTheReadOnlyAliasFaultsAndThePageDoesNotChange) {
    honest = &engine();
    Engine bad = engine();
    bad.name = "in-place";
    bad.run = in_place;
    for (const std::string& name : algorithms_of(engine())) {
        const Cipher cipher = find_algorithm(name).value().cipher->cipher;
        if (cipher == Cipher::null || cipher == Cipher::aes_gmac) continue;  // in place they write nothing
        for (const bool encrypt : {true, false})
            for (const PageClass cls : {PageClass::cache, PageClass::anonymous}) {
                const SaTerms terms = terms_of(name);
                const std::string packet = udp_packet({}, 1000);
                Mbuf* m = paged(cls, encrypt ? packet : esp_of(terms, packet), 60);
                const Page* page = page_of(m->next());
                const std::string content = page_bytes(page);
                // A lane of its own: what faulted in the middle is not used again.
                auto broken = std::move(EspLane::make(bad, 0).value());
                const auto sa = sa_of(terms, bad);
                Sa* sas[] = {sa.get()};
                EspFate fate;
                const auto fault = fault_of([&] { encrypt ? esp_output(*broken, sas, &m, &fate, 1) : esp_input(*broken, sas, &m, &fate, 1); });
                ASSERT_TRUE(fault.has_value()) << name;
                EXPECT_EQ(fault->kind, FaultKind::read_only) << name;
                EXPECT_EQ(fault->page, page) << name;
                EXPECT_EQ(page_bytes(page), content) << name << ": the page changed";
                m_freem(broken->batch().work[0].out);
                broken->batch().clear();
                m_freem(m);
            }
    }
}

// All ways in which a buffer may come that nobody has cloned, and whose bytes are not ours all the same. A forgery is
// refused after it was decrypted, by an engine that decrypts first: what decrypts in place has then spoilt it.
TEST_P(EspHoles, R06_CVE_2026_43284_43500_NotClonedIsNotMine) {
    static char lent[4096];
    const auto lend = [](const std::string& esp) {
        std::memcpy(lent, esp.data(), esp.size());
        Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
        EXPECT_EQ(m_extadd(m, lent, sizeof(lent), [](void*, uint32_t, void*) {}, nullptr, M_RDONLY), 0);
        m->set_len(static_cast<uint32_t>(esp.size()));
        m->rte.pkt_len = m->len();
        return m;
    };
    struct Producer {
        const char* what;
        std::function<Mbuf*(const std::string&)> make;
        bool lent = false;
    };
    const Producer producers[] = {
        {"a file's page, one holder", [](const std::string& esp) { return paged(PageClass::cache, esp, 28); }},
        {"all of it in a file's page", [](const std::string& esp) { return headed("", filled(PageClass::cache, esp)); }},
        {"memory that was lent read-only", lend, true},
        {"a header before a file's page, as UDP encapsulation does it", [](const std::string& esp) {
             Mbuf* m = headed("", filled(PageClass::cache, esp.substr(28)));
             m = m_prepend(m, 28, M_NOWAIT);
             std::memcpy(m->data(), esp.data(), 28);
             return m;
         }},
        {"a page that was made an mbuf's by a split", [](const std::string& esp) {
             Mbuf* m = paged(PageClass::cache, "----" + esp, 32);
             Mbuf* rest = m_split(m, 4, M_NOWAIT);
             m_freem(m);
             return rest;
         }}};
    for (const std::string& name : algorithms_of(engine()))
        for (const Producer& p : producers)
            for (const bool forged : {true, false}) {
                const SaTerms terms = terms_of(name);
                const std::string packet = udp_packet({}, 600);
                std::string esp = esp_of(terms, packet);
                if (forged) esp.back() = static_cast<char>(esp.back() ^ 1);
                Mbuf* m = p.make(esp);
                ASSERT_EQ(bytes_of(m), esp) << p.what;
                for (const Mbuf* s = m; s != nullptr; s = s->next())
                    if (s->len() > 40) { EXPECT_FALSE(m_changeable(s)) << p.what; }
                const auto sa = of_engine(terms);
                const uint64_t faults = faults_caught();
                const EspFate fate = input(*sa, m);
                EXPECT_EQ(fate.why, forged ? Xfrm::in_proto : Xfrm::ok) << name << ", " << p.what;
                EXPECT_EQ(bytes_of(m), forged ? esp : packet) << name << ", " << p.what;
                EXPECT_EQ(faults_caught(), faults);
                m_freem(m);
                if (p.lent) { EXPECT_EQ(std::string(lent, esp.size()), esp) << name << ": written where it was lent"; }
            }
}

// Random verbs that move, share, cut and merge; any chain may then be encrypted, decrypted, or forged at any time. No
// other chain, and no page, changes by a byte.
class Mixture {
  public:
    explicit Mixture(uint64_t seed) : random_(seed) {}
    ~Mixture() {
        for (Chain& c : chains_) m_freem(c.m);
    }
    Mixture(const Mixture&) = delete;
    Mixture& operator=(const Mixture&) = delete;
    struct Chain {
        Mbuf* m;
        std::string bytes;
    };
    uint32_t below(size_t n) { return n == 0 ? 0 : static_cast<uint32_t>(random_() % n); }
    Chain& any() { return chains_[below(chains_.size())]; }
    void make() {
        const std::string bytes = pattern(1 + below(900), below(200));
        Mbuf* m = nullptr;
        switch (below(5)) {
        case 0: m = filled(PageClass::cache, bytes); break;
        case 1: m = filled(PageClass::anonymous, bytes); break;
        case 2: m = received(bytes); break;
        default: m = clustered(bytes); break;
        }
        if (m == nullptr) return;
        if (!m->has_pkthdr()) m = m_add(inlined(""), m);
        chains_.push_back({m, bytes});
    }
    void step() {
        if (chains_.size() < 4) return make();
        Chain& c = any();
        const uint32_t n = static_cast<uint32_t>(c.bytes.size()), at = below(n + 1);
        switch (below(9)) {
        case 0: make(); break;
        case 1: {  // share all, or a part
            const uint32_t len = below(n - at + 1);
            if (Mbuf* copy = at == 0 ? m_copypacket(c.m, M_NOWAIT) : len == 0 ? nullptr : m_copym(c.m, at, len, M_NOWAIT); copy != nullptr) {
                const std::string bytes = at == 0 ? c.bytes : c.bytes.substr(at, len);
                if (!copy->has_pkthdr()) copy = m_add(inlined(""), copy);
                chains_.push_back({copy, bytes});
            }
            break;
        }
        case 2: {  // cut
            const std::string rest = c.bytes.substr(at);
            if (Mbuf* tail = m_split(c.m, at, M_NOWAIT); tail != nullptr) {
                c.bytes.resize(at);
                chains_.push_back({tail, rest});
            }
            break;
        }
        case 3: {  // join
            Chain& other = any();
            if (&other == &c || n + other.bytes.size() > 6000) break;
            m_cat(c.m, other.m);
            c.bytes += other.bytes;
            chains_.erase(chains_.begin() + (&other - chains_.data()));
            break;
        }
        case 4: {  // trim
            const int32_t by = static_cast<int32_t>(below(n / 2 + 1));
            m_adj(c.m, below(2) == 0 ? by : -by);
            c.bytes = bytes_of(c.m);
            break;
        }
        case 5:
            if (Mbuf* copy = m_dup(c.m, M_NOWAIT); copy != nullptr) chains_.push_back({copy, c.bytes});
            break;
        case 6:  // merge: null leaves the chain as it was
            if (Mbuf* m = below(2) == 0 ? m_defrag(c.m, M_NOWAIT) : m_collapse(c.m, M_NOWAIT, 2 + below(4)); m != nullptr) c.m = m;
            break;
        case 7:
            if (Mbuf* m = m_unshare(c.m, M_NOWAIT); m != nullptr)
                c.m = m;
            else
                lose(c);
            break;
        default: break;
        }
        if (chains_.size() > 24) {
            m_freem(chains_.back().m);
            chains_.pop_back();
        }
    }
    void lose(Chain& c) { chains_.erase(chains_.begin() + (&c - chains_.data())); }
    void check(const std::string& where) {
        for (const Chain& c : chains_) {
            ASSERT_EQ(differs(bytes_of(c.m), c.bytes), std::string::npos) << where;
            ASSERT_EQ(m_sanity(c.m), std::nullopt) << where;
        }
    }
    std::mt19937_64& random() { return random_; }

  private:
    std::mt19937_64 random_;
    std::vector<Chain> chains_;
};

TEST_P(EspHoles, R07_CVE_2026_46300_43503_WhateverWasMovedAndMergedEspChangesNoneOfIt) {
    const std::vector<std::string> names = algorithms_of(engine());
    Mixture world(seed());
    uint32_t delivered = 0;
    for (uint32_t turn = 0; turn < 1500 && !HasFatalFailure(); ++turn) {
        for (int i = 0; i < 4; ++i) world.step();
        Mixture::Chain& c = world.any();
        const std::string name = names[turn % names.size()], where = name + ", turn " + std::to_string(turn);
        const SaTerms terms = terms_of(name);
        const auto sa = of_engine(terms), peer = of_engine(terms);
        // An IP packet of it: a header before a copy that shares everything.
        Mbuf* payload = m_copypacket(c.m, M_NOWAIT);
        ASSERT_NE(payload, nullptr);
        const std::string packet = ip_packet({}, c.bytes);
        Mbuf* m = inlined(packet.substr(0, 20));
        m_cat(m, payload);
        ASSERT_TRUE(output(*sa, m).ok()) << where;
        world.check(where + ", sent");
        // What arrives is in other storage than what was sent, and some of it is somebody's.
        Mbuf* held = m_copypacket(m, M_NOWAIT);
        const std::string esp = bytes_of(m);
        if (Mbuf* rest = m_split(m, world.below(esp.size()), M_NOWAIT); rest != nullptr) m_cat(m, rest);
        if (world.below(4) == 0) {  // a file's page has it
            m_freem(m);
            m = paged(PageClass::cache, esp, world.below(60));
        }
        const bool forged = world.below(4) == 0;
        if (forged) {
            Mbuf* wrong = m_dup(m, M_NOWAIT);
            const char other = static_cast<char>(esp.back() ^ 4);
            ASSERT_EQ(m_copyback(wrong, static_cast<uint32_t>(esp.size()) - 1, 1, &other, M_NOWAIT), 0);
            m_freem(m);
            m = wrong;
        }
        const EspFate fate = input(*peer, m);
        ASSERT_EQ(fate.ok(), !forged) << where;
        if (fate.ok()) {
            ASSERT_EQ(differs(bytes_of(m), packet), std::string::npos) << where;
            ++delivered;
        }
        ASSERT_EQ(bytes_of(held), esp) << where;
        m_freem(m);
        m_freem(held);
        world.check(where + ", received");
    }
    EXPECT_GT(delivered, 900u);
}

// CVE-2026-31431: scratch in the destination. The fresh clusters of a packet end where it ends; what is behind, and
// before it, is not written.
TEST_P(EspHoles, R08_CVE_2026_31431_NothingIsWrittenAroundTheResult) {
    for (const std::string& name : algorithms_of(engine()))
        for (const bool encrypt : {true, false}) {
            SaTerms terms = terms_of(name);
            terms.esn = true;
            const std::string packet = udp_packet({}, 301), esp = esp_of(terms, packet);
            // Clusters come back from the zone as they went: the next one made has what we put there.
            const std::string guard(2048, '\x5a');
            std::vector<Mbuf*> marked;
            for (int i = 0; i < 64; ++i) marked.push_back(clustered(guard));
            std::vector<const std::byte*> at;
            for (Mbuf* m : marked) {
                at.push_back(static_cast<const std::byte*>(m->rte.buf_addr));
                std::memset(m->rte.buf_addr, 0x5a, m->rte.buf_len);
            }
            Mbuf* m = inlined("");  // the source lies elsewhere
            m_cat(m, received(encrypt ? packet : esp));
            for (Mbuf* one : marked) m_freem(one);
            refs_flush();
            const auto sa = of_engine(terms);
            ASSERT_TRUE((encrypt ? output(*sa, m) : input(*sa, m)).ok());
            const std::byte* start = static_cast<const std::byte*>(m->rte.buf_addr);
            ASSERT_EQ(m->next(), nullptr);
            if (std::find(at.begin(), at.end(), start) != at.end()) {  // as it is, unless the zone keeps them otherwise
                const size_t before = static_cast<size_t>(m->data() - start);
                EXPECT_EQ(text_of(start, before), std::string(before, '\x5a')) << name << ": written before the result";
                // Decryption leaves the trailer behind the data.
                const size_t align = std::max<size_t>(4, terms.algorithm.cipher->block);
                const size_t used = before + (encrypt ? m->len() : (m->len() + 2 + align - 1) / align * align);
                EXPECT_EQ(text_of(start + used, m->rte.buf_len - used), std::string(m->rte.buf_len - used, '\x5a')) << name << ": written behind the result";
                ++looked_at;
            }
            m_freem(m);
        }
    EXPECT_GT(looked_at, 0u);
}

TEST_P(EspHoles, R09_CVE_2022_27666_EveryAlgorithmHasRoomForTheWholePacket) {
    for (const std::string& name : algorithms_of(engine())) {
        std::vector<size_t> sizes = {0, 1, 65535 - 28 - 150};
        for (const size_t cluster : kClusterSizes)  // where the last byte of the ICV comes to the edge, and around
            for (size_t d = 0; d < 5; ++d) sizes.push_back(cluster - kEspHeadroom - 28 - 20 - 8 - 16 - 4 * d - d % 2);
        for (const size_t data : {size_t{32767 - 28}, size_t{32768 - 28}, size_t{32769 - 28}, size_t{32768 - 28 - 48}}) sizes.push_back(data);
        const SaTerms terms = terms_of(name);
        const auto sa = of_engine(terms), peer = of_engine(terms);
        for (const size_t data : sizes) {
            const std::string packet = udp_packet({}, data);
            Mbuf* m = cut_up(packet, {28});
            ASSERT_TRUE(output(*sa, m).ok()) << name << ", " << data;
            ASSERT_EQ(m_sanity(m), std::nullopt);
            for (const Mbuf* s = m; s != nullptr; s = s->next()) ASSERT_LE(s->rte.data_off + s->len(), s->rte.buf_len) << name << ", " << data;
            ASSERT_TRUE(input(*peer, m).ok()) << name << ", " << data;
            ASSERT_EQ(differs(bytes_of(m), packet), std::string::npos) << name << ", " << data;
            m_freem(m);
        }
    }
}

UM_FOR_EACH_ENGINE(EspHoles);

}  // namespace
}  // namespace umbuf::test
