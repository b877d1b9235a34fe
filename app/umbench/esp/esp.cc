// SPDX-License-Identifier: BSD-2-Clause
// esp.cc - the rounds of each case.
#include "app/umbench/esp/esp.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <random>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_lcore.h>

#include "app/umbench/esp/raw.h"
#include "app/umbench/esp/sources.h"
#include "app/umbench/esp/terms.h"
#include "app/umbench/esp/way.h"
#include "app/umbench/own_eal.h"
#include "app/umbench/stats.h"
#include "drivers/crypto/cryptodev/cryptodev.h"
#include "drivers/crypto/engines.h"
#include "drivers/crypto/ipsec_mb/ipsec_mb.h"
#include "lib/ipsec/esp.h"
#include "lib/mbuf/refs.h"
#include "lib/page/arena.h"

namespace umbuf::bench {
namespace {

constexpr uint32_t kInside = 64;       // packets; 64 of 1,500 bytes and what they become are far less than L2
constexpr uint32_t kPerTrial = 4096;   // packets, at least
constexpr uint32_t kMost = 16000;      // packets in a working set
constexpr uint32_t kWaiting = 512;     // that came out, beyond L2
constexpr uint32_t kOverhead = 320;    // bytes of a packet's mbuf that are touched besides its own
constexpr uint32_t kCache = 256;       // elements of each zone that the lcore keeps

using Bytes = std::vector<std::byte>;

uint32_t beyond_l2(uint32_t size) {
    const long said = sysconf(_SC_LEVEL2_CACHE_SIZE);
    const uint64_t l2 = said > 0 ? static_cast<uint64_t>(said) : uint64_t{2} << 20;
    return static_cast<uint32_t>(std::clamp<uint64_t>(4 * l2 / (size + kOverhead), 2048, kMost)) / kEspBenchBurst * kEspBenchBurst;
}

// A UDP packet of `size` bytes.
Bytes plaintext(uint32_t size) {
    Bytes p(size);
    for (uint32_t i = 0; i < size; ++i) p[i] = static_cast<std::byte>(i * 7);
    static constexpr uint8_t kHeader[] = {0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, kProtoUdp, 0, 0, 10, 1, 2, 3, 192, 168, 9, 8, 4, 87, 8, 174};
    std::memcpy(p.data(), kHeader, sizeof(kHeader));
    store16(p.data() + 2, size);
    ipv4_checksum(p.data(), kIpv4Header);
    store16(p.data() + 24, size - kIpv4Header);
    store16(p.data() + 26, 0);
    return p;
}

// Witness - the other end of the case's SAs, by IPsec-MB, whoever is measured: makes the ESP packets that are to be
// decrypted, each with a number that was not used before, and opens those that a way has made.
class Witness {
  public:
    static Result<std::unique_ptr<Witness>> make(EspCase what, Zone* zone) {
        what.engine = &ipsec_mb_engine;
        Result<std::unique_ptr<EspLane>> lane = EspLane::make(*what.engine, static_cast<int>(rte_socket_id()));
        if (!lane) return lane.error();
        Result<OwnSas> sas = make_sas(what);
        if (!sas) return sas.error();
        return std::unique_ptr<Witness>(new Witness(std::move(lane.value()), std::move(sas.value()), zone));
    }
    // seal - false: no memory.
    [[nodiscard]] bool seal(uint16_t sa, const Bytes& packet, Bytes& sealed) {
        Mbuf* m = plain_.lay(Source::owned, packet, kIpv4Header);
        if (m == nullptr) return false;
        Sa* of = sas_[sa].get();
        EspFate fate;
        const bool done = esp_output(*lane_, &of, &m, &fate, 1) == 1;
        read(m, sealed);
        m_freem(m);
        return done;
    }
    // opens - m is an ESP packet of `sa`, and this was in it. m becomes what came out.
    [[nodiscard]] bool opens(uint16_t sa, Mbuf*& m, const Bytes& packet) {
        Sa* of = sas_[sa].get();
        EspFate fate;
        return esp_input(*lane_, &of, &m, &fate, 1) == 1 && is(m, packet);
    }
    [[nodiscard]] bool is(const Mbuf* m, const Bytes& packet) {
        read(m, found_);
        return found_ == packet;
    }

