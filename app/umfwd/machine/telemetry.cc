// SPDX-License-Identifier: BSD-2-Clause
// telemetry.cc - a command shows the numbers of a family of names, grouped by what they are of.
#include "app/umfwd/machine/telemetry.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <rte_telemetry.h>

#include "lib/mbuf/compat.h"
#include "lib/stat/segment.h"

namespace umbuf::fwd {

namespace {

// A command, and how the names that it shows begin. DPDK's answers have 16 kB: a parameter asks for one group.
struct Family {
    const char* command;
    const char* help;
    std::vector<const char*> prefixes;
};
const std::vector<Family>& families() {
    static const std::vector<Family> all = {
        {"/umbuf/zones", "Levels of zones, denied, delayed. Parameter: a zone", {"zone_"}},
        {"/umbuf/pages", "Unmapped pages and windows", {"page_", "window_"}},
        {"/umbuf/refs", "References: stuck, refused, held back, clones set aside", {"ref_", "refused", "foreign_", "lost_"}},
        {"/umbuf/copies", "The copy budget, and conversions to mapped", {"copied_", "moved_", "conversion_"}},
        {"/umbuf/ports", "Ports. Parameter: a port's number", {"port_"}},
        {"/umbuf/streams", "Streams, but for drops. Parameter: a stream, such as P0Q0", {"stream_"}},
        {"/umbuf/drops", "Packets that died, by reason, of all streams", {"stream_drops"}},
        {"/umbuf/lcores", "Lcores: packets and cycles", {"lcore_"}},
        {"/umbuf/files", "Mode sendfile, its cache and its reader", {"sendfile_", "cache_", "reader_"}},
        {"/umbuf/esp", "ESP, in the words of /proc/net/xfrm_stat, and its SAs", {"esp_", "sa_"}},
        {"/umbuf/owners", "Who holds the elements of each zone", {"ledger"}},
    };
    return all;
}

// DPDK takes letters, digits, _ and / in names.
std::string plain(std::string text) {
    for (char& c : text)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '/') c = '_';
    return text.substr(0, 63);
}

using Labels = std::vector<std::pair<std::string, std::string>>;
Labels labels_of(const std::string& text) {
    Labels labels;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find(',', at), text.size()), is = text.find('=', at);
        if (is < end) labels.emplace_back(text.substr(at, is - at), text.substr(is + 1, end - is - 1));
        at = end + 1;
    }
    return labels;
}

const std::string* value(const Labels& labels, const char* key) {
    const auto at = std::ranges::find(labels, key, &Labels::value_type::first);
    return at == labels.end() ? nullptr : &at->second;
}

// group_of - of which thing a number is: its zone, port, stream ...; empty: of the program.
std::string group_of(const Labels& labels) {
    if (const std::string* port = value(labels, "rx_port"); port != nullptr) return "P" + *port + "Q" + *value(labels, "rx_queue");
    for (const char* key : {"zone", "port", "class", "lcore", "spi"})
        if (const std::string* found = value(labels, key); found != nullptr) return *found;
    return "";
}

// rest_of - what tells numbers of one name and one group apart: reason=tx-full.
std::string rest_of(const Labels& labels) {
    static constexpr const char* kSaid[] = {"rx_port", "rx_queue", "tx_port", "tx_queue", "lcore", "zone", "class", "kind",
                                            "size", "node", "device", "driver", "spi", "sa", "generation"};
    const bool of_zone = value(labels, "zone") != nullptr, of_stream = value(labels, "rx_port") != nullptr;
    std::string rest;
    for (const auto& [key, text] : labels) {
        const bool said = std::ranges::any_of(kSaid, [&key = key](const char* each) { return key == each; });
        if ((said && !(key == "kind" && of_stream)) || (key == "port" && !of_zone)) continue;
        rest += "_" + text;
    }
    return rest;
}

bool belongs(const Family& family, const char* name) {
    if (std::strcmp(family.command, "/umbuf/streams") == 0 && std::strcmp(name, "stream_drops") == 0) return false;
    return std::ranges::any_of(family.prefixes, [name](const char* p) { return std::strncmp(name, p, std::strlen(p)) == 0; });
}

using Numbers = std::map<std::string, std::map<std::string, uint64_t>>;  // by group, by name

Numbers numbers_of(const Family& family) {
    Numbers numbers;
    const bool drops = std::strcmp(family.command, "/umbuf/drops") == 0;
    stat::each([&](const stat::Listed& one) {
        if (!belongs(family, one.field.name)) return;
        const Labels labels = labels_of(one.labels);
        const std::string group = drops ? "" : group_of(labels);
        const std::string name = drops ? rest_of(labels).substr(1) : one.field.name + rest_of(labels);
        if (one.field.kind != stat::Kind::histogram) {
            numbers[plain(group)][plain(name)] += one.cells[0].read();
            return;
        }
        for (size_t i = 0; i < one.cells.size(); ++i)
            if (const uint64_t n = one.cells[i].read(); n > 0) numbers[plain(group)][plain(name + "_" + std::to_string(i))] = n;
    });
    return numbers;
}

void put(rte_tel_data* to, const std::map<std::string, uint64_t>& numbers) {
    for (const auto& [name, n] : numbers) (void)compat::add_to_dict(to, name.c_str(), n);
}

// answer - the program's own numbers, then a dictionary for each thing; with a parameter, that one alone.
int answer(const char* command, const char* parameter, rte_tel_data* to) {
    const auto family = std::ranges::find_if(families(), [command](const Family& f) { return std::strcmp(f.command, command) == 0; });
    if (family == families().end()) return -ENOENT;
    const Numbers numbers = numbers_of(*family);
    rte_tel_data_start_dict(to);
    if (parameter != nullptr && *parameter != '\0') {
        const auto one = numbers.find(plain(parameter));
        if (one == numbers.end()) return -ENOENT;
        put(to, one->second);
        return 0;
    }
    for (const auto& [group, list] : numbers) {
        if (group.empty()) {
            put(to, list);
            continue;
        }
        rte_tel_data* inner = rte_tel_data_alloc();
        if (inner == nullptr) return -ENOMEM;
        rte_tel_data_start_dict(inner);
        put(inner, list);
        if (rte_tel_data_add_dict_container(to, group.c_str(), inner, 0) != 0) rte_tel_data_free(inner);
    }
    return 0;
}

}  // namespace

void telemetry_commands() {
    for (const Family& family : families()) (void)rte_telemetry_register_cmd(family.command, answer, family.help);
}

}  // namespace umbuf::fwd
