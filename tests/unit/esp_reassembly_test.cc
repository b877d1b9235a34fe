// SPDX-License-Identifier: BSD-2-Clause
// esp_reassembly_test.cc - fragments become the packet they were, whatever their order, or nothing; and nothing stays.
#include "lib/ipsec/reassembly.h"

#include <gtest/gtest.h>

#include <random>

#include "lib/net/fragment.h"
#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

// Part - [from, to) of a packet's payload.
struct Part {
    size_t from, to;
    bool more = true;
};

// part_of - such a fragment of the packet, made by hand.
std::string part_of(const std::string& packet, const Part& part, uint32_t id = 7, int ecn = -1) {
    const bool v6 = (packet[0] & 0xf0) == 0x60;
    std::string head = packet.substr(0, v6 ? 40 : 20);
    const std::string bytes = packet.substr(head.size(), std::string::npos).substr(part.from, part.to - part.from);
    if (v6) {
        head.replace(4, 2, be16(static_cast<uint32_t>(8 + bytes.size())));
        if (ecn >= 0) head[1] = static_cast<char>(ecn << 4);
        const char next = std::exchange(head[6], '\x2c');
        return head + next + '\0' + be16(static_cast<uint32_t>(part.from | (part.more ? 1 : 0))) + be32(id) + bytes;
    }
    head.replace(2, 2, be16(static_cast<uint32_t>(20 + bytes.size())));
    head.replace(4, 2, be16(id));
    head.replace(6, 2, be16(static_cast<uint32_t>(part.from / 8 | (part.more ? 0x2000 : 0))));
    if (ecn >= 0) head[1] = static_cast<char>(ecn);
    ipv4_checksum(bytes_in(head), 20);
    return head + bytes;
}

std::string whole_packet(bool v6, size_t data, uint32_t salt = 0) { return ip_packet({.v6 = v6, .df = false, .proto = kProtoEsp}, pattern(data, salt)); }

class EspReassembly : public PageTest, public ::testing::WithParamInterface<bool> {
  protected:
    void SetUp() override {
        PageTest::SetUp();
        use({.packets = 64, .fragments = 256, .mbufs = 1024, .seconds = 30});
    }
    void TearDown() override {
        const ReassemblyCounters& c = table_->counters;
        EXPECT_EQ(given_, table_->held_fragments() + c.whole.read() + c.merged.read() + c.twice.read() + c.overlapping.read() + c.malformed.read() +
                              c.no_room.read() + c.timed_out.read())
            << "G3";
        table_.reset();
        PageTest::TearDown();
    }
    void use(const ReassemblyLimits& limits) {
        table_ = std::move(Reassembly::make(limits, seed()).value());
        given_ = 0;
    }
    bool v6() const { return GetParam(); }
    Reassembly& table() { return *table_; }
    Mbuf* give(Mbuf* m, uint64_t now_s = 0) {
        ++given_;
        return table_->add(m, now_s);
    }
    Mbuf* give(const std::string& bytes, uint64_t now_s = 0) { return give(clustered(bytes), now_s); }
    // expect_whole - m is the packet, with the number of its fragments, and is freed.
    static void expect_whole(Mbuf* m, std::string packet) {
        ASSERT_NE(m, nullptr);
        if ((packet[0] & 0xf0) == 0x40) {
            packet.replace(4, 2, bytes_of(m).substr(4, 2));
            ipv4_checksum(bytes_in(packet), 20);
        }
        EXPECT_EQ(differs(bytes_of(m), packet), std::string::npos);
        EXPECT_EQ(m_sanity(m), std::nullopt);
        m_freem(m);
    }

  private:
    std::unique_ptr<Reassembly> table_;
    uint64_t given_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Families, EspReassembly, ::testing::Bool(), [](const auto& p) { return p.param ? "v6" : "v4"; });

