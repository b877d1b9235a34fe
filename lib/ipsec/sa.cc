// SPDX-License-Identifier: BSD-2-Clause
// sa.cc - SAs, made and measured.
#include "lib/ipsec/sa.h"

#include <string>

namespace umbuf {

const char* name_of(Xfrm why) noexcept {
    static constexpr const char* kNames[] = {
#define X(id, text) text,
        UM_XFRM(X)
#undef X
    };
    return why < Xfrm::count ? kNames[static_cast<size_t>(why)] : "?";
}

namespace {

Status check(const SaTerms& terms, size_t key_bytes, const Engine& engine) {
    const std::string sa = "SA " + std::to_string(terms.spi) + ": ";
    if (terms.spi < 256) return Error{EINVAL, sa + "SPIs below 256 are reserved (RFC 4303, 2.1)"};
    if (terms.algorithm.cipher == nullptr) return Error{EINVAL, sa + "no algorithm"};
    if (!engine.supports(terms.algorithm))
        return Error{EOPNOTSUPP, sa + "the engine " + engine.name + " has no " + terms.algorithm.name()};
    if (key_bytes != terms.algorithm.key_bytes())
        return Error{EINVAL, sa + "a key of " + std::to_string(key_bytes) + " bytes, and " + terms.algorithm.name() +
                                 " takes " + std::to_string(terms.algorithm.key_bytes()) + " (cipher, salt, integrity)"};
    if (terms.window < kReplayMin || terms.window > kReplayMax)
        return Error{EINVAL, sa + "a replay window of " + std::to_string(terms.window) + ", and it can be 32 to 4096"};
    if (terms.mode == SaMode::tunnel && terms.src.v6 != terms.dst.v6)
        return Error{EINVAL, sa + "the ends of a tunnel are both IPv4, or both IPv6"};
    if (terms.outer.dscp > 63) return Error{EINVAL, sa + "a DSCP is 0 to 63"};
    return {};
}

}  // namespace

Result<std::unique_ptr<Sa>> Sa::make(const SaTerms& terms, std::span<const std::byte> key, const Engine& engine,
                                     uint64_t now_s) {
    if (const Status fits = check(terms, key.size(), engine); !fits) return fits.error();
    Result<Secret> expanded = Secret::make(engine.key_bytes(terms.algorithm));
    if (!expanded) return expanded.error();
    if (const Status made = engine.make_key(terms.algorithm, key, expanded.value().data()); !made)
        return Error{made.error().code, "SA " + std::to_string(terms.spi) + ": " + made.error().text};
    return std::unique_ptr<Sa>(new Sa(terms, engine, std::move(expanded.value()), now_s));
}

Sa::~Sa() {
    if (engine->drop_key != nullptr) engine->drop_key(key_.data());
}

bool Sa::past(const Lifetime& limit, uint64_t bytes, uint64_t now_s) const noexcept {
    if (limit.packets != 0 && counters.packets.read() >= limit.packets) return true;
    if (limit.bytes != 0 && counters.bytes.read() + bytes > limit.bytes) return true;
    return limit.seconds != 0 && now_s - born_s_ >= limit.seconds;
}

bool Sa::expired_slowly(uint64_t bytes, uint64_t now_s) noexcept {
    if (past(terms.soft, bytes, now_s)) counters.soft_expired.set(1);
    return past(terms.hard, bytes, now_s);
}

}  // namespace umbuf
