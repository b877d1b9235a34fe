// SPDX-License-Identifier: BSD-2-Clause
// vectors.h - published examples of ESP's algorithms: what goes in, and what has to come out.
//
// Numbers only, as hexadecimal digits. An example that was not published for ESP but for its cipher or
// hash alone says so.
#pragma once
#include <span>

namespace umbuf {

struct EspVector {
    const char* source;     // where it was published
    const char* algorithm;  // find_algorithm()
    const char* key;        // cipher, salt, integrity
    const char* spi;
    const char* seq_high;   // "": no ESN
    const char* seq;
    const char* iv;
    const char* text;       // payload and ESP trailer
    const char* sealed;     // the same, encrypted
    const char* icv;
};
[[nodiscard]] std::span<const EspVector> esp_vectors() noexcept;

}  // namespace umbuf
