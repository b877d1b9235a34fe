// SPDX-License-Identifier: BSD-2-Clause
// keys.cc - asking a table, and complaining.
#include "app/umfwd/conf/keys.h"

#include <algorithm>

#include <fmt/format.h>

#include "app/umfwd/nearest.h"

namespace umbuf::fwd {
namespace {

constexpr size_t kMostShown = 60;
constexpr std::string_view kSecret = "key";  // the key whose value nobody is shown

// printable - nothing in it can move a terminal's cursor.
std::string printable(const std::string& text) {
    std::string out;
    for (const char c : text.substr(0, kMostShown)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) out += fmt::format("\\u{:04x}", byte);
        else if (c == '"' || c == '\\') out += std::string("\\") + c;
        else out += c;
    }
    return out + (text.size() > kMostShown ? "..." : "");
}

}  // namespace

std::string value_text(const toml::node& value) {
    if (const auto* s = value.as_string()) return fmt::format("\"{}\"", printable(s->get()));
    if (const auto* n = value.as_integer()) return fmt::format("{}", n->get());
    if (const auto* d = value.as_floating_point()) return fmt::format("{}", d->get());
    if (const auto* b = value.as_boolean()) return b->get() ? "true" : "false";
    if (value.is_array()) return "a list";
    if (value.is_table()) return "a table";
    return "a date or a time";
}

Keys::Keys(const toml::table& table, std::string path, Problems& problems)
    : table_(table), path_(std::move(path)), problems_(problems) {}

Place Keys::place(const toml::node& value) { return {value.source().begin.line, value.source().begin.column}; }
Place Keys::place() const { return place(table_); }
Place Keys::place(const char* key) const {
    const toml::node* value = table_.get(key);
    return value == nullptr ? place() : place(*value);
}

const toml::node* Keys::know(const char* key) {
    known_.emplace_back(key);
    return table_.get(key);
}

void Keys::wrong(const std::string& key, const toml::node& value, std::string_view expected) {
    problems_.add(place(value), fmt::format("{} = {}: expected {}", called(key), value_text(value), expected));
}

void Keys::missing(const char* key, std::string_view expected) {
    problems_.add(place(), fmt::format("{} is missing: expected {}", called(key), expected));
}

void Keys::complain(const char* key, std::string_view what) {
    const toml::node* value = table_.get(key);
    const bool shown = value != nullptr && std::string_view(key) != kSecret;
    problems_.add(place(key), fmt::format("{}{}{}: {}", called(key), shown ? " = " : "", shown ? value_text(*value) : "", what));
}

void Keys::complain(std::string_view what) { problems_.add(place(), fmt::format("{}: {}", path_, what)); }

void Keys::out_of_place(const char* key, std::string_view why) {
    if (const toml::node* value = know(key); value != nullptr)
        problems_.add(place(*value), fmt::format("{} = {}: {}: leave it out", called(key), value_text(*value), why));
}

void Keys::unknown(const std::string& key, Place at, const std::vector<std::string>& names) {
    problems_.add(at, fmt::format("{} is unknown; the nearest that there is: {}", printable(called(key)),
                                  called(nearest(key, names))));
}

void Keys::end() {
    for (auto&& [key, value] : table_) {
        const std::string name(key.str());
        const Place at{key.source().begin.line, key.source().begin.column};
        if (std::find(known_.begin(), known_.end(), name) == known_.end()) unknown(name, at, known_);
    }
}

bool Keys::number_in(const char* key, uint64_t& field, uint64_t low, uint64_t high) {
    const toml::node* value = know(key);
    if (value == nullptr) return false;
    const auto* n = value->as_integer();
    if (n != nullptr && n->get() >= 0 && static_cast<uint64_t>(n->get()) >= low && static_cast<uint64_t>(n->get()) <= high)
        return field = static_cast<uint64_t>(n->get()), true;
    // TOML's numbers end there.
    const uint64_t most = std::min<uint64_t>(high, INT64_MAX);
    wrong(key, *value, most == INT64_MAX ? fmt::format("a number from {} on", low) : fmt::format("a number from {} to {}", low, most));
    return false;
}

bool Keys::text(const char* key, std::string& field) {
    return word(key, "a string that is not empty", [&](const std::string& said) { return field = said, !said.empty(); });
}

bool Keys::flag(const char* key, bool& field) {
    const toml::node* value = know(key);
    if (value == nullptr) return false;
    const auto* b = value->as_boolean();
    if (b != nullptr) return field = b->get(), true;
    wrong(key, *value, "true or false");
    return false;
}

bool Keys::word(const char* key, std::string_view expected, const Take& take) {
    const toml::node* value = know(key);
    if (value == nullptr) return false;
    const auto* s = value->as_string();
    if (s != nullptr && take(s->get())) return true;
    wrong(key, *value, expected);
    return false;
}

bool Keys::word_or_number(const char* key, std::string_view expected, const Take& take) {
    const toml::node* value = know(key);
    if (value == nullptr) return false;
    const auto* s = value->as_string();
    const auto* n = value->as_integer();
    if ((s != nullptr && take(s->get())) || (n != nullptr && take(std::to_string(n->get())))) return true;
    wrong(key, *value, expected);
    return false;
}

bool Keys::words(const char* key, std::string_view expected, const Take& take) {
    const toml::node* value = know(key);
    if (value == nullptr) return false;
    const auto* list = value->as_array();
    if (list == nullptr) return word(key, expected, take);
    bool right = true;
    for (const toml::node& one : *list) {
        const auto* s = one.as_string();
        if (s != nullptr && take(s->get())) continue;
        wrong(key, one, expected);
        right = false;
    }
    return right;
}

bool Keys::table(const char* key, const std::function<void(Keys&)>& read) {
    const toml::node* value = know(key);
    if (value == nullptr) return false;
    const toml::table* found = value->as_table();
    if (found == nullptr) {
        wrong(key, *value, "a table");
        return false;
    }
    Keys inner(*found, called(key), problems_);
    read(inner);
    inner.end();
    return true;
}

void Keys::tables(const char* key, const std::function<void(Keys&)>& read) {
    const toml::node* value = know(key);
    if (value == nullptr) return;
    const std::string expected = fmt::format("tables, each headed [[{}]]", called(key));
    const toml::array* list = value->as_array();
    if (list == nullptr) return wrong(key, *value, expected);
    for (const toml::node& one : *list) {
        const toml::table* found = one.as_table();
        if (found == nullptr) {
            wrong(key, one, expected);
            continue;
        }
        Keys inner(*found, called(key), problems_);
        read(inner);
        inner.end();
    }
}

void Keys::each(const std::function<void(const std::string& key, const toml::node& value)>& read) {
    for (auto&& [key, value] : table_) {
        known_.emplace_back(key.str());
        read(known_.back(), value);
    }
}

}  // namespace umbuf::fwd
