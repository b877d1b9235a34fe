// SPDX-License-Identifier: BSD-2-Clause
// esp_security_test.cc - what is asked of a NIC that does ESP, asked of a stand-in.
//
// stand-in: no NIC here has it (security_stand_in.h). esp_frames_test.cc has packets move through one.
#include <gtest/gtest.h>

#include "drivers/crypto/engines.h"
#include "tests/unit/security_stand_in.h"

namespace umbuf::test {
namespace {

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