  private:
    Witness(std::unique_ptr<EspLane> lane, OwnSas sas, Zone* zone) : lane_(std::move(lane)), sas_(std::move(sas)), plain_(zone) {}
    static void read(const Mbuf* m, Bytes& to) {
        to.resize(m->pkt_len());
        (void)m_copydata(m, 0, m->pkt_len(), to.data());
    }
    std::unique_ptr<EspLane> lane_;
    OwnSas sas_;
    Sources plain_;
    Bytes found_;
};

// Ring - what came out, until a driver would have sent it.
class Ring {
  public:
    explicit Ring(uint32_t waiting) : waiting_(waiting) {}
    ~Ring() { empty(); }
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;
    void send(Mbuf** packets, uint16_t n) {
        for (uint16_t i = 0; i < n; ++i) {
            if (count_ == waiting_) free_oldest();
            ring_[(first_ + count_++) % ring_.size()] = packets[i];
        }
        if (waiting_ <= kEspBenchBurst) empty();
        refs_flush();
    }
    void empty() {
        while (count_ > 0) free_oldest();
        refs_flush();
    }

  private:
    void free_oldest() {
        rte_pktmbuf_free(&ring_[first_]->rte);
        first_ = (first_ + 1) % ring_.size();
        --count_;
    }
    std::array<Mbuf*, kWaiting> ring_{};
    size_t first_ = 0, count_ = 0;
    const uint32_t waiting_;
};

// Bench - one case: its ways, and packets for them.
class Bench {
  public:
    Bench(const EspCase& what, Zone* zone) : what_(what), sources_(zone), zone_(zone), plain_(plaintext(what.size)) {
        std::mt19937 random(what.sas);
        for (uint32_t i = 0; i < what.sas; ++i) order_.push_back(static_cast<uint16_t>(i));
        std::shuffle(order_.begin(), order_.end(), random);
        packets_.resize(what.packets);
        sas_.resize(what.packets);
    }

    Status open() {
        if (!what_.encrypt)
            if (Status called = call_witness(); !called) return called;
        MadeWay umbuf = make_umbuf_way(what_), unshare = make_unshare_way(what_);
        MadeWay cpu = make_librte_way(what_, false), lookaside = make_librte_way(what_, true);
        for (const MadeWay* made : {&umbuf, &unshare, &cpu, &lookaside})
            if (!*made) return made->error();
        ways_ = {std::move(umbuf.value()), std::move(unshare.value()), std::move(cpu.value()), std::move(lookaside.value())};
        Result<std::unique_ptr<Raw>> raw = Raw::make(what_, waiting());
        if (!raw) return raw.error();
        raw_ = std::move(raw.value());
        return {};
    }

    // run - all rounds into the row's lists.
    Status run(EspRow& row, unsigned rounds) {
        std::vector<double>* lists[] = {&row.umbuf, &row.unshare, &row.librte_cpu, &row.librte_lookaside, &row.raw};
        static constexpr const char* kNames[] = {"umbuf", "unshare", "librte_ipsec by the CPU interface", "librte_ipsec by a queue", "raw"};
        constexpr size_t kWays = std::size(lists);
        for (unsigned round = 0; round <= rounds; ++round)
            for (size_t i = 0; i < kWays; ++i) {
                const size_t who = (i + round) % kWays;
                if (who < ways_.size() ? ways_[who] == nullptr : raw_ == nullptr) continue;
                // Each way begins its numbers anew, and so does who opens its packets.
                if (round == 0 && what_.encrypt)
                    if (Status called = call_witness(); !called) return called;
                const double cycles = who < ways_.size() ? trial(*ways_[who], round == 0) : raw_trial();
                if (cycles < 0) return Error{EIO, fmt::format("{} {}", kNames[who], failed_)};
                if (round > 0) lists[who]->push_back(cycles);
            }
        return {};
    }

