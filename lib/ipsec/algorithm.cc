// SPDX-License-Identifier: BSD-2-Clause
// algorithm.cc - the tables of ciphers and integrity algorithms.
#include "lib/ipsec/algorithm.h"

namespace umbuf {
namespace {

constexpr CipherKind kCiphers[] = {
    {Cipher::aes_gcm, "aes-gcm-128", 16, 4, 8, 4, 16, "RFC 4106"},
    {Cipher::aes_gcm, "aes-gcm-192", 24, 4, 8, 4, 16, "RFC 4106"},
    {Cipher::aes_gcm, "aes-gcm-256", 32, 4, 8, 4, 16, "RFC 4106"},
    {Cipher::aes_gmac, "aes-gmac-128", 16, 4, 8, 4, 16, "RFC 4543"},
    {Cipher::aes_gmac, "aes-gmac-192", 24, 4, 8, 4, 16, "RFC 4543"},
    {Cipher::aes_gmac, "aes-gmac-256", 32, 4, 8, 4, 16, "RFC 4543"},
    {Cipher::chacha20_poly1305, "chacha20-poly1305", 32, 4, 8, 4, 16, "RFC 7634"},
    {Cipher::aes_cbc, "aes-cbc-128", 16, 0, 16, 16, 0, "RFC 3602"},
    {Cipher::aes_cbc, "aes-cbc-192", 24, 0, 16, 16, 0, "RFC 3602"},
    {Cipher::aes_cbc, "aes-cbc-256", 32, 0, 16, 16, 0, "RFC 3602"},
    {Cipher::aes_ctr, "aes-ctr-128", 16, 4, 8, 4, 0, "RFC 3686"},
    {Cipher::aes_ctr, "aes-ctr-192", 24, 4, 8, 4, 0, "RFC 3686"},
    {Cipher::aes_ctr, "aes-ctr-256", 32, 4, 8, 4, 0, "RFC 3686"},
    {Cipher::null, "null", 0, 0, 0, 4, 0, "RFC 2410"},
};

constexpr IntegrityKind kIntegrities[] = {
    {Integrity::hmac_sha1, "hmac-sha1", 20, 12, 64, "RFC 2404"},
    {Integrity::hmac_sha256, "hmac-sha256", 32, 16, 64, "RFC 4868"},
    {Integrity::hmac_sha384, "hmac-sha384", 48, 24, 128, "RFC 4868"},
    {Integrity::hmac_sha512, "hmac-sha512", 64, 32, 128, "RFC 4868"},
};

template <class Kind>
const Kind* named(std::span<const Kind> kinds, std::string_view name) {
    for (const Kind& kind : kinds)
        if (name == kind.name) return &kind;
    return nullptr;
}

template <class Kind>
std::string names_of(std::span<const Kind> kinds) {
    std::string all;
    for (const Kind& kind : kinds) all += std::string(all.empty() ? "" : ", ") + kind.name;
    return all;
}

Error unknown(std::string_view what, std::string_view name, const std::string& all) {
    return Error{EINVAL, "there is no " + std::string(what) + " '" + std::string(name) + "': there are " + all};
}

}  // namespace

std::span<const CipherKind> cipher_kinds() noexcept { return kCiphers; }
std::span<const IntegrityKind> integrity_kinds() noexcept { return kIntegrities; }

std::string Algorithm::name() const {
    return std::string(cipher->name) + (aead() ? "" : std::string("+") + integrity->name);
}

Result<Algorithm> find_algorithm(std::string_view name) {
    const size_t plus = name.find('+');
    const std::string_view first = name.substr(0, plus);
    const CipherKind* cipher = named(cipher_kinds(), first);
    if (cipher == nullptr) return unknown("cipher", first, names_of(cipher_kinds()));
    const bool whole = cipher->icv != 0;
    if (plus == std::string_view::npos) {
        if (whole) return Algorithm{cipher, nullptr};
        return Error{EINVAL, std::string(first) + " protects nothing alone: write " + cipher->name +
                                 "+INTEGRITY, with one of " + names_of(integrity_kinds())};
    }
    if (whole) return Error{EINVAL, std::string(first) + " brings its own integrity: write it alone"};
    const std::string_view second = name.substr(plus + 1);
    const IntegrityKind* integrity = named(integrity_kinds(), second);
    if (integrity == nullptr) return unknown("integrity", second, names_of(integrity_kinds()));
    return Algorithm{cipher, integrity};
}

}  // namespace umbuf
