// SPDX-License-Identifier: BSD-2-Clause
// esp_security_test.cc - what is asked of a NIC that does ESP, asked of a stand-in.
//
// stand-in: no NIC here has it. The table below says what such a NIC would say; it moves no packet.
#include <gtest/gtest.h>

#include <rte_cryptodev.h>
#include <rte_ethdev.h>
#include <rte_security.h>
#include <rte_security_driver.h>

#include "drivers/crypto/engines.h"
#include "drivers/crypto/security/security.h"
#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

// StandIn - a NIC that does AES-GCM with 128 and 256 bits inline, outbound tunnels only, no ESN.
struct StandIn {
    rte_cryptodev_capabilities crypto[2]{};
    rte_security_capability capabilities[2]{};
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
            static_cast<void>(session);
            return 0;
        };
        ops.session_destroy = [](void*, rte_security_session*) { return --sessions, 0; };
        ops.set_pkt_metadata = [](void*, rte_security_session*, rte_mbuf*, void*) { return ++packets, 0; };
        context.ops = &ops;
    }
    [[nodiscard]] SecurityPort port() { return {"port 9 (stand-in)", &context}; }
};

std::string refused(const SecurityPort& port, const SaTerms& terms, bool outbound) {
    const Status offered = security_offers(port, terms, outbound);
    return offered.ok() ? "offered" : offered.error().text;
}

TEST(EspSecurity, EachThingThatANicLacksIsNamed) {
    StandIn nic;
    SaTerms terms = terms_of("aes-gcm-256");
    EXPECT_EQ(refused(nic.port(), terms, true), "offered");
    EXPECT_EQ(refused({"port 8 (other)", nullptr}, terms, true), "no device: port 8 (other) has no rte_security: its NIC does no ESP");
    EXPECT_EQ(refused(nic.port(), terms, false), "no device: port 9 (stand-in) does no inline crypto for ESP, inbound tunnels");
    EXPECT_EQ(refused(nic.port(), terms_of("aes-gcm-128", SaMode::transport), true),
              "no device: port 9 (stand-in) does no inline crypto for ESP, outbound transport");
    for (const char* name : {"aes-gcm-192", "aes-gmac-128", "chacha20-poly1305", "aes-cbc-128+hmac-sha1"})
        EXPECT_EQ(refused(nic.port(), terms_of(name), true),
                  std::string("no device: port 9 (stand-in) has no ") + name + " for outbound tunnels");
    terms.esn = true;
    EXPECT_EQ(refused(nic.port(), terms, true), "no device: port 9 (stand-in) has no extended sequence numbers for outbound tunnels");
    nic.capabilities[0].ipsec.options.esn = 1;
    EXPECT_EQ(refused(nic.port(), terms, true), "offered");
    terms.udp = true;
    EXPECT_EQ(refused(nic.port(), terms, true), "no device: port 9 (stand-in) has no ESP in UDP for outbound tunnels");
    nic.capabilities[0].action = RTE_SECURITY_ACTION_TYPE_INLINE_PROTOCOL;
    EXPECT_NE(refused(nic.port(), terms, true), "offered") << "the protocol inline is another thing";
}

TEST(EspSecurity, ASessionHasTheKeyAndTheSaltAndGoesAgain) {
    StandIn nic;
    const SaTerms terms = terms_of("aes-gcm-128");
    const std::string key = key_for(terms.algorithm);
    {
        const auto session = SecuritySession::make(nic.port(), terms, {bytes_in(key), key.size()}, true);
        ASSERT_TRUE(session.ok()) << session.error().text;
        EXPECT_EQ(StandIn::sessions, 1);
        EXPECT_EQ(StandIn::key, key.substr(0, 16));
        EXPECT_EQ(std::string(reinterpret_cast<const char*>(&StandIn::salt), 4), key.substr(16));
        EXPECT_EQ(session.value()->offload_flags(), RTE_MBUF_F_TX_SEC_OFFLOAD);
        ASSERT_TRUE(session.value()->wants_metadata());
        rte_mbuf packet{};
        EXPECT_EQ(session.value()->set_metadata(&packet), 0);
        EXPECT_EQ(StandIn::packets, 1);
    }
    EXPECT_EQ(StandIn::sessions, 0);
    EXPECT_FALSE(SecuritySession::make(nic.port(), terms, {bytes_in(key), key.size()}, false).ok());
}

TEST(EspSecurity, WithoutANicTheEngineSaysSo) {
    const auto engine = find_esp_engine("security");
    ASSERT_FALSE(engine.ok());
    EXPECT_EQ(engine.error().code, ENODEV);
    EXPECT_TRUE(engine.error().text.starts_with("no device: ")) << engine.error().text;
    EXPECT_NE(find_esp_engine("nonesuch").error().text.find("cryptodev:NAME"), std::string::npos);
}

}  // namespace
}  // namespace umbuf::test
