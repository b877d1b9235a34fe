// SPDX-License-Identifier: BSD-2-Clause
// say.cc - the program's words for people.
#include "app/umfwd/say.h"

#include <cstdio>

namespace umbuf::fwd {

namespace {
std::FILE* stream = nullptr;  // [c] null: standard output
}

void say(std::string_view text) {
    std::FILE* out = stream == nullptr ? stdout : stream;
    std::fwrite(text.data(), 1, text.size(), out);
    std::fflush(out);
}

void say_on_standard_error() noexcept { stream = stderr; }

}  // namespace umbuf::fwd
