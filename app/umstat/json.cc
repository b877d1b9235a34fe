// SPDX-License-Identifier: BSD-2-Clause
// json.cc - by nlohmann/json.
#include "app/umstat/json.h"

#include <nlohmann/json.hpp>

#include "app/umstat/labels.h"

namespace umbuf::umstat {
namespace {

using Json = nlohmann::ordered_json;

double seconds(uint64_t ns) { return static_cast<double>(ns) / 1e9; }

Json number_json(const stat::Number& number) {
    Json labels = Json::object();
    for (const auto& [key, value] : labels_of(number)) labels[key] = value;
    Json out{{"name", number.name}, {"unit", number.unit}, {"kind", kind_name(number.kind)}, {"labels", std::move(labels)}};
    if (number.kind != stat::Kind::histogram) {
        out["value"] = number.value();
        return out;
    }
    std::vector<uint64_t> cells = number.cells;
    while (cells.size() > 1 && cells.back() == 0) cells.pop_back();
    out["cells"] = std::move(cells);
    return out;
}

}  // namespace

std::string sample_json(const stat::Sample& s) {
    Json numbers = Json::array();
    for (const stat::Number& number : s.numbers) numbers.push_back(number_json(number));
    const Json out{{"program", s.program},
                   {"version", s.version},
                   {"prefix", s.prefix},
                   {"pid", s.pid},
                   {"generation", std::to_string(s.generation)},
                   {"life", name_of(s.life)},
                   {"started", seconds(s.started_ns)},
                   {"beat", seconds(s.beat_ns)},
                   {"taken", seconds(s.taken_ns)},
                   {"unlisted", s.unlisted},
                   {"skipped", s.skipped},
                   {"numbers", std::move(numbers)}};
    return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace umbuf::umstat
