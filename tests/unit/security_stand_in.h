// SPDX-License-Identifier: BSD-2-Clause
// security_stand_in.h - stand-in: a NIC that does ESP inline, which nobody here has. A mock: what it says is a table,
// and what it does, with esp_frames_test.cc's, is IPsec-MB's.
#pragma once
#include <string>

#include <rte_cryptodev.h>
#include <rte_ethdev.h>
#include <rte_security.h>
#include <rte_security_driver.h>

#include "drivers/crypto/security/security.h"
#include "tests/unit/esp_fixture.h"

namespace umbuf::test {

// StandIn - a NIC that does AES-GCM with 128 and 256 bits inline, outbound tunnels only, no ESN.
struct StandIn {
    rte_cryptodev_capabilities crypto[2]{};
    rte_security_capability capabilities[3]{};
    rte_security_ops ops{};
    rte_security_ctx context{};
    static inline StandIn* here = nullptr;
    static inline std::string key;  // of the session that was made
    static inline uint32_t salt = 0;
    static inline int sessions = 0, packets = 0;

    StandIn() {
        here = this;
        sessions = packets = 0;
        auto& aead = crypto[0].sym.aead;
        crypto[0].op = RTE_CRYPTO_OP_TYPE_SYMMETRIC;
        crypto[0].sym.xform_type = RTE_CRYPTO_SYM_XFORM_AEAD;
        aead.algo = RTE_CRYPTO_AEAD_AES_GCM;
        aead.key_size = {.min = 16, .max = 32, .increment = 16};
        aead.digest_size = {.min = 16, .max = 16, .increment = 0};
        aead.aad_size = {.min = 8, .max = 12, .increment = 4};
        crypto[1].op = RTE_CRYPTO_OP_TYPE_UNDEFINED;
        rte_security_capability& has = capabilities[0];
        has.action = RTE_SECURITY_ACTION_TYPE_INLINE_CRYPTO;
        has.protocol = RTE_SECURITY_PROTOCOL_IPSEC;
        has.ipsec.proto = RTE_SECURITY_IPSEC_SA_PROTO_ESP;
        has.ipsec.mode = RTE_SECURITY_IPSEC_SA_MODE_TUNNEL;
        has.ipsec.direction = RTE_SECURITY_IPSEC_SA_DIR_EGRESS;
        has.crypto_capabilities = crypto;
        has.ol_flags = RTE_SECURITY_TX_OLOAD_NEED_MDATA;
        capabilities[1].action = RTE_SECURITY_ACTION_TYPE_NONE;
        ops.capabilities_get = [](void*) -> const rte_security_capability* { return here->capabilities; };
        ops.session_get_size = [](void*) -> unsigned { return 64; };
        ops.session_create = [](void*, rte_security_session_conf* conf, rte_security_session* session) {
            const auto& aead_conf = conf->crypto_xform->aead;
            key.assign(reinterpret_cast<const char*>(aead_conf.key.data), aead_conf.key.length);
            salt = conf->ipsec.salt;
            ++sessions;
            here->added(session, *conf);
            return 0;
        };
        ops.session_destroy = [](void*, rte_security_session* session) { return here->gone(session), --sessions, 0; };
        ops.set_pkt_metadata = [](void*, rte_security_session* session, rte_mbuf* m, void*) { return ++packets, here->told(session, m); };
        context.ops = &ops;
    }
    virtual ~StandIn() = default;
    StandIn(const StandIn&) = delete;
    StandIn& operator=(const StandIn&) = delete;
    // For a stand-in that does something about it.
    virtual void added(const void*, const rte_security_session_conf&) {}
    virtual void gone(const void*) {}
    virtual int told(const void*, const rte_mbuf*) { return 0; }
    [[nodiscard]] SecurityPort port() { return {"port 9 (stand-in)", &context}; }
};

}  // namespace umbuf::test
