// SPDX-License-Identifier: BSD-2-Clause
// esp_link_test.cc - ESP over a link that drops, doubles, swaps and damages packets, takes bursts in part, and
// runs out of mbufs: what is delivered is right, each packet once at most, and every loss has a name.
//
//      packets -> esp_output -> received frames -> [faulty port, a ring] -> esp_input -> compared
//
// UM_ESP_PACKETS: how many, of all algorithms together.
#include <cinttypes>

#include "drivers/net/fault.h"
#include "tests/unit/esp_proof.h"
#include "tests/unit/port_fixture.h"

namespace umbuf::test {
namespace {

constexpr uint16_t kBurst = 32;
constexpr uint32_t kL2 = 14, kKinds = 64;

uint64_t packets_wanted() {
    const char* set = std::getenv("UM_ESP_PACKETS");
    return set != nullptr ? std::strtoull(set, nullptr, 0) : 100'000;
}

// Kind - an IP packet whose payload begins with eight bytes for its number.
struct Kind {
    std::string bytes;
    size_t number_at;
};
std::vector<Kind> kinds_of_packets(std::mt19937_64& random) {
    std::vector<Kind> kinds;
    for (uint32_t i = 0; i < kKinds; ++i) {
        const bool v6 = i % 2 == 1;
        std::string udp = be16(9) + be16(9) + be16(0) + be16(0) + std::string(8, '\0');
        udp += pattern(i < 32 ? i : random() % 1400, i);
        udp.replace(4, 2, be16(static_cast<uint32_t>(udp.size())));
        kinds.push_back({ip_packet({.v6 = v6}, udp), (v6 ? 40u : 20u) + 8});
    }
    return kinds;
}

// Books - what became of every packet.
struct Books {
    uint64_t made = 0, no_packet = 0, unprotected = 0, not_taken = 0, no_frame = 0, taken = 0, arrived = 0, delivered = 0;
    std::array<uint64_t, kXfrms> refused{};
    [[nodiscard]] uint64_t of(Xfrm why) const { return refused[static_cast<size_t>(why)]; }
    [[nodiscard]] uint64_t all_refused() const {
        uint64_t sum = 0;
        for (const uint64_t n : refused) sum += n;
        return sum;
    }
};

class EspLink : public EspProof {
  protected:
    void SetUp() override {
        EspProof::SetUp();
        if (IsSkipped()) return;
        receiver_ = std::move(EspLane::make(engine(), 0).value());
        wire_ = make_ring(256);
        port_ = configured(ring_device({wire_.get()}, {wire_.get()}));
        test::open(*port_);
    }
    void TearDown() override {
        if (port_ != nullptr) gone(std::move(port_));
        wire_.reset();
        receiver_.reset();
        EspProof::TearDown();
    }