// Goal: any order, any storage, fragments twice, several packets at once. Method: chance; the packet itself is the oracle.
TEST_P(EspReassembly, FragmentsInAnyOrderAreThePacketTheyWere) {
    std::mt19937_64 random(seed());
    const auto upto = [&random](size_t n) { return static_cast<size_t>(random() % n); };
    for (int round = 0; round < 60 && !HasFatalFailure(); ++round) {
        int n_paged = 0;
        struct Given {
            size_t packet;
            Part part;
        };
        std::vector<std::string> packets;
        std::vector<Given> all;
        for (size_t k = 0; k < 1 + upto(4); ++k) {
            packets.push_back(whole_packet(v6(), 9 + upto(round % 10 == 0 ? 60000 : 5000), static_cast<uint32_t>(k)));
            const size_t n = packets[k].size() - (v6() ? 40 : 20), least = n / 60 / 8 + 1;
            for (size_t at = 0; at < n;) {
                const size_t to = at == 0 && n > 8 ? 8 : std::min(n, at + 8 * (least + upto(100)));
                all.push_back({k, {at, to, to < n}});
                at = to;
            }
        }
        std::shuffle(all.begin(), all.end(), random);
        std::vector<bool> done(packets.size());
        std::vector<size_t> left(packets.size());
        for (const Given& g : all) ++left[g.packet];
        for (const Given& g : all) {
            const std::string bytes = part_of(packets[g.packet], g.part, static_cast<uint32_t>(100 + g.packet));
            const bool last = --left[g.packet] == 0;
            if (!last && upto(5) == 0) {  // once more, at once
                Mbuf* early = give(bytes);
                ASSERT_EQ(early, nullptr);
                ASSERT_EQ(give(bytes + "padding"), nullptr);
                continue;
            }
            const auto in_some_way = [&] {
                switch (upto(4)) {
                case 0: return cut_up(bytes, {upto(60), 0, upto(30)});
                case 1: return received(bytes);
                case 2: return ++n_paged < 20 ? paged(PageClass::anonymous, bytes, v6() ? 48 : 20) : clustered(bytes);
                default: return clustered(bytes + "padding");
                }
            };
            Mbuf* whole = give(in_some_way());
            ASSERT_EQ(whole != nullptr, last) << round;
            if (last) expect_whole(whole, packets[g.packet]);
        }
        EXPECT_EQ(table().held_packets() + table().held_fragments() + table().held_mbufs(), 0u);
    }
    EXPECT_GT(table().counters.twice.read(), 0u);
    EXPECT_EQ(table().counters.overlapping.read(), 0u);
}

// Goal: E-1 for fragments. Method: others look at the same clusters; the payload lies where it lay.
TEST_P(EspReassembly, PayloadIsLinkedAndWhatOthersSeeStays) {
    const std::string packet = whole_packet(v6(), 3000);
    const std::string texts[] = {part_of(packet, {0, 1480}), part_of(packet, {1480, 2960}), part_of(packet, {2960, 3000, false})};
    std::vector<Mbuf*> others;
    std::vector<const std::byte*> places;
    Mbuf* whole = nullptr;
    for (const std::string& text : texts) {
        Mbuf* m = clustered(text);
        others.push_back(m_copypacket(m, M_NOWAIT));
        places.push_back(m->data() + (v6() ? 48 : 20));
        whole = give(m);
    }
    ASSERT_NE(whole, nullptr);
    const Mbuf* at = whole->next();
    for (const std::byte* place : places) {
        ASSERT_NE(at, nullptr);
        EXPECT_EQ(at->data(), place);
        at = at->next();
    }
    EXPECT_EQ(at, nullptr);
    expect_whole(whole, packet);
    for (size_t i = 0; i < others.size(); ++i) {
        EXPECT_EQ(bytes_of(others[i]), texts[i]);
        m_freem(others[i]);
    }
}

TEST_P(EspReassembly, WhatOverlapsIsDroppedAndWhatComesOfItLater) {
    const std::string packet = whole_packet(v6(), 400);
    const Part wrong[] = {{96, 200}, {104, 208}, {0, 208}, {104, 192}, {104, 112}, {160, 240}, {160, 200, false}, {392, 408}, {400, 408}, {400, 408, false}};
    uint32_t id = 1;
    for (const Part& part : wrong) {
        const auto fragment = [&](const Part& p) { return give(part_of(packet + std::string(20, 'x'), p, id)); };
        EXPECT_EQ(fragment({0, 96}), nullptr);
        EXPECT_EQ(fragment({104, 200}), nullptr);
        EXPECT_EQ(fragment({304, 400, false}), nullptr);
        EXPECT_EQ(table().held_fragments(), 3u);
        EXPECT_EQ(fragment(part), nullptr);
        EXPECT_EQ(table().held_fragments(), 0u) << part.from << " " << part.to;
        EXPECT_EQ(table().counters.overlapping.read(), id * 6 - 2);
        EXPECT_EQ(fragment({96, 104}), nullptr);
        EXPECT_EQ(fragment({200, 304}), nullptr) << "RFC 5722, 4";
        ++id;
    }
    table().expire(30);
    EXPECT_EQ(table().held_packets(), 0u);
    EXPECT_EQ(give(part_of(packet, {0, 200}, 1), 30), nullptr);
    expect_whole(give(part_of(packet, {200, 400, false}, 1), 30), packet);
}

