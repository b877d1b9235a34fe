// SPDX-License-Identifier: BSD-2-Clause
// trace_text.cc - a life, told event by event.
#include "lib/mbuf/trace_text.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <map>
#include <unordered_map>

#include <rte_lcore.h>

namespace umbuf::trace {
namespace {

std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string text(const char* format, ...) {
    std::array<char, 256> line;
    va_list args;
    va_start(args, format);
    std::vsnprintf(line.data(), line.size(), format, args);
    va_end(args);
    return line.data();
}

const char* deed(Kind kind) noexcept {
    switch (kind) {
    case Kind::attach: return "attached";
    case Kind::take: return "taken";
    case Kind::join: return "taken";
    case Kind::drop: return "dropped";
    case Kind::detach: return "detached";
    case Kind::last: return "freed";
    case Kind::unshare: return "unshared";
    }
    return "?";
}

std::string who(const Event& e) {
    std::string line;
    if (e.m != nullptr) line += text(" by mbuf %p", e.m);
    if (e.from != nullptr) line += text(e.kind == Kind::join ? " from received packet %p" : " from mbuf %p", e.from);
    if (e.outstanding == ref::kStuckCount) line += ", stuck";
    else if (e.outstanding != 0) line += text(", weight %" PRIu64 " of %" PRIu64, e.weight, e.outstanding);
    return line;
}

// Names - of callers that were looked up already.
using Names = std::unordered_map<const void*, std::string>;

std::string callers(const Event& e, const Teller& teller, Names& names) {
    std::string list;
    for (const void* caller : e.callers) {
        if (caller == nullptr) break;
        auto [name, fresh] = names.try_emplace(caller);
        if (fresh) name->second = teller.symbol(teller.arg, caller);
        list += (list.empty() ? "" : ", ") + name->second;
    }
    return list;
}

std::string line(const Event& e, uint64_t began, bool with_storage, const Teller& teller, Names& names) {
    const double seconds = static_cast<double>(e.tsc - began) / static_cast<double>(teller.tsc_hz);
    std::string s = text("#%" PRIu64 " %.6f s, ", e.number, seconds);
    s += e.lcore != uint16_t(LCORE_ID_ANY) ? text("lcore %u", unsigned{e.lcore}) : text("thread %u", e.thread);
    if (with_storage) s += text(", storage %p", e.storage);
    s += std::string(": ") + deed(e.kind) + who(e) + "\n";
    return s + "      " + deed(e.kind) + " at " + callers(e, teller, names) + "\n";
}

// Holders - of each storage, who holds it, and since which event (0: since before the trace).
using Holders = std::map<const void*, std::map<const void*, uint64_t>>;

void follow(Holders& holders, const Event& e) {
    auto& of = holders[e.storage];
    switch (e.kind) {
    case Kind::take:
        of.try_emplace(e.from, 0);
        [[fallthrough]];
    case Kind::attach:
    case Kind::join: of[e.m] = e.number; return;
    case Kind::drop:
    case Kind::detach: of.erase(e.m); return;
    case Kind::last: of.clear(); return;
    case Kind::unshare: of.try_emplace(e.m, 0); return;
    }
}

std::string held(const std::map<const void*, uint64_t>& holders) {
    if (holders.empty()) return "still held: by nobody\n";
    std::string s = text("still held: by %zu mbuf%s\n", holders.size(), holders.size() == 1 ? "" : "s");
    for (const auto& [m, since] : holders)
        s += since != 0 ? text("    mbuf %p since #%" PRIu64 "\n", m, since)
                        : text("    mbuf %p since before the trace\n", m);
    return s;
}

std::string held_of_all(const Holders& holders) {
    constexpr size_t kShown = 16;
    std::vector<std::string> lines;
    for (const auto& [storage, of] : holders)
        if (!of.empty()) lines.push_back(text("    storage %p by %zu\n", storage, of.size()));
    std::string s = lines.empty() ? "still held: nothing\n"
                                  : text("still held: %zu storage%s\n", lines.size(), lines.size() == 1 ? "" : "s");
    for (size_t i = 0; i < std::min(kShown, lines.size()); ++i) s += lines[i];
    return lines.size() > kShown ? s + "    ...\n" : s;
}

}  // namespace

std::string headline(const State& now, const char* scheme) {
    return text("reference trace, %s: scheme %s, %u threads, %" PRIu64 " events, %" PRIu64 " overwritten, %" PRIu64
                " not recorded\n",
                now.on ? "on" : "off", scheme, now.threads, now.events, now.overwritten, now.unrecorded);
}

std::string show(const std::vector<Event>& events, const Filter& filter, const Teller& teller) {
    Names names;
    std::vector<const Event*> chosen;
    Holders holders;
    for (const Event& e : events) {
        if (filter.storage != nullptr && e.storage != filter.storage) continue;
        chosen.push_back(&e);
        follow(holders, e);
    }
    const size_t skipped = filter.last == 0 || filter.last >= chosen.size() ? 0 : chosen.size() - filter.last;
    std::string s;
    if (filter.storage != nullptr) s += text("storage %p:\n", filter.storage);
    if (chosen.empty()) s += "no event is recorded\n";
    if (skipped != 0) s += text("(%zu earlier events are not shown)\n", skipped);
    for (size_t i = skipped; i < chosen.size(); ++i)
        s += line(*chosen[i], chosen.front()->tsc, filter.storage == nullptr, teller, names);
    if (chosen.empty()) return s;
    return s + (filter.storage != nullptr ? held(holders[filter.storage]) : held_of_all(holders));
}

}  // namespace umbuf::trace