  private:
    [[nodiscard]] uint32_t waiting() const noexcept { return what_.inside ? kEspBenchBurst : kWaiting; }
    [[nodiscard]] uint32_t passes() const noexcept { return what_.inside ? std::max<uint32_t>(1, kPerTrial / what_.packets) : 1; }
    uint16_t next_sa() noexcept {
        const uint16_t sa = order_[turn_];
        turn_ = turn_ + 1 == order_.size() ? 0 : turn_ + 1;
        return sa;
    }

    // make - the working set. False: no memory; what is there is in packets_, the rest null.
    bool make() {
        std::fill(packets_.begin(), packets_.end(), nullptr);
        bool all = true;
        for (uint32_t i = 0; i < what_.packets; ++i) {
            sas_[i] = next_sa();
            if (!what_.encrypt) all = all && witness_->seal(sas_[i], plain_, sealed_);
            const uint32_t head = what_.encrypt ? kIpv4Header + kUdpHeader : kOuterBytes + 8u + what_.algorithm.cipher->iv;
            if (all) packets_[i] = sources_.lay(what_.source, what_.encrypt ? plain_ : sealed_, head);
            all = all && packets_[i] != nullptr;
        }
        return sources_.laid() && all;
    }

    // mean - of the bursts' cycles per packet, but for those in which something else had the processor: a trial
    // has more than a hundred of them, and what a burst does itself now and then (a pool's cache that is
    // filled) is no three times the usual.
    double mean() {
        const double most = 3 * median(bursts_);
        double sum = 0, n = 0;
        for (const double cycles : bursts_)
            if (cycles <= most) sum += cycles, ++n;
        bursts_.clear();
        return sum / n;
    }

    Status call_witness() {
        Result<std::unique_ptr<Witness>> witness = Witness::make(what_, zone_);
        if (!witness) return witness.error();
        witness_ = std::move(witness.value());
        return {};
    }
    // are_right - what came out for packets [i, i + k). Who made ESP packets has their contents then.
    bool are_right(uint32_t i, uint16_t k) {
        bool right = true;
        for (uint32_t j = i; j < i + k; ++j)
            right = (what_.encrypt ? witness_->opens(sas_[j], packets_[j], plain_) : witness_->is(packets_[j], plain_)) && right;
        if (!right) failed_ = "made packets that are wrong";
        return right;
    }

    // trial - cycles per packet; below 0: a packet was not done, or, if it is looked at, is not what it has to be.
    double trial(Way& way, bool look) {
        failed_ = "did not do all packets";
        bool right = true;
        for (uint32_t pass = 0; pass < passes() && right; ++pass) {
            right = make();
            Ring ring(waiting());
            for (uint32_t i = 0; i < what_.packets; i += kEspBenchBurst) {
                const uint16_t k = static_cast<uint16_t>(std::min<uint32_t>(kEspBenchBurst, what_.packets - i));
                if (right) {
                    const uint64_t begin = rte_rdtsc();
                    const uint16_t done = way.run(&packets_[i], &sas_[i], k);
                    bursts_.push_back(static_cast<double>(rte_rdtsc() - begin) / k);
                    right = done == k && (!look || are_right(i, k));
                }
                if (right) ring.send(&packets_[i], k);
                else free_all(&packets_[i], k);
            }
            ring.empty();
            sources_.forget();
            refs_flush();
        }
        return right ? mean() : -1;
    }
    static void free_all(Mbuf** packets, uint16_t n) {
        for (uint16_t i = 0; i < n; ++i)
            if (packets[i] != nullptr) rte_pktmbuf_free(&packets[i]->rte);
    }

