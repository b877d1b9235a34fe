// SPDX-License-Identifier: BSD-2-Clause
// engines.h - the modes there are, by name of object: what engines.cc puts into its table.
#pragma once
#include "app/umfwd/engines/engine.h"

namespace umbuf::fwd {

extern const Engine io_engine, mac_engine, macswap_engine, rxonly_engine, txonly_engine,
    flowgen_engine, icmpecho_engine, csum_engine, fivetswap_engine, tee_engine, frag_engine,
    seqgen_engine, sendfile_engine, esp_enc_engine, esp_dec_engine, route_engine, gateway_engine, recvfile_engine;

// esp_close - modes esp-*: forget the SAs that were kept for the next start, and give crypto devices back. After
// the last stop, before EAL ends. Control thread.
void esp_close();

}  // namespace umbuf::fwd
