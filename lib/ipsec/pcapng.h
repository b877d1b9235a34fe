// SPDX-License-Identifier: BSD-2-Clause
// pcapng.h - a few IP packets with a word about each, as a file for Wireshark.
//
// rte_pcapng wants a port to have come from, and its calls differ between DPDK 22.11 and 24.11; these
// packets came out of an engine. Link type 101: they begin with their IP header.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "lib/base/result.h"

namespace umbuf {

struct Pictured {
    std::span<const std::byte> bytes;
    std::string comment;
};
// write_pcapng - a new file, for its owner alone: what is in it may be plaintext. Error: the file is there
// already, or cannot be written. Control thread.
[[nodiscard]] Status write_pcapng(const std::string& path, const std::string& comment, std::span<const Pictured> packets);

}  // namespace umbuf
