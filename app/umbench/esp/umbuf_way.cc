// SPDX-License-Identifier: BSD-2-Clause
// umbuf_way.cc - lib/ipsec, as an application calls it.
#include <array>

#include "app/umbench/esp/terms.h"
#include "app/umbench/esp/way.h"
#include "lib/ipsec/esp.h"
#include "lib/mbuf/refs.h"

namespace umbuf::bench {
namespace {

// Owner - of the SAs, none of which goes.
class Owner final : public SaResolver {
  public:
    explicit Owner(OwnSas sas) : sas_(std::move(sas)) {}
    Sa* resolve(uint32_t id, uint32_t) noexcept override { return sas_[id].get(); }

  private:
    OwnSas sas_;
};

// An engine that takes its time is given the burst and asked until it has given it back, as by an application that
// has nothing else to do.
class UmbufWay final : public Way {
  public:
    UmbufWay(bool encrypt, std::unique_ptr<Owner> owner, std::unique_ptr<EspLane> lane)
        : encrypt_(encrypt), owner_(std::move(owner)), lane_(std::move(lane)) {}
    uint16_t run(Mbuf** packets, const uint16_t* sas, uint16_t n) noexcept override {
        std::array<Sa*, kEspBenchBurst> of;
        for (uint16_t i = 0; i < n; ++i) of[i] = owner_->resolve(sas[i], 0);
        const uint16_t done = lane_->engine.submit == nullptr ? at_once(packets, of.data(), n) : in_time(packets, of.data(), n);
        refs_flush();
        return done;
    }

  private:
    uint16_t at_once(Mbuf** packets, Sa* const* of, uint16_t n) noexcept {
        std::array<EspFate, kEspBenchBurst> fates;
        return encrypt_ ? esp_output(*lane_, of, packets, fates.data(), n) : esp_input(*lane_, of, packets, fates.data(), n);
    }
    uint16_t in_time(Mbuf** packets, Sa* const* of, uint16_t n) noexcept {
        std::array<EspFate, kEspBenchBurst> fates;
        std::array<uint64_t, kEspBenchBurst> places;
        std::array<EspDone, kEspBenchBurst> back;
        for (uint16_t i = 0; i < n; ++i) places[i] = i;
        const uint16_t taken = encrypt_ ? esp_submit_output(*lane_, of, packets, places.data(), fates.data(), n)
                                        : esp_submit_input(*lane_, of, packets, places.data(), fates.data(), n);
        uint16_t done = 0;
        for (uint16_t come = 0; come < taken;) {
            const uint16_t some = esp_reap(*lane_, back.data(), kEspBenchBurst);
            for (uint16_t i = 0; i < some; ++i) {
                packets[back[i].tag] = back[i].packet;
                done = static_cast<uint16_t>(done + back[i].fate.ok());
            }
            come = static_cast<uint16_t>(come + some);
        }
        return done;
    }

    bool encrypt_;
    std::unique_ptr<Owner> owner_;
    std::unique_ptr<EspLane> lane_;
};

}  // namespace

Result<OwnSas> make_sas(const EspCase& what) {
    OwnSas sas;
    for (uint32_t i = 0; i < what.sas; ++i) {
        const std::string& key = (*what.keys)[i];
        Result<std::unique_ptr<Sa>> sa =
            Sa::make(terms_of(what, i), {reinterpret_cast<const std::byte*>(key.data()), key.size()}, *what.engine, 0);
        if (!sa) return sa.error();
        sas.push_back(std::move(sa.value()));
    }
    return sas;
}

MadeWay make_umbuf_way(const EspCase& what) {
    Result<OwnSas> sas = make_sas(what);
    if (!sas) return sas.error();
    auto owner = std::make_unique<Owner>(std::move(sas.value()));
    Result<std::unique_ptr<EspLane>> lane = EspLane::make(*what.engine, static_cast<int>(rte_socket_id()), owner.get());
    if (!lane) return lane.error();
    return std::unique_ptr<Way>(std::make_unique<UmbufWay>(what.encrypt, std::move(owner), std::move(lane.value())));
}

}  // namespace umbuf::bench