TEST_P(EspReassembly, WhatCannotBeAPartIsMalformed) {
    const std::string packet = whole_packet(v6(), 65000);
    const auto refused = [&](const std::string& bytes) {
        const uint64_t before = table().counters.malformed.read();
        EXPECT_EQ(give(bytes), nullptr);
        EXPECT_EQ(table().counters.malformed.read(), before + 1);
    };
    refused(part_of(packet, {8, 8}));
    refused(part_of(packet, {8, 15}));
    refused(part_of(packet, {64, 64, false}));
    const std::string last = part_of(packet, {0, 1000, false});
    std::string far = last;  // beyond any packet's end: "ping of death"
    far.replace(v6() ? 42 : 6, 2, be16(v6() ? 0xfff8 : 0x1fff));
    if (!v6()) ipv4_checksum(bytes_in(far), 20);
    refused(far);
    refused(last.substr(0, 30));
    if (!v6()) {
        std::string damaged = last;
        damaged[8] = '\x11';
        damaged.replace(6, 2, be16(0x2000));
        refused(damaged);
    }
    EXPECT_EQ(table().held_packets(), 0u);
    expect_whole(table().add(cut_up(packet, {}), 0), packet);
}

TEST_P(EspReassembly, APacketInOneFragmentIsAPacket) {
    const std::string packet = whole_packet(v6(), 100);
    if (!v6()) return expect_whole(table().add(clustered(packet), 0), packet);
    EXPECT_EQ(give(part_of(packet, {0, 48}, 3)), nullptr);
    expect_whole(give(part_of(packet, {0, 100, false}, 3)), packet);  // RFC 6946
    EXPECT_EQ(table().held_fragments(), 1u);
    expect_whole(give(part_of(packet, {48, 100, false}, 3)), packet);
}

TEST_P(EspReassembly, PacketsWithAnotherNumberOrAddressAreOthers) {
    const std::string packet = whole_packet(v6(), 200);
    std::string other = packet;
    other[v6() ? 39 : 19] = '\x55';
    if (!v6()) ipv4_checksum(bytes_in(other), 20);
    EXPECT_EQ(give(part_of(packet, {0, 96}, 1)), nullptr);
    EXPECT_EQ(give(part_of(packet, {96, 200, false}, 2)), nullptr);
    EXPECT_EQ(give(part_of(other, {96, 200, false}, 1)), nullptr);
    EXPECT_EQ(table().held_packets(), 3u);
    if (!v6()) {  // RFC 791: the protocol, too
        std::string udp = packet;
        udp[9] = '\x11';
        EXPECT_EQ(give(part_of(udp, {96, 200, false}, 1)), nullptr);
    }
    expect_whole(give(part_of(packet, {96, 200, false}, 1)), packet);
}

TEST_P(EspReassembly, TheOldestGoesWhenThereIsNoRoom) {
    const std::string packet = whole_packet(v6(), 200);
    const auto first = [&](uint32_t id) { EXPECT_EQ(give(part_of(packet, {0, 96}, id)), nullptr); };
    const auto second = [&](uint32_t id) { return give(part_of(packet, {96, 200, false}, id)); };
    use({.packets = 4, .fragments = 16, .mbufs = 64});
    for (uint32_t id = 1; id <= 5; ++id) first(id);
    EXPECT_EQ(table().held_packets(), 4u);
    EXPECT_EQ(table().counters.no_room.read(), 1u);
    for (uint32_t id = 2; id <= 5; ++id) expect_whole(second(id), packet);
    EXPECT_EQ(second(1), nullptr);

    use({.packets = 64, .fragments = 3, .mbufs = 64});
    for (uint32_t id = 1; id <= 4; ++id) first(id);
    EXPECT_EQ(table().held_fragments(), 3u);
    expect_whole(second(4), packet);

    use({.packets = 64, .fragments = 64, .mbufs = 6});
    for (uint32_t id = 1; id <= 3; ++id) {
        Mbuf* m = cut_up(part_of(packet, {0, 96}, id), {60, 40});
        ASSERT_EQ(m->rte.nb_segs, 3);
        EXPECT_EQ(give(m), nullptr);
        EXPECT_LE(table().held_mbufs(), 6u);
    }
    EXPECT_EQ(table().held_packets(), 2u);
    EXPECT_EQ(give(cut_up(part_of(packet, {96, 192}, 3), {10, 10, 10, 10, 10, 10})), nullptr) << "alone it is too much";
    EXPECT_EQ(table().held_mbufs(), 0u);
}

