// SPDX-License-Identifier: BSD-2-Clause
// fib.cc - two sides of rte_fib and rte_fib6.
#include "lib/route/fib.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include <rte_fib.h>
#include <rte_fib6.h>

namespace umbuf {

namespace {

// Up to here a number and the number of an inner table fit two bytes with a bit to spare.
constexpr uint32_t kSmall = 16384, kMostOfTwoBytes = INT16_MAX;

// as_ip - DPDK 24.11 has a type for IPv6 addresses where 22.11 has an array: the function says which.
template <class Answer, class Table, class Ip, class... Rest>
Ip as_ip(Answer (*)(Table, Ip, Rest...), const void* bytes) noexcept {
    return static_cast<Ip>(const_cast<void*>(bytes));
}

uint32_t host_order(const IpAddress& a) noexcept { return load32(reinterpret_cast<const std::byte*>(a.bytes.data())); }

// Inner tables have 256 entries. An IPv4 prefix longer than 24 bits takes one, an IPv6 prefix one for each 8 bits
// behind the first 24; rte_fib6 counts them as if no two prefixes shared any.
uint32_t inner_tables(const FibConfig& config, bool v6, uint32_t most) noexcept {
    return std::min(most, v6 ? std::max(4096U, 2 * config.routes) : std::max(256U, config.routes / 4));
}

rte_fib* make4(const char* name, const FibConfig& config, uint32_t most) {
    rte_fib_conf conf{};
    conf.type = RTE_FIB_DIR24_8;
    conf.max_routes = static_cast<int>(config.routes);
    conf.dir24_8.nh_sz = config.routes <= kSmall ? RTE_FIB_DIR24_8_2B : RTE_FIB_DIR24_8_4B;
    conf.dir24_8.num_tbl8 = inner_tables(config, false, most);
    return rte_fib_create(name, config.socket, &conf);
}

rte_fib6* make6(const char* name, const FibConfig& config, uint32_t most) {
    rte_fib6_conf conf{};
    conf.type = RTE_FIB6_TRIE;
    conf.max_routes = static_cast<int>(config.routes);
    conf.trie.nh_sz = config.routes <= kSmall ? RTE_FIB6_TRIE_2B : RTE_FIB6_TRIE_4B;
    conf.trie.num_tbl8 = inner_tables(config, true, most);
    return rte_fib6_create(name, config.socket, &conf);
}

}  // namespace

Prefix prefix_of(const IpAddress& address, uint8_t length) noexcept {
    Prefix prefix{address, length};
    const uint32_t bytes = address.v6 ? 16 : 4;
    for (uint32_t i = 0; i < 16; ++i) {
        const uint32_t kept = i < bytes && length > 8 * i ? std::min(8U, length - 8 * i) : 0U;
        prefix.address.bytes[i] = static_cast<uint8_t>(address.bytes[i] & ~(0xffU >> kept));
    }
    return prefix;
}

// make_table - an empty one for this family, in the place of what was there.
int Fib::make_table(Side& side, bool v6) {
    static uint32_t made = 0;  // control thread: DPDK wants each table to have a name
    const std::string name = "um_fib_" + std::to_string(made++);
    if (v6) {
        rte_fib6_free(side.v6);
        side.v6 = make6(name.c_str(), config_, most_);
        return side.v6 != nullptr ? 0 : ENOMEM;
    }
    rte_fib_free(side.v4);
    side.v4 = make4(name.c_str(), config_, most_);
    return side.v4 != nullptr ? 0 : ENOMEM;
}

Result<std::unique_ptr<Fib>> Fib::make(const FibConfig& config) {
    std::unique_ptr<Fib> fib(new Fib(config));
    fib->most_ = config.routes <= kSmall ? kMostOfTwoBytes : config.routes;
    for (Side& side : fib->sides_)
        for (const bool v6 : {false, true}) {
            if (fib->make_table(side, v6) == 0) continue;
            const uint32_t entry = config.routes <= kSmall ? 2 : 4;
            const uint32_t inner = inner_tables(config, false, fib->most_) + inner_tables(config, true, fib->most_);
            const uint32_t mb = 4 * entry * (1 << 24 >> 20) + (2 * 256 * entry * inner >> 20);
            return Error{ENOMEM, "no memory for " + std::to_string(config.routes) + " routes, which take " + std::to_string(mb) +
                                     " MB and more: give EAL more (-m MB, or hugepages)"};
        }
    return fib;
}

Fib::~Fib() {
    for (const Side& side : sides_) {
        rte_fib_free(side.v4);
        rte_fib6_free(side.v6);
    }
}

int Fib::write(Side& side, const Change& change) noexcept {
    const Prefix& p = change.prefix;
    if (p.address.v6) {
        const auto ip = as_ip(&rte_fib6_add, p.address.bytes.data());
        return change.number == 0 ? rte_fib6_delete(side.v6, ip, p.length) : rte_fib6_add(side.v6, ip, p.length, change.number);
    }
    const uint32_t ip = host_order(p.address);
    return change.number == 0 ? rte_fib_delete(side.v4, ip, p.length) : rte_fib_add(side.v4, ip, p.length, change.number);
}

// make_anew - the family's table with all routes, and nothing of its past. What was freed is what is asked for, so
// that memory is there; if somebody else took it meanwhile, there is no router any more.
int Fib::make_anew(Side& side, bool v6) {
    const int made = make_table(side, v6);
    UM_ASSERT_MSG(made == 0, "no memory to make the forwarding tables anew: %d", made);
    for (const auto& [prefix, number] : all_)
        if (prefix.address.v6 == v6)
            if (const int e = write(side, {prefix, number}); e != 0) return e;
    return 0;
}

// must_be_anew - would rte_fib write over others? The prefix is all ones, and a longer one, all ones, is there.
bool Fib::must_be_anew(const Prefix& prefix) const {
    IpAddress ones{.v6 = prefix.address.v6};
    ones.bytes.fill(0xff);
    if (prefix_of(ones, prefix.length) != prefix) return false;
    for (uint32_t length = prefix.length + 1U; length <= (ones.v6 ? 128U : 32U); ++length)
        if (all_.contains(prefix_of(ones, static_cast<uint8_t>(length)))) return true;
    return false;
}

// change_idle - the side without readers becomes what all_ says. Shorter prefixes come first there, so that the
// second fault has no occasion.
int Fib::change_idle(Change& change) {
    change.anew = must_be_anew(change.prefix) || write(idle(), change) != 0;
    return change.anew ? make_anew(idle(), change.prefix.address.v6) : 0;
}

Status Fib::add(const Prefix& prefix, uint32_t number) {
    UM_ASSERT(number >= 1 && number <= most_);
    const bool v6 = prefix.address.v6;
    const auto [at, fresh] = all_.try_emplace(prefix, number);
    const uint32_t before = std::exchange(at->second, number);
    Change change{prefix, number};
    const bool tried = !fresh || !full_[v6];
    if (tried && change_idle(change) == 0) {
        log_.push_back(change);
        return {};
    }
    if (fresh) all_.erase(at);
    else at->second = before;
    if (tried) {
        const int back = make_anew(idle(), v6);
        UM_ASSERT_MSG(back == 0, "the forwarding tables do not take again what they had: %d", back);
    }
    full_[v6] = true;
    return Error{ENOSPC, "the forwarding tables have no room for one more route: they are made for as many as --routes says"};
}

void Fib::remove(const Prefix& prefix) {
    const size_t was = all_.erase(prefix);
    UM_ASSERT(was == 1);
    Change change{prefix, 0};
    const int e = change_idle(change);
    UM_ASSERT_MSG(e == 0, "the forwarding tables do not take again what they had: %d", e);
    full_[prefix.address.v6] = false;
    log_.push_back(change);
}

void Fib::publish() noexcept { active_.store(1 - active_.load(sync::relaxed), sync::release); }  // pairs with the lookups' acquire

// The same changes in the same order, or all at once.
void Fib::catch_up() {
    bool anew[2] = {};
    for (const Change& change : log_) {
        const bool v6 = change.prefix.address.v6;
        anew[v6] = anew[v6] || change.anew || write(idle(), change) != 0;
    }
    for (const bool v6 : {false, true}) {
        const int e = anew[v6] ? make_anew(idle(), v6) : 0;
        UM_ASSERT_MSG(e == 0, "the two sides of the forwarding tables differ: %d", e);
    }
    log_.clear();
}

void Fib::lookup4(const uint32_t* addresses, uint64_t* numbers, uint16_t n) const noexcept {
    const Side& side = sides_[active_.load(sync::acquire)];
    rte_fib_lookup_bulk(side.v4, const_cast<uint32_t*>(addresses), numbers, n);
}

void Fib::lookup6(const uint8_t (*addresses)[16], uint64_t* numbers, uint16_t n) const noexcept {
    const Side& side = sides_[active_.load(sync::acquire)];
    rte_fib6_lookup_bulk(side.v6, as_ip(&rte_fib6_lookup_bulk, addresses), numbers, n);
}

}  // namespace umbuf
