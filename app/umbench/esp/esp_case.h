// SPDX-License-Identifier: BSD-2-Clause
// esp_case.h - what one line of `umbench esp` measures.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lib/ipsec/algorithm.h"
#include "lib/ipsec/engine.h"

namespace umbuf::bench {

enum class Source : uint8_t {
    owned,     // received packets, nobody else's ("private")
    shared,    // copies of received packets that somebody else still has
    unmapped,  // headers in an mbuf, the rest in pages that the CPU has no address to write at
};
[[nodiscard]] inline const char* name_of(Source source) noexcept {
    return source == Source::owned ? "private" : source == Source::shared ? "shared" : "unmapped";
}

inline constexpr uint16_t kEspBenchBurst = 32;

struct EspCase {
    const Engine* engine = nullptr;
    Algorithm algorithm;
    bool encrypt = true;
    uint32_t size = 0;     // bytes of the packet in the clear, IP header included
    uint32_t sas = 1;
    Source source = Source::owned;
    bool inside = true;    // the working set fits into L2
    uint32_t packets = 0;  // in it
    // keys - one for each SA.
    const std::vector<std::string>* keys = nullptr;

    [[nodiscard]] const char* direction() const noexcept { return encrypt ? "encrypt" : "decrypt"; }
    [[nodiscard]] const char* working_set() const noexcept { return inside ? "inside" : "beyond"; }
    // text - what the cipher sees of each packet.
    [[nodiscard]] uint32_t text() const noexcept {
        const uint32_t align = algorithm.cipher->block > 4 ? algorithm.cipher->block : 4;
        return (size + 2 + align - 1) / align * align;
    }
};

}  // namespace umbuf::bench