    // send_burst - up to kBurst packets, the first of number `first`, of one SA.
    void send_burst(Sa& sa, uint64_t first, uint64_t n, Books& books) {
        Mbuf* packets[kBurst];
        Sa* sas[kBurst];
        EspFate fates[kBurst];
        uint16_t made = 0, out = 0;
        for (uint64_t i = first; i < first + n; ++i, ++books.made) {
            const Kind& kind = kinds_[i % kKinds];
            Mbuf* m = m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, 2048);
            if (m == nullptr) {
                ++books.no_packet;
                continue;
            }
            std::memcpy(m->data(), kind.bytes.data(), kind.bytes.size());
            std::memcpy(m->data() + kind.number_at, &i, sizeof(i));
            m->set_len(static_cast<uint32_t>(kind.bytes.size()));
            m->rte.pkt_len = m->len();
            sas[made] = &sa;
            packets[made++] = m;
        }
        esp_output(proven(), sas, packets, fates, made);
        rte_mbuf* frames[kBurst];
        for (uint16_t i = 0; i < made; ++i) {
            rte_mbuf* f = fates[i].ok() ? frame_of(packets[i]) : nullptr;
            books.unprotected += fates[i].ok() ? 0 : 1;
            books.no_frame += fates[i].ok() && f == nullptr ? 1 : 0;
            if (!fates[i].ok()) { EXPECT_EQ(fates[i].error, ENOBUFS); }
            if (f != nullptr) frames[out++] = f;
            m_freem(packets[i]);
        }
        const uint16_t taken = port_->tx_burst(0, frames, out).taken;
        books.taken += taken;
        books.not_taken += out - taken;
        for (uint16_t i = taken; i < out; ++i) rte_pktmbuf_free(frames[i]);
    }
    // frame_of - as a driver would deliver it: in direct mbufs of a packet zone, every 16th in two of them.
    rte_mbuf* frame_of(const Mbuf* m) {
        rte_mbuf* f = rte_pktmbuf_alloc(rx_zone()->pool);
        if (f == nullptr) return nullptr;
        const uint32_t bytes = m->pkt_len(), first = load32(m->data() + 32) % 16 == 0 ? bytes / 2 : bytes;
        char* to = rte_pktmbuf_append(f, static_cast<uint16_t>(kL2 + first));
        std::memset(to, 0x02, kL2);
        (void)m_copydata(m, 0, first, to + kL2);
        if (first == bytes) return f;
        rte_mbuf* rest = rte_pktmbuf_alloc(rx_zone()->pool);
        if (rest == nullptr) return rte_pktmbuf_free(f), nullptr;
        (void)m_copydata(m, first, bytes - first, rte_pktmbuf_append(rest, static_cast<uint16_t>(bytes - first)));
        EXPECT_EQ(rte_pktmbuf_chain(f, rest), 0);
        return f;
    }
    void receive_burst(Sa& sa, Books& books, std::vector<uint8_t>& seen) {
        rte_mbuf* frames[kBurst];
        const uint16_t n = port_->rx_burst(0, frames, kBurst);
        Mbuf* packets[kBurst];
        Sa* sas[kBurst];
        EspFate fates[kBurst];
        for (uint16_t i = 0; i < n; ++i) {
            packets[i] = Mbuf::of(frames[i]);
            m_adj(packets[i], kL2);
            sas[i] = &sa;
        }
        books.arrived += n;
        esp_input(*receiver_, sas, packets, fates, n);
        for (uint16_t i = 0; i < n; ++i) {
            if (fates[i].ok())
                judge(packets[i], books, seen);
            else
                ++books.refused[static_cast<size_t>(fates[i].why)];
            m_freem(packets[i]);
        }
    }
    void judge(const Mbuf* m, Books& books, std::vector<uint8_t>& seen) {
        ++books.delivered;
        uint64_t number = 0;
        const size_t at = static_cast<uint8_t>(*m->data()) >> 4 == 6 ? 48 : 28;
        ASSERT_GE(m->len(), at + sizeof(number));
        std::memcpy(&number, m->data() + at, sizeof(number));
        ASSERT_LT(number, seen.size()) << "a packet that nobody sent";
        const Kind* kind = &kinds_[number % kKinds];
        ASSERT_EQ(kind->number_at, at) << "a packet that nobody sent";
        std::string expected = kind->bytes;
        std::memcpy(expected.data() + kind->number_at, &number, sizeof(number));
        ASSERT_TRUE(m->len() == expected.size() && std::memcmp(m->data(), expected.data(), expected.size()) == 0) << "packet " << number << " is damaged";
        ASSERT_EQ(seen[number]++, 0) << "packet " << number << " came twice";
    }

