// SPDX-License-Identifier: BSD-2-Clause
// engines.cc - which engines there are.
#include "drivers/crypto/engines.h"

#include <string_view>

#include <rte_cryptodev.h>

#include "drivers/crypto/cryptodev/cryptodev.h"
#include "drivers/crypto/ipsec_mb/ipsec_mb.h"
#include "drivers/crypto/security/security.h"

namespace umbuf {
namespace {

constexpr std::string_view kCryptodev = "cryptodev:";

std::vector<Algorithm> all_algorithms() {
    std::vector<Algorithm> all;
    for (const CipherKind& c : cipher_kinds()) {
        if (c.icv != 0) {
            all.push_back({&c, nullptr});
            continue;
        }
        for (const IntegrityKind& i : integrity_kinds()) all.push_back({&c, &i});
    }
    return all;
}

Status try_one(const Engine& engine, const Algorithm& algorithm) {
    if (engine.supports(algorithm)) return engine_selftest(engine, algorithm);
    return Error{EOPNOTSUPP, std::string("the engine ") + engine.name + " does not have it"};
}

}  // namespace

Status check_esp_engine(const std::string& name) {
    if (name == ipsec_mb_engine.name || name == "security") return {};
    if (name.starts_with(kCryptodev) && name.size() > kCryptodev.size()) return {};
    return Error{EINVAL, "there is no engine '" + name + "': there are ipsec-mb, cryptodev:NAME (crypto_openssl, "
                         "crypto_aesni_mb, crypto_aesni_gcm, or a device of EAL's) and security"};
}

Result<const Engine*> find_esp_engine(const std::string& name) {
    if (const Status known = check_esp_engine(name); !known) return known.error();
    if (name.starts_with(kCryptodev)) return cryptodev_engine(name.substr(kCryptodev.size()));
    if (name == "security") return no_security_device();
    if (const Status ready = ipsec_mb_engine.ready(); !ready) return ready.error();
    return &ipsec_mb_engine;
}

std::vector<const Engine*> esp_engines_present() {
    std::vector<const Engine*> all;
    if (ipsec_mb_engine.ready().ok()) all.push_back(&ipsec_mb_engine);
    for (uint8_t id = 0; id < RTE_CRYPTO_MAX_DEVS; ++id) {
        if (rte_cryptodev_is_valid_dev(id) == 0) continue;
        if (const auto engine = cryptodev_engine(rte_cryptodev_name_get(id)); engine.ok()) all.push_back(engine.value());
    }
    return all;
}

std::vector<EspVerdict> selftest_all() {
    std::vector<EspVerdict> all;
    for (const Engine* engine : esp_engines_present())
        for (const Algorithm& algorithm : all_algorithms()) all.push_back({engine->name, algorithm.name(), try_one(*engine, algorithm)});
    return all;
}

}  // namespace umbuf
