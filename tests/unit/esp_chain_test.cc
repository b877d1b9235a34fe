// SPDX-License-Identifier: BSD-2-Clause
// esp_chain_test.cc - every engine and algorithm over chains: whatever a packet lies in, the result is that
// of one flat piece, and nothing that was there is written.
//
// Method: the same packet is made of strings, sealed in one piece, and is what each chain must become; the
// way back the same. Sources are told what others see of them, and what their pages hold, and ask again.
#include "tests/unit/esp_proof.h"

#include <algorithm>

namespace umbuf::test {
namespace {

class EspChain : public EspProof {
  protected:
    // there_and_back - the packet out, and what came out in again; `cut` makes a source of bytes.
    template <class Cut>
    void there_and_back(const SaTerms& terms, const std::string& packet, const std::string& where, Cut cut) {
        const auto sa = of_engine(terms), peer = peer_of(terms), plain = sa_of(terms);
        const uint64_t seq = terms.seq_floor + 1;
        std::string esp;
        {
            const std::unique_ptr<Source> source = cut(packet);
            ASSERT_TRUE(output(*sa, source->m).ok()) << where;
            esp = bytes_of(source->m);
            ASSERT_EQ(differs(esp, expected(terms, *plain, seq, packet, esp)), std::string::npos) << where;
            ASSERT_EQ(m_sanity(source->m), std::nullopt) << where;
            source->expect_untouched(where);
        }
        const std::unique_ptr<Source> source = cut(esp);
        ASSERT_TRUE(input(*peer, source->m).ok()) << where << ", back";
        ASSERT_EQ(differs(bytes_of(source->m), packet), std::string::npos) << where << ", back";
        ASSERT_EQ(m_sanity(source->m), std::nullopt) << where << ", back";
        source->expect_untouched(where + ", back");
    }
};

TEST_P(EspChain, ACutAtEveryByteBetweenAnyTwoKindsOfStorageChangesNothing) {
    std::mt19937_64 random(seed());
    uint32_t turn = 0;
    for (const std::string& name : algorithms_of(engine())) {
        const uint32_t shape = turn++ % kShapes;
        const SaTerms terms = shaped(name, shape);
        const std::string packet = udp_packet({.v6 = inner_v6(shape)}, 37, turn);
        const size_t most = packet.size() + lead_of(terms, inner_v6(shape)) + 8 + kMaxIv + 16 + 2 + kMaxIcv;
        for (size_t cut = 0; cut <= most && !HasFatalFailure(); ++cut) {
            const Storage before = static_cast<Storage>(random() % kStorages), behind = static_cast<Storage>(random() % kStorages);
            there_and_back(terms, packet, name + " cut at " + std::to_string(cut) + ", shape " + std::to_string(shape), [&](const std::string& bytes) {
                return std::make_unique<Source>(bytes, 0, std::vector<size_t>{cut}, std::vector<Storage>{before, behind});
            });
        }
    }
}

TEST_P(EspChain, OddAndEmptyMbufsOfEveryKindChangeNothing) {
    const std::vector<std::vector<size_t>> ways = {{0, 1, 0, 0, 1, 0, 3, 1, 0, 5, 7, 0, 1, 15, 17, 0, 31, 33, 0},
                                                   {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                                                   {0, 0, 0, 19, 0, 1, 0, 7, 0, 0, 0},
                                                   {64, 0, 128, 0, 1}};
    uint32_t turn = 0;
    for (const std::string& name : algorithms_of(engine()))
        for (size_t kind = 0; kind < kStorages; ++kind) {
            const uint32_t shape = turn++ % kShapes;
            const auto& way = ways[turn % ways.size()];
            const Storage other = static_cast<Storage>((kind + turn) % kStorages);
            there_and_back(shaped(name, shape), udp_packet({.v6 = inner_v6(shape)}, 203 + turn % 16, turn), name + ", turn " + std::to_string(turn),
                           [&](const std::string& bytes) {
                               return std::make_unique<Source>(bytes, turn % 3, way, std::vector<Storage>{static_cast<Storage>(kind), other});
                           });
            if (HasFatalFailure()) return;
        }
}

// Sizes up to the largest packets that fit, cut anywhere; a source of hundreds of mbufs among them.
TEST_P(EspChain, RandomChainsOfAllSizesChangeNothing) {
    std::mt19937_64 random(seed());
    for (const std::string& name : algorithms_of(engine()))
        for (uint32_t round = 0; round < 6; ++round) {
            const uint32_t shape = static_cast<uint32_t>(random() % kShapes);
            const size_t data = round == 0 ? random() % 40 : round == 1 ? 30000 + random() % 30000 : random() % 9000;
            const size_t step = std::max<size_t>(1 + random() % (round == 2 ? 12 : 3000), data / 300);  // hundreds, where it is small
            const std::string packet = udp_packet({.v6 = inner_v6(shape)}, data, round);
            std::vector<size_t> lengths;
            std::vector<Storage> kinds;
            size_t pages = 0;
            for (size_t at = 0; at < packet.size() + 100; at += lengths.back()) {
                lengths.push_back(random() % (step + 1));
                Storage kind = static_cast<Storage>(random() % kStorages);
                if (kind >= Storage::cache && (pages += 1) > 30) kind = Storage::shared;
                if (kind == Storage::received && lengths.back() > 1500) kind = Storage::own;
                kinds.push_back(kind);
            }
            there_and_back(shaped(name, shape), packet, name + ", round " + std::to_string(round),
                           [&](const std::string& bytes) { return std::make_unique<Source>(bytes, random() % 50, lengths, kinds); });
            if (HasFatalFailure()) return;
        }
}

// The k-th allocation fails, k = 1, 2 ... until there is none left to fail, in every kind of packet: one of
// one cluster, of several, of more mbufs than a batch has pieces (read from a copy), with a checksum that was
// left to the device, in pages.
struct Failing {
    const char* what;
    size_t data, step;
    Storage kind;
    bool checksum;
    uint32_t least;  // allocations that have to be made: a header and a cluster at least
};
constexpr Failing kFailing[] = {{"small", 20, 2000, Storage::own, false, 2},      {"large", 40000, 9000, Storage::shared, false, 4},
                                {"scattered", 700, 1, Storage::own, false, 3},    {"checksum", 500, 77, Storage::shared, true, 2},
                                {"of pages", 9000, 3000, Storage::cache, true, 2}};

class EspFailure : public EspProof {
  protected:
    static std::unique_ptr<Source> source_of(const Failing& f, const std::string& bytes) {
        return std::make_unique<Source>(bytes, 44, std::vector<size_t>(bytes.size() / f.step, f.step), std::vector<Storage>{f.kind});
    }
    // until_it_works - try() with its k-th allocation failing; it says whether it worked. How many failed.
    template <class Try>
    static uint32_t until_it_works(Try attempt) {
        for (uint32_t k = 1; k < 200; ++k)
            if (attempt(k)) return k - 1;
        ADD_FAILURE() << "it never works";
        return 0;
    }
};

TEST_P(EspFailure, EachAllocationOutFailsAndLeavesThePacketItsNumberAndTheZonesAsTheyWere) {
    uint32_t turn = 0;
    for (const std::string& name : algorithms_of(engine()))
        for (const Failing& f : kFailing) {
            const uint32_t shape = turn++ % kShapes;
            const std::string packet = udp_packet({.v6 = inner_v6(shape)}, f.data);
            const uint32_t failed = until_it_works([&](uint32_t k) {
                const SaTerms terms = shaped(name, shape);
                const auto sa = of_engine(terms);
                const auto source = source_of(f, packet);
                if (f.checksum) source->m->rte.ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | (inner_v6(shape) ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
                const std::string where = name + ", " + f.what + ", allocation " + std::to_string(k);
                const std::vector<uint32_t> before = levels();
                const uint32_t windows = page_counters().windows_now;
                alloc_faults_arm(k);
                const EspFate fate = output(*sa, source->m);
                alloc_faults_arm(0);
                EXPECT_EQ(page_counters().windows_now, windows) << where;
                if (fate.ok()) {
                    source->expect_untouched(where);
                    return true;
                }
                EXPECT_EQ(fate.why, Xfrm::out_error) << where;
                EXPECT_EQ(fate.error, ENOBUFS) << where;
                EXPECT_EQ(sa->sequence.last(), terms.seq_floor) << where;
                EXPECT_EQ(levels(), before) << where;
                source->expect_refused(where);
                return false;
            });
            EXPECT_GE(failed, f.least) << name << ", " << f.what;
        }
}

TEST_P(EspFailure, EachAllocationInFailsAndLeavesThePacketItsNumberAndTheZonesAsTheyWere) {
    uint32_t turn = 0;
    for (const std::string& name : algorithms_of(engine()))
        for (const Failing& f : kFailing) {
            const uint32_t shape = turn++ % kShapes;
            const SaTerms terms = shaped(name, shape);
            const std::string packet = udp_packet({.v6 = inner_v6(shape)}, f.data);
            const auto sender = of_engine(terms);
            Mbuf* made = cut_up(packet, {});
            ASSERT_TRUE(output(*sender, made).ok());
            const std::string esp = bytes_of(made);
            m_freem(made);
            const auto sa = peer_of(terms);
            const uint64_t top = sa->window.top();
            const uint32_t failed = until_it_works([&](uint32_t k) {
                const auto source = source_of(f, esp);
                const std::string where = name + ", " + f.what + ", allocation " + std::to_string(k);
                const std::vector<uint32_t> before = levels();
                const uint32_t windows = page_counters().windows_now;
                alloc_faults_arm(k);
                const EspFate fate = input(*sa, source->m);
                alloc_faults_arm(0);
                EXPECT_EQ(page_counters().windows_now, windows) << where;
                if (fate.ok()) {
                    EXPECT_EQ(differs(bytes_of(source->m), packet), std::string::npos) << where;
                    source->expect_untouched(where);
                    return true;
                }
                EXPECT_EQ(fate.why, Xfrm::in_buffer) << where;
                EXPECT_EQ(fate.error, ENOBUFS) << where;
                EXPECT_EQ(sa->window.top(), top) << where << ": it can come again";
                EXPECT_EQ(levels(), before) << where;
                source->expect_refused(where);
                return false;
            });
            EXPECT_GE(failed, f.least) << name << ", " << f.what;
        }
}

// One packet of a burst suffers, and the others go through, under numbers without a gap.
TEST_P(EspFailure, OnePacketOfABurstSuffersAndTheOthersDoNot) {
    constexpr uint16_t kN = 5;
    for (const std::string& name : algorithms_of(engine()))
        until_it_works([&](uint32_t k) {
            const SaTerms terms = terms_of(name);
            const auto sa = of_engine(terms), peer = of_engine(terms);
            Mbuf* packets[kN];
            Sa* sas[kN];
            EspFate fates[kN];
            const auto packet = [](uint32_t i) { return udp_packet({}, 100 + 5000 * (i / 3), i); };
            for (uint16_t i = 0; i < kN; ++i) {
                packets[i] = cut_up(packet(i), {28, 3, 0, 1});
                sas[i] = sa.get();
            }
            alloc_faults_arm(k);
            const uint16_t out = esp_output(proven(), sas, packets, fates, kN);
            alloc_faults_arm(0);
            EXPECT_GE(out, kN - 1) << name << ", allocation " << k;
            EXPECT_EQ(sa->sequence.last(), out);
            uint32_t seq = 0;
            for (uint16_t i = 0; i < kN; ++i) {
                if (!fates[i].ok()) { EXPECT_EQ(bytes_of(packets[i]), packet(i)); }
                if (fates[i].ok()) { EXPECT_EQ(load32(packets[i]->data() + 24), ++seq) << "numbers are in the packets' order"; }
                sas[i] = fates[i].ok() ? peer.get() : nullptr;
            }
            alloc_faults_arm(k);
            const uint16_t in = esp_input(proven(), sas, packets, fates, kN);
            alloc_faults_arm(0);
            EXPECT_GE(in + 1, out) << name << ", allocation " << k;
            for (uint16_t i = 0; i < kN; ++i) {
                if (fates[i].ok()) { EXPECT_EQ(differs(bytes_of(packets[i]), packet(i)), std::string::npos) << name; }
                m_freem(packets[i]);
            }
            return out == kN && in == kN;
        });
}

UM_FOR_EACH_ENGINE(EspChain);
UM_FOR_EACH_ENGINE(EspFailure);

}  // namespace
}  // namespace umbuf::test
