// SPDX-License-Identifier: BSD-2-Clause
// keys.h - one table of a TOML file, read key by key; what is wrong with it is complained about at its place.
//
// A key that is never asked for is unknown, and end() says so. A value that is wrong leaves the field as it
// was, and reading goes on: one look at the file finds all its errors.
//
//      mtu = 10             F:3: port.mtu = 10: expected a number from 68 to 9710
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "app/umfwd/conf/problems.h"

namespace umbuf::fwd {

class Keys {
  public:
    // All of these live longer. `path`: what keys are called in messages: "port" makes port.mtu.
    Keys(const toml::table& table, std::string path, Problems& problems);

    // Take - is this text what was expected? Whoever says true has taken it.
    using Take = std::function<bool(const std::string&)>;

    // All of these: true if the key is there and right.
    bool text(const char* key, std::string& field);
    bool flag(const char* key, bool& field);
    template <class T>
    bool number(const char* key, T& field, uint64_t low, uint64_t high) {
        uint64_t n = 0;
        if (!number_in(key, n, low, high)) return false;
        field = static_cast<T>(n);
        return true;
    }
    bool word(const char* key, std::string_view expected, const Take& take);
    // word_or_number - a number is handed to `take` as text.
    bool word_or_number(const char* key, std::string_view expected, const Take& take);
    // words - one, or a list of them.
    bool words(const char* key, std::string_view expected, const Take& take);
    template <class T>
    bool choice(const char* key, T& field, std::initializer_list<std::pair<const char*, T>> choices) {
        std::string expected;
        for (const auto& [name, value] : choices) expected += (expected.empty() ? "" : ", ") + std::string(name);
        return word(key, choices.size() > 1 ? "one of " + expected : expected, [&](const std::string& said) {
            for (const auto& [name, value] : choices)
                if (said == name) return field = value, true;
            return false;
        });
    }
    // table - a table in the table. tables - [[key]], one after the other.
    bool table(const char* key, const std::function<void(Keys&)>& read);
    void tables(const char* key, const std::function<void(Keys&)>& read);
    // each - every key there is, as it comes, for tables whose keys are a list elsewhere.
    void each(const std::function<void(const std::string& key, const toml::node& value)>& read);

    [[nodiscard]] bool has(const char* key) const { return table_.contains(key); }
    // know - this key may be here, and somebody else reads it.
    const toml::node* know(const char* key);
    [[nodiscard]] Place place() const;                  // of the table
    [[nodiscard]] Place place(const char* key) const;   // of the key, or of the table without it
    [[nodiscard]] static Place place(const toml::node& value);

    // wrong - the key's value is not what was expected. missing - it is not there. complain - whatever else
    // is to be said about it, or about the table. out_of_place - it is there, and means nothing here.
    void wrong(const std::string& key, const toml::node& value, std::string_view expected);
    void missing(const char* key, std::string_view expected);
    void complain(const char* key, std::string_view what);
    void complain(std::string_view what);
    void out_of_place(const char* key, std::string_view why);
    // unknown - there is no such key; `names`: those that there are.
    void unknown(const std::string& key, Place at, const std::vector<std::string>& names);
    void end();

  private:
    bool number_in(const char* key, uint64_t& field, uint64_t low, uint64_t high);
    [[nodiscard]] std::string called(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

    const toml::table& table_;
    const std::string path_;
    Problems& problems_;
    std::vector<std::string> known_;
};

// value_text - as it stands in the file, or nearly; short. Lists and tables by their kind.
[[nodiscard]] std::string value_text(const toml::node& value);

}  // namespace umbuf::fwd
