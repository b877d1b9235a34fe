// SPDX-License-Identifier: BSD-2-Clause
// security.cc - capabilities of NICs that do ESP, looked at one by one, and sessions.
#include "drivers/crypto/security/security.h"

#include <cstring>
#include <string>

#include <rte_cryptodev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_security.h>

namespace umbuf {
namespace {

Error no_device(const SecurityPort& port, const std::string& why) { return Error{ENODEV, "no device: " + port.name + " " + why}; }

rte_security_capability_idx index_of(const SaTerms& terms, bool outbound) noexcept {
    rte_security_capability_idx index{};
    index.action = RTE_SECURITY_ACTION_TYPE_INLINE_CRYPTO;
    index.protocol = RTE_SECURITY_PROTOCOL_IPSEC;
    index.ipsec.proto = RTE_SECURITY_IPSEC_SA_PROTO_ESP;
    index.ipsec.mode = terms.mode == SaMode::tunnel ? RTE_SECURITY_IPSEC_SA_MODE_TUNNEL : RTE_SECURITY_IPSEC_SA_MODE_TRANSPORT;
    index.ipsec.direction = outbound ? RTE_SECURITY_IPSEC_SA_DIR_EGRESS : RTE_SECURITY_IPSEC_SA_DIR_INGRESS;
    return index;
}

bool in(const rte_crypto_param_range& range, uint16_t n) noexcept {
    if (n < range.min || n > range.max) return false;
    return range.increment == 0 ? n == range.min || n == range.max : (n - range.min) % range.increment == 0;
}

// has_algorithm - in a list that ends with an operation of no kind. Only AEADs: NICs that do inline crypto
// do AES-GCM, and chains are left until there is one that does them.
bool has_algorithm(const rte_cryptodev_capabilities* list, const SaTerms& terms) noexcept {
    if (terms.algorithm.cipher->cipher != Cipher::aes_gcm) return false;
    for (; list != nullptr && list->op != RTE_CRYPTO_OP_TYPE_UNDEFINED; ++list) {
        if (list->op != RTE_CRYPTO_OP_TYPE_SYMMETRIC || list->sym.xform_type != RTE_CRYPTO_SYM_XFORM_AEAD) continue;
        const auto& aead = list->sym.aead;
        if (aead.algo == RTE_CRYPTO_AEAD_AES_GCM && in(aead.key_size, terms.algorithm.cipher->key) &&
            in(aead.digest_size, terms.algorithm.cipher->icv) && in(aead.aad_size, terms.esn ? 12 : 8))
            return true;
    }
    return false;
}

const rte_security_capability* capability_of(const SecurityPort& port, const SaTerms& terms, bool outbound) noexcept {
    rte_security_capability_idx index = index_of(terms, outbound);
    return rte_security_capability_get(port.context, &index);
}

}  // namespace

SecurityPort security_port(uint16_t port) {
    char name[RTE_ETH_NAME_MAX_LEN] = "?";
    (void)rte_eth_dev_get_name_by_port(port, name);
    return {"port " + std::to_string(port) + " (" + name + ")", static_cast<rte_security_ctx*>(rte_eth_dev_get_sec_ctx(port))};
}

Status security_offers(const SecurityPort& port, const SaTerms& terms, bool outbound) {
    if (port.context == nullptr) return no_device(port, "has no rte_security: its NIC does no ESP");
    const rte_security_capability* has = capability_of(port, terms, outbound);
    const std::string way = std::string(outbound ? "outbound" : "inbound") + (terms.mode == SaMode::tunnel ? " tunnels" : " transport");
    if (has == nullptr) return no_device(port, "does no inline crypto for ESP, " + way);
    if (terms.esn && has->ipsec.options.esn == 0) return no_device(port, "has no extended sequence numbers for " + way);
    if (terms.udp && has->ipsec.options.udp_encap == 0) return no_device(port, "has no ESP in UDP for " + way);
    if (!has_algorithm(has->crypto_capabilities, terms)) return no_device(port, "has no " + terms.algorithm.name() + " for " + way);
    return {};
}

Result<std::unique_ptr<SecuritySession>> SecuritySession::make(const SecurityPort& port, const SaTerms& terms,
                                                               std::span<const std::byte> raw, bool outbound) {
    if (const Status offered = security_offers(port, terms, outbound); !offered) return offered.error();
    rte_security_ctx* context = port.context;
    const CipherKind& kind = *terms.algorithm.cipher;
    rte_crypto_sym_xform crypto{};
    crypto.type = RTE_CRYPTO_SYM_XFORM_AEAD;
    crypto.aead.op = outbound ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT;
    crypto.aead.algo = RTE_CRYPTO_AEAD_AES_GCM;
    crypto.aead.key.data = reinterpret_cast<const uint8_t*>(raw.data());
    crypto.aead.key.length = kind.key;
    crypto.aead.iv.length = 12;
    crypto.aead.digest_length = kind.icv;
    crypto.aead.aad_length = terms.esn ? 12 : 8;
    rte_security_session_conf conf{};
    const rte_security_capability_idx index = index_of(terms, outbound);
    conf.action_type = index.action;
    conf.protocol = index.protocol;
    conf.ipsec.proto = index.ipsec.proto;
    conf.ipsec.mode = index.ipsec.mode;
    conf.ipsec.direction = index.ipsec.direction;
    conf.ipsec.spi = terms.spi;
    std::memcpy(&conf.ipsec.salt, raw.data() + kind.key, sizeof(conf.ipsec.salt));
    conf.ipsec.options.esn = terms.esn;
    conf.ipsec.options.udp_encap = terms.udp;
    conf.crypto_xform = &crypto;

    static uint32_t number = 0;
    const std::string name = "um_sec_" + std::to_string(number++);
    rte_mempool* pool = rte_mempool_create(name.c_str(), 1, rte_security_session_get_size(context) + 256, 0, 0, nullptr, nullptr,
                                           nullptr, nullptr, SOCKET_ID_ANY, 0);
    if (pool == nullptr) return Error{rte_errno, port.name + ": no memory for a session"};
    void* session = rte_security_session_create(context, &conf, pool);
    if (session == nullptr) {
        rte_mempool_free(pool);
        return Error{EIO, port.name + ": its driver makes no session for " + terms.algorithm.name()};
    }
    return std::unique_ptr<SecuritySession>(
        new SecuritySession(context, session, pool, capability_of(port, terms, outbound)->ol_flags));
}

SecuritySession::~SecuritySession() {
    (void)rte_security_session_destroy(context_, session_);
    rte_mempool_obj_iter(pool_, [](rte_mempool* pool, void*, void* object, unsigned) { wipe(object, pool->elt_size); }, nullptr);
    rte_mempool_free(pool_);
}

uint64_t SecuritySession::offload_flags() const noexcept { return RTE_MBUF_F_TX_SEC_OFFLOAD; }

bool SecuritySession::wants_metadata() const noexcept { return (flags_ & RTE_SECURITY_TX_OLOAD_NEED_MDATA) != 0; }

int SecuritySession::set_metadata(rte_mbuf* packet) noexcept {
    return rte_security_set_pkt_metadata(context_, session_, packet, nullptr);
}

Error no_security_device() {
    std::string all;
    bool context = false;
    for (uint16_t port = 0; port < RTE_MAX_ETHPORTS; ++port) {
        if (rte_eth_dev_is_valid_port(port) == 0) continue;
        const SecurityPort one = security_port(port);
        all += (all.empty() ? "" : ", ") + one.name;
        context = context || one.context != nullptr;
    }
    if (all.empty()) all = "there is no port";
    if (context)
        return Error{ENODEV, "no device: umfwd's modes do not send by a NIC's inline crypto yet, though one of " + all +
                                 " has rte_security (docs/ipsec.md, In a NIC); use ipsec-mb or cryptodev:NAME"};
    return Error{ENODEV, "no device: no port does ESP in its NIC (rte_security): " + all + "; use ipsec-mb or cryptodev:NAME"};
}

}  // namespace umbuf