    std::unique_ptr<EspLane> receiver_;
    Ring wire_;
    std::unique_ptr<Port> port_;
    std::vector<Kind> kinds_;
};

TEST_P(EspLink, NothingIsDeliveredDamagedOrTwiceAndEveryLossHasAName) {
    std::mt19937_64 random(seed());
    kinds_ = kinds_of_packets(random);
    const std::vector<std::string> names = algorithms_of(engine());
    const uint64_t each = std::max<uint64_t>((packets_wanted() + names.size() - 1) / names.size(), 1000);
    Books all;
    FaultCounts faults{};
    for (const std::string& name : names) {
        Watchdog::feed();  // as many packets as somebody wants
        FaultPlan plan;
        plan.seed = random();
        plan.drop = 7000, plan.duplicate = 9000, plan.reorder = 20000, plan.corrupt = 11000;
        plan.short_tx = 15000, plan.no_mbuf = 20000, plan.flap = 300;
        SaTerms terms = terms_of(name);
        terms.udp = true;  // so that damage, which begins behind the UDP header, is to ESP
        terms.esn = random() % 2 == 0;
        const auto sa = of_engine(terms), peer = of_engine(terms);
        Books books;
        std::vector<uint8_t> seen(each);
        FaultCounts met{};
        uint64_t armed = 0;
        {
            FaultPort faulty(*port_, plan);
            for (uint64_t i = 0; i < each && !HasFatalFailure(); i += kBurst) {
                if (random() % 64 == 0) {  // the port's own run out when a burst is received
                    alloc_faults_arm(1 + static_cast<uint32_t>(random() % (4 * kBurst)));
                    ++armed;
                }
                send_burst(*sa, i, std::min<uint64_t>(kBurst, each - i), books);
                receive_burst(*peer, books, seen);
                if (rte_ring_count(wire_.get()) > 64) receive_burst(*peer, books, seen);
            }
            while (rte_ring_count(wire_.get()) > 0 && !HasFatalFailure()) receive_burst(*peer, books, seen);
            met = faulty.counts();
        }
        ASSERT_FALSE(HasFatalFailure()) << name;
        const std::string where = name + ", " + plan.text();
        // Each packet is in one place.
        EXPECT_EQ(books.made, each) << where;
        EXPECT_EQ(books.made, books.no_packet + books.unprotected + books.no_frame + books.not_taken + books.taken) << where;
        EXPECT_EQ(books.arrived, books.taken - met.drop + met.duplicate) << where;
        EXPECT_EQ(books.arrived, books.delivered + books.all_refused()) << where;
        // And each refusal has its cause: damage and its copies, copies, allocations.
        EXPECT_LE(books.of(Xfrm::in_buffer) + books.no_packet + books.unprotected, met.no_mbuf + armed) << where;
        const uint64_t damaged = books.of(Xfrm::in_proto) + books.of(Xfrm::in_no_states), copies = books.of(Xfrm::in_seq);
        EXPECT_EQ(books.all_refused(), damaged + copies + books.of(Xfrm::in_buffer)) << where;
        EXPECT_LE(damaged + copies, met.corrupt + met.duplicate + books.of(Xfrm::in_buffer)) << where;
        EXPECT_GE(damaged + copies + books.of(Xfrm::in_buffer), met.corrupt) << where << ": damage was delivered";
        EXPECT_EQ(peer->counters.packets.read(), books.delivered) << where;
        EXPECT_EQ(peer->counters.replayed.read(), copies) << where;
        EXPECT_EQ(peer->counters.bad_icv.read(), books.of(Xfrm::in_proto)) << where;
        all.made += books.made, all.no_packet += books.no_packet, all.unprotected += books.unprotected, all.no_frame += books.no_frame;
        all.not_taken += books.not_taken, all.taken += books.taken, all.arrived += books.arrived, all.delivered += books.delivered;
        for (size_t i = 0; i < kXfrms; ++i) all.refused[i] += books.refused[i];
        faults.drop += met.drop, faults.duplicate += met.duplicate, faults.reorder += met.reorder, faults.corrupt += met.corrupt;
        faults.short_tx += met.short_tx, faults.no_mbuf += met.no_mbuf, faults.flap += met.flap;
    }
    std::printf("%" PRIu64 " packets: no mbuf %" PRIu64 ", not protected %" PRIu64 ", not taken %" PRIu64 "; dropped %" PRIu64 ", doubled %" PRIu64
                ", swapped %" PRIu64 ", damaged %" PRIu64 "; arrived %" PRIu64 ", delivered %" PRIu64 "\n",
                all.made, all.no_packet, all.unprotected, all.not_taken, faults.drop, faults.duplicate, faults.reorder, faults.corrupt,
                all.arrived, all.delivered);
    for (size_t i = 0; i < kXfrms; ++i)
        if (all.refused[i] != 0) std::printf("    %s %" PRIu64 "\n", name_of(static_cast<Xfrm>(i)), all.refused[i]);
    for (const uint64_t n : {faults.drop, faults.duplicate, faults.reorder, faults.corrupt, faults.short_tx, faults.no_mbuf, all.of(Xfrm::in_proto),
                             all.of(Xfrm::in_seq), all.of(Xfrm::in_buffer), all.not_taken, all.unprotected + all.no_packet})
        EXPECT_GT(n, 0u) << "a fault that was never met proves nothing";
}

UM_FOR_EACH_ENGINE(EspLink);

}  // namespace
}  // namespace umbuf::test
