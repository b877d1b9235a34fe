// SPDX-License-Identifier: BSD-2-Clause
// external_memory.h - memory that EAL was given (rte_extmem_register), under ports that cannot live with it.
//
// A vhost-user process maps EAL's memory by the files behind it, and external memory has none. DPDK 22.11
// then tells that process of no memory at all, says nothing, and counts every packet as sent.
#pragma once
#include <string>

#include <rte_memory.h>

#include "drivers/net/quirks.h"
#include "drivers/net/unmapped.h"

namespace umbuf {

// loses_external_memory - is there such memory, and is the port's other side such a process? Control thread.
[[nodiscard]] inline bool loses_external_memory(const Quirks& quirks, const std::string& devargs) {
    if (quirks.pages != Quirks::by_peer || devarg(devargs, "path").starts_with("/dev/vhost-")) return false;
    const auto is_external = [](const rte_memseg_list* list, void*) { return list->external != 0 ? 1 : 0; };
    return rte_memseg_list_walk(is_external, nullptr) != 0;
}
inline constexpr const char* kExternalMemory =
    "there is external memory (rte_extmem_register), which a vhost-user process cannot map, and with it all packets "
    "would be lost unseen; use EAL's own memory, or another driver";

}  // namespace umbuf
