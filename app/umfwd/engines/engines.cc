// SPDX-License-Identifier: BSD-2-Clause
// engines.cc - the table of modes. A new mode: its file in engines/, its name in engines/engines.h,
// its line here.
#include "app/umfwd/engines/engines.h"

namespace umbuf::fwd {
namespace {

constexpr const Engine* kEngines[] = {
    &io_engine,        &mac_engine,     &macswap_engine,  &rxonly_engine,
    &txonly_engine,    &flowgen_engine, &icmpecho_engine, &csum_engine,
    &fivetswap_engine, &tee_engine,     &frag_engine,     &seqgen_engine,
    &sendfile_engine,  &esp_enc_engine,  &esp_dec_engine,
    &route_engine,     &gateway_engine, &recvfile_engine,
};

}  // namespace

std::span<const Engine* const> engines() noexcept {
    return kEngines;
}

const Engine* find_engine(std::string_view name) noexcept {
    for (const Engine* engine : kEngines)
        if (name == engine->name) return engine;
    return nullptr;
}

}  // namespace umbuf::fwd
