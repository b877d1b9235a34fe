// SPDX-License-Identifier: BSD-2-Clause
// engines.h - engines by name, as an option or a command has it.
#pragma once
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/ipsec/engine.h"

namespace umbuf {

// find_esp_engine - ipsec-mb, cryptodev:NAME (a device; a virtual one is made) or security. Error: there is
// none of that name, or nothing here that does it. Control thread, after EAL has started.
[[nodiscard]] Result<const Engine*> find_esp_engine(const std::string& name);
// check_esp_engine - is this a name at all? Needs no EAL.
[[nodiscard]] Status check_esp_engine(const std::string& name);
// esp_engines_present - ipsec-mb if this CPU can, and each crypto device that EAL has and ESP can use.
[[nodiscard]] std::vector<const Engine*> esp_engines_present();

// EspVerdict - of one algorithm on one engine.
struct EspVerdict {
    std::string engine, algorithm;
    Status status;  // EOPNOTSUPP: the engine does not have it
};
// selftest_all - every algorithm on every engine that is present.
[[nodiscard]] std::vector<EspVerdict> selftest_all();

}  // namespace umbuf
