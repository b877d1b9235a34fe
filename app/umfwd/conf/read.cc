// SPDX-License-Identifier: BSD-2-Clause
// read.cc - a file, from its first byte to a Conf.
#include "app/umfwd/conf/read.h"

#include <cerrno>
#include <filesystem>

#include <fmt/format.h>

namespace umbuf::fwd {
namespace {

// A TOML parser makes a table for each dot of a key, and takes them down by recursion.
constexpr size_t kMostLine = 1024;

// lines_fit - no line is longer than that.
bool lines_fit(std::string_view text, Problems& problems) {
    uint32_t line = 1;
    bool fit = true;
    for (size_t at = 0; at < text.size(); ++line) {
        const size_t end = std::min(text.find('\n', at), text.size());
        if (end - at > kMostLine) {
            problems.add({line, 1}, fmt::format("a line of {} bytes: expected {} at most", end - at, kMostLine));
            fit = false;
        }
        at = end + 1;
    }
    return fit;
}

// parse - null: it is no TOML, which is one error: behind it, nothing is known to be meant.
std::optional<toml::table> parse(std::string_view text, Problems& problems) {
    try {
        return toml::parse(text);
    } catch (const toml::parse_error& e) {
        const toml::source_position at = e.source().begin;
        problems.add({at.line, at.column}, fmt::format("column {}: this is no TOML: {}", at.column, e.description()));
    } catch (const std::exception& e) {
        problems.add({}, fmt::format("this is no TOML: {}", e.what()));
    }
    return std::nullopt;
}

void read_all(Keys& keys, Conf& conf, const Source& source, const std::string& folder) {
    keys.table("eal", [&](Keys& k) { read_eal(k, conf); });
    keys.table("options", [&](Keys& k) { read_options(k, conf); });
    keys.tables("port", [&](Keys& k) { read_port(k, conf); });
    keys.tables("route", [&](Keys& k) { read_route(k, conf); });
    keys.tables("neighbour", [&](Keys& k) { read_neighbour(k, conf); });
    keys.table("ipsec", [&](Keys& k) { read_ipsec(k, conf); });
    keys.tables("sa", [&](Keys& k) { read_sa(k, conf, source, folder); });
    keys.tables("policy", [&](Keys& k) { read_policy(k, conf); });
    keys.end();
}

void check_rights(const Source& source, Place first_key, Problems& problems) {
    if (first_key.line == 0 || (source.rights() & 077) == 0) return;
    problems.add(first_key, fmt::format("sa.key: a key in a file with rights {:04o}: expected 0600, that only its owner can read: "
                                        "chmod 600, or --conf-readable",
                                        source.rights()));
}

}  // namespace

ConfRead read_conf(const std::string& path, bool readable) {
    Problems problems(path);
    const Result<Source> source = Source::open(path);
    if (!source) problems.add({}, source.error().text);
    auto conf = std::make_shared<Conf>();
    conf->file = path;
    conf->readable = readable;
    std::optional<toml::table> table;
    if (source && lines_fit(source.value().text(), problems)) table = parse(source.value().text(), problems);
    if (table) {
        Keys keys(*table, "", problems);
        read_all(keys, *conf, source.value(), std::filesystem::path(path).parent_path().string());
        check_ports(*conf, problems);
        check_sas(*conf, problems);
        check_policies(*conf, problems);
        if (!readable) check_rights(source.value(), conf->first_key, problems);
    }
    if (!problems.none()) return {nullptr, problems.lines()};
    return {std::move(conf), {}};
}

}  // namespace umbuf::fwd
