// SPDX-License-Identifier: BSD-2-Clause
// esp_path_test.cc - sizes that are right to the byte, what is remembered of a way, and who is cut for it.
#include "lib/ipsec/path.h"

#include <gtest/gtest.h>

#include <map>

#include "lib/ipsec/fit.h"
#include "lib/ipsec/ipsec_db.h"
#include "lib/ipsec/reassembly.h"
#include "tests/unit/esp_readers.h"

namespace umbuf::test {
namespace {

// One way for all, which says how often it was asked.
struct OneWay final : LinkMtus {
    uint32_t mtu = 1500;
    uint32_t asked = 0;
    uint32_t mtu_to(const IpAddress&) noexcept override {
        ++asked;
        return mtu;
    }
};

class EspPath : public EspTest {
  protected:
    OneWay way;
};

// Goal: what is said of lengths is what ESP makes. Method: every algorithm, mode and family; lengths around each limit.
TEST_F(EspPath, LengthsAreThoseThatEspMakes) {
    for (const std::string& name : algorithms_of(ipsec_mb_engine))
        for (const bool outer_v6 : {false, true})
            for (const bool inner_v6 : {false, true})
                for (const bool udp : {false, true})
                    for (const SaMode mode : {SaMode::tunnel, SaMode::transport}) {
                        SaTerms terms = terms_of(name, mode, outer_v6);
                        terms.udp = udp;
                        const auto sa = sa_of(terms);
                        const uint32_t header = mode == SaMode::tunnel ? 0 : inner_v6 ? 40 : 20;
                        const uint32_t most = inner_mtu(terms, 576, header);
                        ASSERT_GT(most, 380u);
                        EXPECT_LE(outer_length(terms, most, header), 576u);
                        EXPECT_GT(outer_length(terms, most + 1, header), 576u);
                        for (uint32_t length = most - 20; length < most + 20; ++length) {
                            Mbuf* m = clustered(ip_packet({.v6 = inner_v6, .proto = 99}, pattern(length - (inner_v6 ? 40 : 20))));
                            ASSERT_TRUE(out(*sa, m).ok());
                            ASSERT_EQ(m->pkt_len(), outer_length(terms, length, header)) << name << " " << length;
                            m_freem(m);
                        }
                    }
    const SaTerms terms = terms_of("aes-gcm-128");
    EXPECT_EQ(inner_mtu(terms, 1500), 1446u);
    EXPECT_EQ(inner_mtu(terms, 20 + 8 + 8 + 16 + 3), 0u);
    EXPECT_EQ(inner_mtu(terms, 0), 0u);
    EXPECT_EQ(inner_mtu(terms, 20 + 8 + 8 + 16 + 4), 2u);
}

// W1.
TEST_F(EspPath, WhatRoutersSayLowersTheWayForTenMinutes) {
    const SaTerms terms = terms_of("aes-gcm-128");
    SaPath path;
    const auto inner = [&](uint64_t now) { return path.inner(terms, way, now); };
    EXPECT_EQ(path.mtu(), 0u);
    EXPECT_EQ(inner(5), inner_mtu(terms, 1500));
    EXPECT_EQ(inner(5), inner_mtu(terms, 1500));
    EXPECT_EQ(way.asked, 1u) << "once a second";
    EXPECT_FALSE(path.lower(1500, false, 5));
    EXPECT_FALSE(path.lower(1600, false, 5));
    EXPECT_TRUE(path.lower(1400, false, 5));
    EXPECT_EQ(inner(5), inner_mtu(terms, 1400)) << "in the same second";
    EXPECT_EQ(path.mtu(), 1400u);
    EXPECT_FALSE(path.lower(1450, false, 6));
    EXPECT_TRUE(path.lower(100, false, 6));
    EXPECT_EQ(inner(6), inner_mtu(terms, 576)) << "the floor";
    EXPECT_EQ(inner(4), inner_mtu(terms, 576)) << "a clock that is a moment behind";
    EXPECT_EQ(inner(605), inner_mtu(terms, 576));
    way.mtu = 1300;
    EXPECT_EQ(inner(606), inner_mtu(terms, 1300)) << "forgotten, and the route has changed";
    way.mtu = 0;
    EXPECT_EQ(inner(607), UINT32_MAX) << "nothing is known";
    EXPECT_TRUE(path.lower(100, true, 608));
    EXPECT_EQ(inner(608), inner_mtu(terms, 1280));
    way.mtu = 1000;
    EXPECT_EQ(inner(609), inner_mtu(terms, 1000)) << "the floor is for what is said, not for our own links";
    SaPath next;
    next.inherit(path);
    EXPECT_EQ(next.learned(609), 1280u);
}

TEST_F(EspPath, ARekeyKnowsTheWayOfThePeer) {
    Readers readers;
    auto db = std::move(IpsecDb::make({.sas = 8, .children = 2}, ipsec_mb_engine, readers.get()).value());
    const ChildId child = db->children.add().value();
    const auto rekeyed = [&](uint32_t spi, uint8_t peer) {
        const SaId id = db->rekey_out(new_sa(spi, child, address(false, peer))).value();
        return db->sad().resolve(id.id, id.generation);
    };
    EXPECT_TRUE(rekeyed(0x1000, 2)->path.lower(1300, false, 7));
    EXPECT_EQ(rekeyed(0x1001, 2)->path.learned(7), 1300u);
    EXPECT_EQ(rekeyed(0x1002, 3)->path.learned(7), 0u) << "another peer";
}

TEST_F(EspPath, WhatIsSaidOfAPacketReachesItsSaAndNoOther) {
    Readers readers;
    auto db = std::move(IpsecDb::make({.sas = 8, .children = 2}, ipsec_mb_engine, readers.get()).value());
    const ChildId child = db->children.add().value();
    const auto added = [&](bool in, bool udp) {
        NewSa sa = new_sa(0x1000, child, address(false, 2));
        sa.terms.udp = udp;
        sa.terms.udp_dst = 7777;
        const SaId id = (in ? db->sad().add_in(sa) : db->sad().add_out(sa)).value();
        return db->sad().resolve(id.id, id.generation);
    };
    Sa *plain = added(false, false), *by_udp = added(false, true), *inbound = added(true, false);
    TooBig said{.src = address(false, 77), .dst = address(false, 2), .spi = 0x1000, .mtu = 1300, .udp = false, .udp_src = 0, .udp_dst = 0};
    const auto heard = [&](const auto& change) {
        TooBig other = said;
        change(other);
        return db->lower_path(other, 5);
    };
    EXPECT_EQ(heard([](TooBig& t) { t.spi = 0x1001; }), 0u);
    EXPECT_EQ(heard([](TooBig& t) { t.src = address(false, 78); }), 0u);
    EXPECT_EQ(heard([](TooBig& t) { t.dst = address(false, 3); }), 0u);
    EXPECT_EQ(heard([](TooBig& t) { t.udp = true, t.udp_src = 4500, t.udp_dst = 4500; }), 0u);
    EXPECT_EQ(plain->path.learned(5) + by_udp->path.learned(5) + inbound->path.learned(5), 0u);
    EXPECT_EQ(heard([](TooBig&) {}), 1u);
    EXPECT_EQ(heard([](TooBig&) {}), 0u) << "it is known";
    EXPECT_EQ(heard([](TooBig& t) { t.udp = true, t.udp_src = 4500, t.udp_dst = 7777, t.mtu = 1200; }), 1u);
    EXPECT_EQ(plain->path.learned(5), 1300u);
    EXPECT_EQ(by_udp->path.learned(5), 1200u);
    EXPECT_EQ(inbound->path.learned(5), 0u);
}

// ---- who is cut

struct Rule {
    const char* what;
    FragmentRule fragment;
    DfRule df;
    bool inner_v6, inner_df;
    FitWay longer;  // of what is one byte too long
};
constexpr Rule kRules[] = {
    {"after, no DF", FragmentRule::after, DfRule::copy, false, false, FitWay::fits},
    {"after, DF", FragmentRule::after, DfRule::copy, false, true, FitWay::too_big},
    {"after, DF cleared", FragmentRule::after, DfRule::clear, false, true, FitWay::fits},
    {"after, DF set", FragmentRule::after, DfRule::set, false, false, FitWay::before},
    {"after, v6", FragmentRule::after, DfRule::copy, true, true, FitWay::too_big},
    {"after, v6, DF cleared", FragmentRule::after, DfRule::clear, true, true, FitWay::fits},
    {"before, no DF", FragmentRule::before, DfRule::copy, false, false, FitWay::before},
    {"before, no DF, set", FragmentRule::before, DfRule::set, false, false, FitWay::before},
    {"before, no DF, cleared", FragmentRule::before, DfRule::clear, false, false, FitWay::before},
    {"before, DF", FragmentRule::before, DfRule::copy, false, true, FitWay::too_big},
    {"before, DF cleared", FragmentRule::before, DfRule::clear, false, true, FitWay::fits},
    {"before, v6", FragmentRule::before, DfRule::copy, true, true, FitWay::too_big},
};

TEST_F(EspPath, TheSaSaysWhoIsCut) {
    lane().links = &way;
    for (const bool outer_v6 : {false, true})
        for (const Rule& rule : kRules) {
            SaTerms terms = terms_of("aes-gcm-128", SaMode::tunnel, outer_v6);
            terms.fragment = rule.fragment;
            terms.outer.df = rule.df;
            const auto sa = sa_of(terms);
            const uint32_t most = inner_mtu(terms, 1500);
            const auto fitting = [&](uint32_t length) {
                Mbuf* m = clustered(ip_packet({.v6 = rule.inner_v6, .df = rule.inner_df, .proto = 99}, pattern(length - (rule.inner_v6 ? 40 : 20))));
                const Fit is = fit(lane(), *sa, m);
                m_freem(m);
                return is;
            };
            EXPECT_EQ(fitting(most).way, FitWay::fits) << rule.what;
            const uint64_t before = lane().counters.of(Xfrm::out_too_big);
            const Fit longer = fitting(most + 1);
            EXPECT_EQ(longer.way, rule.longer) << rule.what;
            if (longer.way != FitWay::fits) {
                EXPECT_EQ(longer.most, most) << rule.what;
            }
            EXPECT_EQ(lane().counters.of(Xfrm::out_too_big), before + (rule.longer == FitWay::too_big)) << rule.what;
            EXPECT_EQ(sa->counters.refused.of(Xfrm::out_too_big), rule.longer == FitWay::too_big ? 1u : 0u);
        }
}

// RFC 8200, 5: a link of IPv6 takes 1280 bytes, and a tunnel is a link.
TEST_F(EspPath, NobodyIsToldLessThanIpv6Guarantees) {
    lane().links = &way;
    way.mtu = 1280;
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    const auto fitting = [&](const std::string& packet) {
        Mbuf* m = clustered(packet);
        const Fit is = fit(lane(), *sa, m);
        m_freem(m);
        return is;
    };
    EXPECT_EQ(fitting(ip_packet({.v6 = true}, pattern(1240))).way, FitWay::fits) << "it is cut after ESP";
    const Fit longer = fitting(ip_packet({.v6 = true}, pattern(1241)));
    EXPECT_EQ(longer.way, FitWay::too_big);
    EXPECT_EQ(longer.most, 1280);
    way.mtu = 0;
    lane().now_s = 1;
    EXPECT_EQ(fitting(ip_packet({.v6 = true}, pattern(9000))).way, FitWay::fits) << "no route is known";
    lane().links = nullptr;
    EXPECT_EQ(fitting(ip_packet({.v6 = true}, pattern(9000))).way, FitWay::fits) << "nor asked for";
}

TEST_F(EspPath, TransportModeIsCutAfterEspOnly) {
    lane().links = &way;
    SaTerms terms = terms_of("aes-cbc-128+hmac-sha1", SaMode::transport);
    const auto sa = sa_of(terms);
    for (const bool v6 : {false, true})
        for (const bool df : {false, true}) {
            const uint32_t header = v6 ? 40 : 20, most = inner_mtu(terms, 1500, header);
            for (uint32_t length = most - 40; length < most + 40; ++length) {
                Mbuf* m = clustered(ip_packet({.v6 = v6, .df = df, .proto = 99}, pattern(length - header)));
                EXPECT_EQ(fit(lane(), *sa, m).way, length <= most || (!v6 && !df) ? FitWay::fits : FitWay::too_big) << length;
                m_freem(m);
            }
        }
    terms.fragment = FragmentRule::before;
    const std::string key = key_for(terms.algorithm);
    EXPECT_FALSE(Sa::make(terms, {bytes_in(key), key.size()}, ipsec_mb_engine, 0).ok());
}

// Goal: what one gateway cuts, the other delivers whole, by both rules and in all mixes; every packet on the way fits.
TEST_F(EspPath, WhatWasCutArrives) {
    lane().links = &way;
    for (const FragmentRule rule : {FragmentRule::before, FragmentRule::after})
        for (const bool outer_v6 : {false, true})
            for (const bool inner_v6 : {false, true})
                for (const uint32_t mtu : {600u, 1280u, 1500u}) {
                    way.mtu = mtu;
                    SaTerms terms = terms_of("aes-gcm-128", SaMode::tunnel, outer_v6);
                    terms.fragment = rule;
                    const auto sa = sa_of(terms), peer = sa_of(terms);
                    const auto seed_of = mtu + (outer_v6 ? 1 : 0);
                    auto inside = std::move(Reassembly::make({}, seed_of).value()), outside = std::move(Reassembly::make({}, seed_of).value());
                    const std::string packet = udp_packet({.v6 = inner_v6, .df = false}, inner_v6 ? 1232 : 8000);
                    Mbuf* m = clustered(packet);
                    Mbuf* list = m;
                    const Fit is = fit(lane(), *sa, m);
                    ASSERT_NE(is.way, FitWay::too_big);
                    if (is.way == FitWay::before) list = cut_before(m, is.most);
                    EXPECT_EQ(is.way == FitWay::before, rule == FragmentRule::before && !inner_v6);
                    ASSERT_NE(list, nullptr);
                    Mbuf* delivered = nullptr;
                    const auto arrive = [&](Mbuf* wire) {
                        EXPECT_LE(wire->pkt_len(), mtu);
                        EXPECT_EQ(m_sanity(wire), std::nullopt);
                        Mbuf* esp = outside->add(wire, 0);
                        if (esp == nullptr) return;
                        ASSERT_TRUE(in(*peer, esp).ok());
                        ASSERT_EQ(delivered, nullptr);
                        delivered = inside->add(esp, 0);
                    };
                    for (Mbuf* next = nullptr; list != nullptr; list = next) {
                        next = is.way == FitWay::before ? list->nextpkt : nullptr;
                        if (is.way == FitWay::before) list->nextpkt = nullptr;
                        ASSERT_TRUE(out(*sa, list).ok());
                        if (list->pkt_len() <= sa->path.mtu()) {
                            arrive(list);
                            continue;
                        }
                        EXPECT_NE(is.way, FitWay::before) << "a piece fits";
                        Mbuf* after = cut_after(lane(), *sa, list, sa->path.mtu());
                        ASSERT_NE(after, nullptr);
                        for (Mbuf* then = nullptr; after != nullptr; after = then) {
                            then = after->nextpkt;
                            after->nextpkt = nullptr;
                            arrive(after);
                        }
                    }
                    ASSERT_NE(delivered, nullptr) << mtu << (outer_v6 ? " v6" : " v4") << (inner_v6 ? " v6" : " v4");
                    std::string expected = packet;
                    EXPECT_EQ(differs(bytes_of(delivered), expected), std::string::npos);
                    m_freem(delivered);
                }
}

TEST_F(EspPath, WithoutAnMbufForAPieceThePacketStays) {
    lane().links = &way;
    const auto sa = sa_of(terms_of("aes-gcm-128"));
    const std::string packet = ip_packet({.df = false}, pattern(4000));
    for (const bool before : {true, false}) {
        Mbuf* m = clustered(packet);
        uint32_t k = 0;
        Mbuf* list = nullptr;
        while (list == nullptr) {
            ASSERT_LT(k, 100u);
            alloc_faults_arm(++k);
            list = before ? cut_before(m, 1446) : cut_after(lane(), *sa, m, 1446);
            alloc_faults_arm(0);
            if (list == nullptr) {
                EXPECT_EQ(bytes_of(m), packet);
            }
        }
        EXPECT_GT(k, 3u);
        m_purge(list);
    }
}

}  // namespace
}  // namespace umbuf::test
