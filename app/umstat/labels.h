// SPDX-License-Identifier: BSD-2-Clause
// labels.h - "zone=um_mbuf_0,kind=mbuf", taken apart.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lib/stat/reader.h"

namespace umbuf::umstat {

// labels_of - (key, value) in their order. What has no '=' is left out, and so is a key that was there.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> labels_of(const stat::Number& number);
// kind_name - "counter", "gauge", "peak", "limit", "histogram".
[[nodiscard]] const char* kind_name(stat::Kind kind) noexcept;
// as_number - of a label that should be one ("2048"); else `otherwise`.
[[nodiscard]] uint64_t as_number(const std::string& label, uint64_t otherwise = 0) noexcept;
// in_order - "um_mbuf_2" before "um_mbuf_10": digits count as numbers.
[[nodiscard]] bool in_order(const std::string& a, const std::string& b) noexcept;

}  // namespace umbuf::umstat
