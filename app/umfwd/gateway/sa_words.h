// SPDX-License-Identifier: BSD-2-Clause
// sa_words.h - SAs and policies in the words of commands (docs/gateway-control.md).
//
// A key in a line never comes here as text: lift_key() takes it out first, and leaves stars.
#pragma once
#include <string>
#include <string_view>

#include "app/umfwd/conf/conf.h"

namespace umbuf::fwd {

// lift_key - in a line that begins with `sa`, what stands behind a word `key` becomes stars in `line`, and what
// it was is in `key`, if somebody wants it: the last one's.
[[nodiscard]] Status lift_key(std::string& line, Secret* key);
inline void hide_key(std::string& line) { (void)lift_key(line, nullptr); }  // needs no memory, so it cannot fail

// sa_of_words - what stands behind `sa add`. `key`: as it was typed, empty: none was. Error: which word is
// wrong, missing, out of place, or there twice; why the key file cannot be read.
[[nodiscard]] Result<ConfSa> sa_of_words(std::string_view words, const Secret& key);

// rekey_of_words - what stands behind `sa rekey`, and what it does not say of `old`, whose name it has.
struct Rekey {
    ConfSa sa;
    std::optional<uint64_t> keep_s;
};
[[nodiscard]] Result<Rekey> rekey_of_words(std::string_view words, const Secret& key, const ConfSa& old);

// policy_of_words - what stands behind `policy add`; a name is empty where none is said.
[[nodiscard]] Result<ConfPolicy> policy_of_words(std::string_view words);

// words_of - what makes the same again; an SA without its key and its numbers.
[[nodiscard]] std::string words_of(const ConfSa& sa);
[[nodiscard]] std::string words_of(const ConfPolicy& policy);

}  // namespace umbuf::fwd
