// SPDX-License-Identifier: BSD-2-Clause
// conf.cc - what a configuration needs of whom.
#include "app/umfwd/conf/conf.h"

#include <algorithm>

#include <fmt/format.h>

namespace umbuf::fwd {

bool same_key(const Secret& a, const Secret& b) { return a.size() != 0 && a.size() == b.size() && same_bytes(a.data(), b.data(), a.size()); }

const ConfPort* Conf::port_named(std::string_view name) const noexcept {
    const auto at = std::ranges::find(ports, name, &ConfPort::name);
    return at == ports.end() ? nullptr : &*at;
}

const char* Conf::mode() const noexcept {
    if (!policies.empty() || !sas.empty()) return "esp";
    const bool addressed = std::ranges::any_of(ports, [](const ConfPort& p) { return !p.addresses.empty(); });
    return addressed || !routes.empty() || !neighbours.empty() ? "route" : "io";
}

// A policy that nobody looks at lets everything pass in the clear.
Status Conf::served_by(std::string_view given) const {
    const std::string_view needed = mode();
    if (needed == "io" || given == needed || (needed == "route" && given == "esp")) return {};
    return Error{EINVAL, fmt::format("--forward-mode={}: {} has {}, and this mode would not look at them; expected mode {}", given, file,
                                     needed == "esp" ? "policies or SAs" : "addresses, routes or neighbours", needed)};
}

}  // namespace umbuf::fwd
