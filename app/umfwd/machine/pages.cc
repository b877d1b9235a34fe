// SPDX-License-Identifier: BSD-2-Clause
// pages.cc - opens the arena, and closes it.
#include "app/umfwd/machine/pages.h"

#include <fmt/format.h>
#include <rte_lcore.h>

#include "lib/page/arena.h"
#include "lib/page/extpg.h"

namespace umbuf::fwd {

namespace {

// The smallest arena has both kinds: a page that is asked for and not there is a matter of the
// settings, which the sums of the report show.
ArenaConfig arena_config(const Settings& settings) {
    ArenaConfig config;
    config.cache = {page_cache_pages(settings), kCachePage};
    config.anonymous = {settings.anon_pages, kAnonPage};
    config.device = {0, kFrame};
    config.strict = settings.strict_pages;
    return config;
}

}  // namespace

Result<std::unique_ptr<Pages>> Pages::create(const Settings& settings) {
    std::unique_ptr<Pages> pages(new Pages);
    mb_use_ext_pgs.store(settings.ext_pgs, sync::relaxed);
    if (!has_pages(settings) || arena_is_open()) return pages;
    const int node = static_cast<int>(rte_lcore_to_socket_id(rte_get_main_lcore()));
    if (Status status = arena_open(arena_config(settings), node); !status)
        return Error{status.error().code,
                     fmt::format("--page-cache={} --anon-pages={}: {}", settings.page_cache_mb,
                                 settings.anon_pages, status.error().text)};
    pages->owner_ = true;
    return pages;
}

std::vector<std::string> Pages::halt() {
    if (!owner_) return {};
    std::vector<std::string> problems;
    if (arena_close().empty()) {
        owner_ = false;
        return problems;
    }
    for (const PageHolder& held : arena_holders())
        problems.push_back(fmt::format("{} pages of class {} are still held; they were taken by: {}", held.pages,
                                       name_of(held.cls), held.owner));
    return problems;
}

Pages::~Pages() { halt(); }

}  // namespace umbuf::fwd
