// SPDX-License-Identifier: BSD-2-Clause
// page.h - what is it worth to send a file's pages without mapping or copying them?
//
// Method. umfwd in mode sendfile, in turn with --ext-pgs=on (the packets show the pages themselves) and
// --ext-pgs=off (the same bytes, copied into clusters), afresh for each run. The file fits into the page
// cache and is sent over and over, so the disk is not measured. One run of each makes a pair, and one
// pair gives one ratio; who is first changes from pair to pair. The median of the ratios is the answer.
//
//      null     net_null: a device that costs nothing, so the sending itself
//      virtio   net_virtio_user, and at its other end a peer (testpmd, net_vhost, rxonly) in its own
//               process, which copies every packet out of our memory
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "app/umbench/rig.h"
#include "lib/base/result.h"

namespace umbuf::bench {

struct PagePlan {
    Program umfwd;
    Program peer;  // virtio: a testpmd
    std::vector<std::string> ports = {"null", "virtio"};
    std::vector<unsigned> payloads = {1024, 1408, 2048, 4096, 9000};  // bytes of the file per packet
    unsigned pairs = 5;
    double seconds = 2;  // measured, per run
    double warm_up = 0.5;
    unsigned burst = 32;
};

struct PageRow {
    std::string port;
    unsigned payload = 0;
    std::vector<double> unmapped_mpps, copied_mpps, ratios;  // by pair
    std::vector<double> unmapped_cycles, copied_cycles;      // busy cycles per packet; by pair
};

// measure_pages - every port with every payload. `progress` gets one line per pair. Error: what could not
// be run, and what the program said.
[[nodiscard]] Result<std::vector<PageRow>> measure_pages(const PagePlan& plan,
                                                         const std::function<void(const std::string&)>& progress);

// page_table - for people; page_json - an array of {port, payload, unmapped_mpps, copied_mpps, ratio,
// ratio_min, ratio_max, unmapped_cycles, copied_cycles, pairs}.
[[nodiscard]] std::string page_table(const PagePlan& plan, const std::vector<PageRow>& rows);
[[nodiscard]] std::string page_json(const std::vector<PageRow>& rows);

}  // namespace umbuf::bench
