// SPDX-License-Identifier: BSD-2-Clause
// way.h - a way to do ESP, as the benchmark sees it: a burst in, a burst out.
//
//      umbuf     esp_output(), esp_input()
//      unshare   m_unshare(), then IPsec-MB in place: what a stack does whose cipher writes where it reads
//      librte    DPDK's librte_ipsec over a crypto device of IPsec-MB's
//
// All are given packets of the same kind at the same time, one after the other. A packet that a way takes is
// its own to change, free or send on.
#pragma once
#include <memory>

#include "app/umbench/esp/esp_case.h"
#include "lib/base/result.h"
#include "lib/mbuf/mbuf.h"

namespace umbuf::bench {

class Way {
  public:
    virtual ~Way() = default;
    // run - packets[i], by SA sas[i], becomes what came out. n <= kEspBenchBurst. Returns how many came out
    // right; what did not is still to be freed.
    virtual uint16_t run(Mbuf** packets, const uint16_t* sas, uint16_t n) noexcept = 0;
};
using MadeWay = Result<std::unique_ptr<Way>>;

[[nodiscard]] MadeWay make_umbuf_way(const EspCase& what);
// make_unshare_way - null: not for this algorithm (AES-GCM alone).
[[nodiscard]] MadeWay make_unshare_way(const EspCase& what);
// make_librte_way - `lookaside`: operations are queued to the device and fetched; else its CPU interface.
// Where the source is not the application's alone, librte_ipsec is given a private copy: it writes to what
// it is given, whoever holds it. Null: the library, or the device, has no such algorithm.
[[nodiscard]] MadeWay make_librte_way(const EspCase& what, bool lookaside);
// stop_librte - the devices that were made for it, before EAL ends.
void stop_librte();

}  // namespace umbuf::bench
