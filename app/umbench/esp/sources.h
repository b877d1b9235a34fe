// SPDX-License-Identifier: BSD-2-Clause
// sources.h - packets to do ESP on, in each of the ways in which their bytes may lie.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "app/umbench/esp/esp_case.h"
#include "lib/mbuf/verbs.h"
#include "lib/mbuf/zone.h"

namespace umbuf::bench {

class Sources {
  public:
    static constexpr uint32_t kPageBytes = 16384;  // of the arena's anonymous pages

    explicit Sources(Zone* zone) : zone_(zone) {}
    ~Sources() { forget(); }
    Sources(const Sources&) = delete;
    Sources& operator=(const Sources&) = delete;

    // lay - one more packet of these bytes, of which `head` are its headers; the caller's. Null: no memory.
    [[nodiscard]] Mbuf* lay(Source kind, std::span<const std::byte> bytes, uint32_t head);
    // laid - all packets have been: whole from now on. False: no memory.
    [[nodiscard]] bool laid();
    // forget - the others who have what is shared let go of it.
    void forget();

  private:
    struct Piece {
        Mbuf* packet;
        uint32_t off, len;
    };
    [[nodiscard]] Mbuf* received(std::span<const std::byte> bytes) const;
    [[nodiscard]] Mbuf* shared(std::span<const std::byte> bytes);
    [[nodiscard]] Mbuf* unmapped(std::span<const std::byte> bytes, uint32_t head);
    [[nodiscard]] bool cut_page();

    Zone* zone_;                  // what ports receive into
    std::vector<Mbuf*> others_;   // who else has what is shared, pages included
    // The page that is being filled, and which packets show what of it.
    Mbuf* page_ = nullptr;
    uint32_t used_ = 0;
    std::vector<Piece> pieces_;
};

}  // namespace umbuf::bench