TEST_P(EspReassembly, WhatWaitsTooLongIsDropped) {
    const std::string packet = whole_packet(v6(), 200);
    EXPECT_EQ(give(part_of(packet, {0, 96}, 1), 100), nullptr);
    EXPECT_EQ(give(part_of(packet, {0, 96}, 2), 101), nullptr);
    table().expire(129);
    EXPECT_EQ(table().held_packets(), 2u);
    EXPECT_EQ(give(part_of(packet, {96, 200, false}, 1), 130), nullptr) << "the clock runs from the first";
    EXPECT_EQ(table().counters.timed_out.read(), 1u);
    expect_whole(give(part_of(packet, {96, 200, false}, 2), 130), packet);
    table().expire(160);
    EXPECT_EQ(table().held_packets(), 0u);
}

// RFC 3168, 5.3.
TEST_P(EspReassembly, CongestionThatOneFragmentMetIsThePackets) {
    const std::string packet = whole_packet(v6(), 200);
    const auto both = [&](uint32_t id, int a, int b) {
        EXPECT_EQ(give(part_of(packet, {0, 96}, id, a)), nullptr);
        return give(part_of(packet, {96, 200, false}, id, b));
    };
    Mbuf* m = both(1, 2, 3);
    ASSERT_NE(m, nullptr);
    std::string marked = packet;
    marked[1] = static_cast<char>(v6() ? 0x30 : 3);
    if (!v6()) ipv4_checksum(bytes_in(marked), 20);
    expect_whole(m, marked);
    EXPECT_EQ(both(2, 0, 3), nullptr);
    EXPECT_EQ(table().counters.malformed.read(), 2u);
}

TEST_P(EspReassembly, WithoutAnMbufForTheHeaderThePacketIsGone) {
    const std::string packet = whole_packet(v6(), 3000);
    Mbuf* first = clustered(part_of(packet, {0, 1480}));
    Mbuf* other = m_copypacket(first, M_NOWAIT);
    EXPECT_EQ(give(first), nullptr);
    Mbuf* second = clustered(part_of(packet, {1480, 3000, false}));
    alloc_faults_arm(1);
    EXPECT_EQ(give(second), nullptr);
    alloc_faults_arm(0);
    EXPECT_EQ(table().counters.no_room.read(), 2u);
    m_freem(other);
}

// What lib/net/fragment.h cuts, of our own packets, is put together again; each piece is as long as it may be.
TEST_P(EspReassembly, OurOwnCutsAreUndone) {
    std::mt19937_64 random(seed());
    for (int round = 0; round < 40; ++round) {
        const std::string packet = ip_packet({.v6 = v6(), .df = true, .proto = kProtoEsp}, pattern(100 + random() % 9000));
        const uint32_t most = 576 + static_cast<uint32_t>(random() % 1000), header = v6() ? 40 : 20;
        Mbuf* m = clustered(packet);
        Cut cut;
        const CutPlan plan = plan_own_cut(&m->rte, {.v6 = v6(), .bytes = header, .proto_at = 6, .id = 0x1234}, most, cut);
        ASSERT_EQ(plan == CutPlan::whole, packet.size() <= most);
        if (plan == CutPlan::whole) {
            m_freem(m);
            continue;
        }
        Mbuf* piece = fragments_of(&m->rte, cut);
        m_freem(m);
        Mbuf* whole = nullptr;
        for (Mbuf* next = nullptr; piece != nullptr; piece = next) {
            next = piece->nextpkt;
            piece->nextpkt = nullptr;
            EXPECT_LE(piece->pkt_len(), most);
            if (next != nullptr) {
                EXPECT_GT(piece->pkt_len() + 8, most);
            }
            ASSERT_EQ(whole, nullptr);
            whole = give(piece);
        }
        std::string is = packet;
        if (!v6()) {
            is.replace(4, 2, be16(0x1234));
            is.replace(6, 2, be16(0));
            ipv4_checksum(bytes_in(is), 20);
        }
        expect_whole(whole, is);
    }
}

}  // namespace
}  // namespace umbuf::test
