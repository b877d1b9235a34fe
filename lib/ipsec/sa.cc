// SPDX-License-Identifier: BSD-2-Clause
// sa.cc - SAs, made and measured.
#include "lib/ipsec/sa.h"

#include <array>
#include <cstdio>
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
    if (terms.mode == SaMode::transport && terms.fragment == FragmentRule::before)
        return Error{EINVAL, sa + "transport mode protects whole packets: they are cut after ESP (RFC 4303, 3.1.1)"};
    if (terms.outer.dscp > 63) return Error{EINVAL, sa + "a DSCP is 0 to 63"};
    return {};
}

bool in_place_of(const SaTerms& t, const Engine& e) {
    return t.mode == SaMode::tunnel && e.in_place != nullptr && e.in_place(t.algorithm);
}

SaQuick quick_of(const SaTerms& t, const Engine& e) {
    SaQuick q;
    const CipherKind& cipher = *t.algorithm.cipher;
    q.usable = in_place_of(t, e) && t.algorithm.aead() && cipher.iv == 8 && cipher.icv == 16 && cipher.block <= 4 &&
               !t.src.v6 && !t.udp && t.soft == Lifetime{} && t.hard == Lifetime{};
    q.esn = t.esn;
    q.spi = t.spi;
    const OuterRules& rules = t.outer;
    q.decap_dscp = rules.decap_dscp;
    q.df_and = rules.df == DfRule::copy;
    q.df_or = rules.df == DfRule::set;
    q.tos_and = static_cast<uint8_t>((rules.copy_dscp ? 0xfc : 0) | (rules.ecn ? 3 : 0));
    q.tos_or = static_cast<uint8_t>(rules.copy_dscp ? 0 : rules.dscp << 2);
    const uint32_t source = load32(reinterpret_cast<const std::byte*>(t.src.bytes.data()));
    q.destination = load32(reinterpret_cast<const std::byte*>(t.dst.bytes.data()));
    q.second = uint64_t{rules.ttl} << 56 | uint64_t{kProtoEsp} << 48 | source;
    q.sum = (q.second >> 32) + source + q.destination;
    return q;
}

Result<Secret> expand(const SaTerms& terms, std::span<const std::byte> key, const Engine& engine) {
    Result<Secret> expanded = Secret::make(engine.key_bytes(terms.algorithm));
    if (!expanded) return expanded.error();
    if (const Status made = engine.make_key(terms.algorithm, key, expanded.value().data()); !made)
        return Error{made.error().code, "SA " + std::to_string(terms.spi) + ": " + made.error().text};
    return expanded;
}

}  // namespace

Sa::Sa(const SaTerms& t, const Engine& e, Secret key, uint64_t now_s)
    : quick(quick_of(t, e)), engine(&e), sequence(t.esn, t.seq_floor), window(t.window), in_place(in_place_of(t, e)),
      limited_(t.soft != Lifetime{} || t.hard != Lifetime{}), key_(std::move(key)), cells(sa_fields(), labels_of(t)), counters(*cells), terms(t),
      born_s_(now_s) {}

Result<std::unique_ptr<Sa>> Sa::make(const SaTerms& terms, std::span<const std::byte> key, const Engine& engine,
                                     uint64_t now_s) {
    if (const Status fits = check(terms, key.size(), engine); !fits) return fits.error();
    Result<Secret> expanded = expand(terms, key, engine);
    if (!expanded) return expanded.error();
    return std::unique_ptr<Sa>(new Sa(terms, engine, std::move(expanded.value()), now_s));
}

Status Sa::add_second(const Engine& other, std::span<const std::byte> key) {
    if (const Status fits = check(terms, key.size(), other); !fits) return fits;
    Result<Secret> expanded = expand(terms, key, other);
    if (!expanded) return expanded.error();
    second_key_ = std::move(expanded.value());
    second_ = &other;
    return {};
}

Sa::~Sa() {
    if (engine->drop_key != nullptr) engine->drop_key(key_.data());
    if (second_ != nullptr && second_->drop_key != nullptr) second_->drop_key(second_key_.data());
}

std::string Sa::labels_of(const SaTerms& terms) {
    std::array<char, 64> text;
    std::snprintf(text.data(), text.size(), "spi=0x%x,sa=%u,generation=%u", terms.spi, terms.id, terms.generation);
    return terms.name.empty() ? text.data() : std::string(text.data()) + ",name=" + terms.name;
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