    double raw_trial() {
        // Flat buffers stay where they are: that they are beyond L2 is a matter of how many there are.
        for (uint32_t pass = 0; pass < passes(); ++pass)
            for (uint32_t i = 0; i < what_.packets; i += kEspBenchBurst) {
                const uint32_t k = std::min<uint32_t>(kEspBenchBurst, what_.packets - i);
                for (uint32_t j = 0; j < k; ++j) sas_[j] = next_sa();
                const uint64_t begin = rte_rdtsc();
                for (uint32_t j = 0; j < k; ++j) raw_->call(i + j, sas_[j]);
                bursts_.push_back(static_cast<double>(rte_rdtsc() - begin) / k);
            }
        return mean();
    }

    const EspCase what_;
    Sources sources_;
    Zone* zone_;
    const Bytes plain_;
    Bytes sealed_;
    std::unique_ptr<Witness> witness_;
    const char* failed_ = "";  // what a way did wrongly
    std::array<std::unique_ptr<Way>, 4> ways_;
    std::unique_ptr<Raw> raw_;
    std::vector<uint16_t> order_;  // of SAs
    size_t turn_ = 0;
    std::vector<Mbuf*> packets_;
    std::vector<uint16_t> sas_;
    std::vector<double> bursts_;  // of this trial: cycles per packet
};

// Memory - zones and pages for one case, as large as it needs. A zone is a ring: elements that are never needed
// would be gone through, too, and be in no cache and no TLB.
struct Memory {
    Zone* packets = nullptr;
    Status open(const EspCase& what) {
        const uint32_t more = kWaiting + 2 * kCache;
        ZoneConfig config;
        config.mbufs = 2 * what.packets + more + kCache;
        config.clusters[0] = more;
        config.cache = kCache;
        const int socket = static_cast<int>(rte_socket_id());
        if (Status zones = mbinit(config, {socket}); !zones) return zones;
        Result<Zone*> zone = packet_zone("umbench_packets", what.packets + more, kMCLBytes, socket, kCache);
        if (!zone) return zone.error();
        packets = zone.value();
        if (what.source != Source::unmapped) return {};
        ArenaConfig arena;
        arena.cache.pages = 0;
        // What is sent of a packet that is to be decrypted is a little more than it; and no page is filled to the end.
        arena.anonymous = {what.packets * (what.size + 64) / (Sources::kPageBytes - 2048) + 64, Sources::kPageBytes};
        return arena_open(arena, socket);
    }
    static Status close() {
        refs_flush();
        if (!arena_close().empty()) return Error{EBUSY, "a page is still held"};
        for (const Unbalanced& u : mbfini()) return Error{EBUSY, fmt::format("zone {} has {} elements out", u.zone, u.in_use)};
        return {};
    }
};

std::vector<std::string> make_keys(const Algorithm& algorithm, uint32_t n) {
    std::vector<std::string> keys;
    std::mt19937 random(n);
    for (uint32_t i = 0; i < n; ++i) {
        std::string& key = keys.emplace_back(algorithm.key_bytes(), '\0');
        for (char& c : key) c = static_cast<char>(random());
    }
    return keys;
}

Result<EspRow> measure_case(EspCase what, unsigned rounds, uint32_t packets) {
    what.packets = what.inside ? kInside : packets != 0 ? packets : beyond_l2(what.size);
    const std::vector<std::string> keys = make_keys(what.algorithm, what.sas);
    what.keys = &keys;
    EspRow row;
    row.engine = what.engine->name;
    row.algorithm = what.algorithm.name();
    row.direction = what.direction();
    row.source = name_of(what.source);
    row.working_set = what.working_set();
    row.size = what.size;
    row.sas = what.sas;
    Memory memory;
    if (Status opened = memory.open(what); !opened) return opened.error();
    {
        const MergedReleases merged;  // as in a forwarder's lane
        Bench bench(what, memory.packets);
        if (Status opened = bench.open(); !opened) return opened.error();
        if (Status ran = bench.run(row, rounds); !ran)
            return Error{ran.error().code, fmt::format("{}, {}, {}, {} bytes, {} SAs, {}, {} L2: {}", row.engine, row.algorithm,
                                                       row.direction, row.size, row.sas, row.source, row.working_set, ran.error().text)};
    }
    if (Status closed = Memory::close(); !closed) return closed.error();
    return row;
}

// add_cases - of one engine and algorithm, in the order in which the table has them.
void add_cases(const EspPlan& plan, EspCase c, std::vector<EspCase>& cases) {
    for (const std::string& direction : plan.directions)
        for (const std::string& source : plan.sources)
            for (const std::string& set : plan.working_sets)
                for (const unsigned sas : plan.sas)
                    for (const unsigned size : plan.sizes) {
                        c.encrypt = direction == "encrypt";
                        c.size = size;
                        c.sas = sas;
                        c.source = source == "private" ? Source::owned : source == "shared" ? Source::shared : Source::unmapped;
                        c.inside = set == "inside";
                        cases.push_back(c);
                    }
}

// few - of a plan: its first size and its last, and where there are several of anything else that changes nothing
// about which way a device goes, the first.
EspPlan few(EspPlan plan) {
    if (plan.sizes.size() > 2) plan.sizes = {plan.sizes.front(), plan.sizes.back()};
    plan.sas.resize(1);
    plan.working_sets.resize(1);
    return plan;
}

// cases_of - after EAL has started. What cannot be had goes to `left_out`. Error: nothing is left.
Result<std::vector<EspCase>> cases_of(const EspPlan& plan, std::vector<std::string>& left_out) {
    std::vector<std::string> engines = plan.engines;
    if (engines.empty()) engines.assign(std::begin(kEspEngines), std::end(kEspEngines));
    std::vector<EspCase> cases;
    for (const std::string& name : engines) {
        const Result<const Engine*> engine = find_esp_engine(name);
        if (!engine) {
            left_out.push_back(name + ": " + engine.error().text);
            continue;
        }
        const bool briefly = plan.engines.empty() && name != kEspEngines[0];
        for (const std::string& algorithm : plan.algorithms) {
            const Result<Algorithm> found = find_algorithm(algorithm);
            if (!found) return found.error();
            if (engine.value()->supports(found.value()))
                add_cases(briefly ? few(plan) : plan, {.engine = engine.value(), .algorithm = found.value()}, cases);
            else
                left_out.push_back(name + " has no " + algorithm);
        }
    }
    if (cases.empty()) return Error{ENODEV, fmt::format("there is nothing to measure: {}", fmt::join(left_out, "; "))};
    return cases;
}

// Devices - stopped before EAL ends, and before OpenSSL takes its memory back as the process exits.
struct Devices {
    Devices() = default;
    ~Devices() {
        cryptodev_close_all();
        stop_librte();
    }
    Devices(const Devices&) = delete;
    Devices& operator=(const Devices&) = delete;
};

Result<EspReport> measure_all(const EspPlan& plan, const std::function<void(const std::string&)>& progress) {
    const Devices devices;
    EspReport report;
    const Result<std::vector<EspCase>> cases = cases_of(plan, report.left_out);
    if (!cases) return cases.error();
    for (const EspCase& what : cases.value()) {
        Result<EspRow> row = measure_case(what, plan.rounds, plan.packets);
        if (!row) return row.error();
        report.rows.push_back(std::move(row.value()));
        progress(fmt::format("{} of {}", report.rows.size(), cases.value().size()));
    }
    return report;
}

}  // namespace

Result<EspReport> measure_esp(const EspPlan& plan, const std::function<void(const std::string&)>& progress) {
    if (Status eal = start_eal(1); !eal) return eal.error();
    Result<EspReport> report = measure_all(plan, progress);
    if (report) rte_eal_cleanup();
    return report;
}

}  // namespace umbuf::bench
