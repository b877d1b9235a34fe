// SPDX-License-Identifier: BSD-2-Clause
// refs.cc - the list of schemes, and the audit.
#include "lib/mbuf/refs.h"

#include <array>
#include <cinttypes>
#include <cstdio>
#include <unordered_map>

#include <rte_errno.h>
#include <rte_mempool.h>

#include "lib/mbuf/ext_ops.h"
#include "lib/mbuf/zone.h"
#include "lib/ref/intrusive.h"
#include "lib/ref/leader.h"
#include "lib/ref/list.h"
#include "lib/ref/native.h"
#include "lib/ref/weighted.h"

namespace umbuf {
namespace {

template <class S>
constexpr RefOps row(bool takes_proxies = false) {
    static_assert(ref::Scheme<S>);
    return ext::Ops<S>::table(takes_proxies);
}

using Links = ext::LinksTo<ref::ListView<sync::Real>>;
using Pool = ext::ProxyZone<sync::Real>;

const std::array kSchemes{
    row<ref::List<Links>>(),
    row<ref::ListStriped<Links>>(),
    row<ref::Proxy<Pool>>(true),
    row<ref::ProxyPlus<Pool>>(true),
    row<ref::Leader<ext::HeaderPins>>(),
    row<ref::Intrusive>(),
    row<ref::Native>(),
    row<ref::Weighted<>>(),
    row<ref::WeightedNoMerge<>>(),
};

struct Counters {  // add_shared
    sync::Counter refused, held_storages, held_most;
};
constexpr stat::Field kFields[] = {
    {"ref_refused", "shares", stat::Kind::counter, 1, "that the scheme refused"},
    {"ref_held_back", "storages", stat::Kind::counter, 1, "releases of so many were held back and then given"},
    {"ref_held_back_peak", "storages", stat::Kind::peak, 1, "the most that one thread held back at a flush"},
};
stat::Global<Counters> counters(kFields);

using Sums = std::unordered_map<const void*, ref::Account>;

void add(Sums& sums, const ref::Account& account) {
    if (account.group == nullptr) return;
    const auto [at, fresh] = sums.try_emplace(account.group, account);
    if (!fresh) at->second.weight += account.weight;
}

void add_views(Sums& sums, const Zone& zone) {
    if (zone.kind != ZoneKind::mbuf && zone.kind != ZoneKind::packet) return;
    rte_mempool_obj_iter(
        zone.pool,
        [](rte_mempool*, void* arg, void* element, unsigned) {
            add(*static_cast<Sums*>(arg), refs_in_use().account(static_cast<Mbuf*>(element)));
        },
        &sums);
}

void add_held_back(Sums& sums) {
    refs_in_use().held_back(
        [](void* arg, const void* group, uint64_t weight) {
            Sums& into = *static_cast<Sums*>(arg);
            // Nobody else may hold it any more: then its word must be just this.
            const uint64_t word = *static_cast<const uint64_t*>(group) & ref::kWeightMask;
            add(into, {group, weight, word});
        },
        &sums);
}

}  // namespace

uintptr_t ext::HeaderLinks::base_ = 0;

void ext::note_refused(int error) noexcept {
    counters->refused.add_shared(1);
    rte_errno = error;
}

void ext::note_given(uint32_t storages) noexcept {
    counters->held_storages.add_shared(storages);
    counters->held_most.raise_shared(storages);
}

const std::vector<const char*>& refs_names() {
    static const std::vector<const char*> names = [] {
        std::vector<const char*> all;
        for (const RefOps& s : kSchemes) all.push_back(s.name);
        return all;
    }();
    return names;
}

const RefOps* refs_named(const std::string& name) {
    for (const RefOps& s : kSchemes)
        if (name == s.name) return &s;
    return nullptr;
}

void refs_give_back() noexcept { refs_in_use().flush(); }

MergedReleases::MergedReleases() noexcept { refs_in_use().merge(true); }
MergedReleases::~MergedReleases() { refs_in_use().merge(false); }

RefCounters refs_counters() noexcept {
    return {ref::stuck.read(), counters->refused.read(), counters->held_storages.read(),
            static_cast<uint32_t>(counters->held_most.read())};
}

std::vector<std::string> refs_audit() {
    Sums sums;
    for (const Zone* zone : zones()) add_views(sums, *zone);
    add_held_back(sums);
    std::vector<std::string> wrong;
    for (const auto& [group, a] : sums) {
        if (a.outstanding == ref::kStuckCount || a.weight == a.outstanding) continue;
        std::array<char, 160> text;
        std::snprintf(text.data(), text.size(),
                      "scheme %s: the views of storage %p add up to %" PRIu64 ", its count says %" PRIu64,
                      refs_in_use().name, group, a.weight, a.outstanding);
        wrong.emplace_back(text.data());
    }
    return wrong;
}

}  // namespace umbuf
