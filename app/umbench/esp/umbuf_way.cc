// SPDX-License-Identifier: BSD-2-Clause
// umbuf_way.cc - lib/ipsec, as an application calls it.
#include <array>

#include "app/umbench/esp/terms.h"
#include "app/umbench/esp/way.h"
#include "lib/ipsec/esp.h"
#include "lib/mbuf/refs.h"

namespace umbuf::bench {
namespace {

class UmbufWay final : public Way {
  public:
    UmbufWay(bool encrypt, std::unique_ptr<EspLane> lane, OwnSas sas)
        : encrypt_(encrypt), lane_(std::move(lane)), sas_(std::move(sas)) {}
    uint16_t run(Mbuf** packets, const uint16_t* sas, uint16_t n) noexcept override {
        std::array<Sa*, kEspBenchBurst> of;
        std::array<EspFate, kEspBenchBurst> fates;
        for (uint16_t i = 0; i < n; ++i) of[i] = sas_[sas[i]].get();
        const uint16_t done = encrypt_ ? esp_output(*lane_, of.data(), packets, fates.data(), n)
                                       : esp_input(*lane_, of.data(), packets, fates.data(), n);
        refs_flush();
        return done;
    }

  private:
    bool encrypt_;
    std::unique_ptr<EspLane> lane_;
    OwnSas sas_;
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
    Result<std::unique_ptr<EspLane>> lane = EspLane::make(*what.engine, static_cast<int>(rte_socket_id()));
    if (!lane) return lane.error();
    Result<OwnSas> sas = make_sas(what);
    if (!sas) return sas.error();
    return std::unique_ptr<Way>(std::make_unique<UmbufWay>(what.encrypt, std::move(lane.value()), std::move(sas.value())));
}

}  // namespace umbuf::bench
