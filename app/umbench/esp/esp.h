// SPDX-License-Identifier: BSD-2-Clause
// esp.h - what does ESP cost a packet, beside librte_ipsec, beside unsharing first, and beside the cipher alone?
//
// Method. One thread, EAL in this process. Each case is an engine, an algorithm, a direction, a size, so many
// SAs, a kind of source and a working set. In each round every way does the case once, over packets that were
// made for it just before; another one begins each time. The first round warms up and is thrown away; the
// median over the rounds is the answer, the median of the ratios within rounds the comparison. Bursts that took
// more than three times the usual are left out: something else had the processor.
//
//      timed      a burst of 32 goes in and comes out. What was taken from pools and given back on the way is
//                 part of it: new clusters, old packets, private copies
//      not timed  making the packets; freeing what came out, which is a driver's to do
//
// Inside L2: 64 packets, made anew over and over; what came out is freed at once. Beyond: so many packets
// that they are four times L2, and 512 that came out wait, as in a port's ring, before they are freed.
// SAs are used in an order that cannot be foretold.
//
// What was opened is held to what was protected, and what was protected is opened by IPsec-MB and held to the
// same, all of it in the round that is thrown away: a way that is fast and wrong has no row.
//
// Source private: received packets. Shared: copies of received packets (m_copypacket) that another holder
// still has. Unmapped: a header, and payload in pages without an address for the CPU.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace umbuf::bench {

struct EspPlan {
    // engines - by the names of drivers/crypto/engines.h. Empty: kEspEngines, all cases with the first, and with each
    // of the others a few.
    std::vector<std::string> engines, algorithms = {"aes-gcm-128"}, directions = {"encrypt", "decrypt"};
    std::vector<unsigned> sizes = {64, 256, 512, 1024, 1420}, sas = {1, 1000};
    std::vector<std::string> sources = {"private", "shared", "unmapped"}, working_sets = {"inside", "beyond"};
    unsigned rounds = 9;
    unsigned packets = 0;  // in a working set beyond L2; 0: by the size of L2
};

struct EspRow {
    std::string engine, algorithm, direction, source, working_set;
    unsigned size = 0, sas = 0;
    // Cycles per packet, by round. Empty: that way has no such algorithm.
    std::vector<double> umbuf, librte_cpu, librte_lookaside, raw, unshare;
};

inline constexpr const char* kEspEngines[] = {"ipsec-mb", "cryptodev:crypto_aesni_gcm", "cryptodev:crypto_aesni_mb",
                                              "cryptodev:crypto_openssl"};

struct EspReport {
    std::vector<EspRow> rows;
    std::vector<std::string> left_out;  // which engine, or which algorithm of it, and why: it cannot be had here
};
// measure_esp - all of it; starts EAL in this process. progress: a line for each case. Error: nothing that was asked
// for can be had, or which way did not do a packet, or did it wrongly.
[[nodiscard]] Result<EspReport> measure_esp(const EspPlan& plan, const std::function<void(const std::string&)>& progress);

// esp_table - for people, with how far the goals are met, and what was left out; esp_json - an array of {engine, algorithm,
// direction, size, sas, source, working_set, cycles_per_packet, librte_ipsec, raw_ipsec_mb, unshare_in_place},
// all but the first seven in cycles per packet, null where there is none, and {mad, rounds, librte_ipsec_by}.
[[nodiscard]] std::string esp_table(const EspReport& report);
[[nodiscard]] std::string esp_json(const std::vector<EspRow>& rows);

}  // namespace umbuf::bench
