// SPDX-License-Identifier: BSD-2-Clause
// esp_librte_test.cc - DPDK's librte_ipsec and our replay window, on the same numbers.
//
// Why ours exists. From 19.02 to 26.07 the library's esn_inb_update_sqn() (lib/ipsec/ipsec_sqn.h) keeps the
// bit of a number in 32 bits where words have 64: the upper half of each word is never recorded. When a
// release has mended that, this test skips, and says so.
#include <gtest/gtest.h>

#include <rte_cryptodev.h>
#include <rte_errno.h>
#include <rte_ipsec_sa.h>
#include <rte_mbuf.h>
extern "C" {  // DPDK 24.11 forgets it for rte_ipsec_session_prepare()
#include <rte_ipsec.h>
}

#include "lib/ipsec/replay.h"
#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

// An inbound tunnel SA of the library, NULL and NULL, and no device: an operation that it prepared is as
// good as done.
class LibrteSa {
  public:
    explicit LibrteSa(uint32_t window) {
        crypto_[0].type = RTE_CRYPTO_SYM_XFORM_AUTH;
        crypto_[0].auth.algo = RTE_CRYPTO_AUTH_NULL;
        crypto_[0].auth.op = RTE_CRYPTO_AUTH_OP_VERIFY;
        crypto_[0].next = &crypto_[1];
        crypto_[1].type = RTE_CRYPTO_SYM_XFORM_CIPHER;
        crypto_[1].cipher.algo = RTE_CRYPTO_CIPHER_NULL;
        crypto_[1].cipher.op = RTE_CRYPTO_CIPHER_OP_DECRYPT;
        rte_ipsec_sa_prm prm{};
        prm.ipsec_xform.spi = kSpi;
        prm.ipsec_xform.direction = RTE_SECURITY_IPSEC_SA_DIR_INGRESS;
        prm.ipsec_xform.proto = RTE_SECURITY_IPSEC_SA_PROTO_ESP;
        prm.ipsec_xform.mode = RTE_SECURITY_IPSEC_SA_MODE_TUNNEL;
        prm.ipsec_xform.tunnel.type = RTE_SECURITY_IPSEC_TUNNEL_IPV4;
        prm.ipsec_xform.replay_win_sz = window;
        prm.tun.hdr_len = 20;
        prm.tun.next_proto = kProtoIpv4;
        prm.tun.hdr = header_;
        prm.crypto_xform = crypto_;
        const int size = rte_ipsec_sa_size(&prm);
        sa_.resize(size > 0 ? static_cast<size_t>(size) + 64 : 0);
        if (size <= 0) return;
        session_.sa = reinterpret_cast<rte_ipsec_sa*>(aligned(sa_.data()));
        session_.type = RTE_SECURITY_ACTION_TYPE_NONE;
        session_.crypto.ses = reinterpret_cast<decltype(session_.crypto.ses)>(aligned(device_session_));
        ready_ = rte_ipsec_sa_init(session_.sa, &prm, static_cast<uint32_t>(size)) > 0 && rte_ipsec_session_prepare(&session_) == 0;
    }
    [[nodiscard]] bool ready() const { return ready_; }
    // offer - a packet with this number. True: it was delivered.
    bool offer(uint32_t seq) {
        const std::string inner = udp_packet({}, 4);  // 32 bytes
        const std::string text = inner + std::string("\x01\x02\x02\x04", 4);
        Mbuf* m = received(ip_packet({.proto = kProtoEsp}, be32(kSpi) + be32(seq) + text));
        m->rte.l2_len = 0;
        m->rte.l3_len = 20;
        rte_mbuf* packets[] = {&m->rte};
        auto* op = reinterpret_cast<rte_crypto_op*>(aligned(op_));
        *op = {};
        rte_crypto_op* ops[] = {op};
        const bool prepared = rte_ipsec_pkt_crypto_prepare(&session_, packets, ops, 1) == 1;
        const bool delivered = prepared && rte_ipsec_pkt_process(&session_, packets, 1) == 1;
        rte_pktmbuf_free(packets[0]);
        return delivered;
    }

  private:
    static constexpr uint32_t kSpi = 0x4321;
    static void* aligned(std::byte* at) { return reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(at) + 63) & ~uintptr_t{63}); }

    rte_crypto_sym_xform crypto_[2] = {};
    uint8_t header_[20] = {0x45};
    std::vector<std::byte> sa_;
    std::byte device_session_[512] = {};
    std::byte op_[1024] = {};
    rte_ipsec_session session_{};
    bool ready_ = false;
};

TEST_F(EspTest, LibrteIpsecDeliversReplaysAndOurWindowDoesNot) {
    for (const uint32_t window : {64u, 1024u}) {
        LibrteSa theirs(window);
        ASSERT_TRUE(theirs.ready()) << "librte_ipsec does not take the SA: " << rte_errno;
        ReplayWindow ours(window);
        constexpr uint32_t kLast = 3000;
        uint32_t first_time = 0;
        for (uint32_t seq = 1; seq <= kLast; ++seq) {
            first_time += theirs.offer(seq);
            ASSERT_TRUE(ours.check(seq));
            ours.mark(seq);
        }
        ASSERT_EQ(first_time, kLast) << "in order, everything is new";
        uint32_t their_replays = 0, our_replays = 0;
        for (uint32_t seq = kLast - window; seq <= kLast; ++seq) {
            their_replays += theirs.offer(seq);
            our_replays += ours.check(seq);
        }
        EXPECT_EQ(our_replays, 0u);
        RecordProperty("librte_ipsec_replays_of_window_" + std::to_string(window), static_cast<int>(their_replays));
        std::printf("W = %u: librte_ipsec delivered %u of %u replays, our window 0\n", window, their_replays, window + 1);
        if (their_replays == 0) GTEST_SKIP() << "this librte_ipsec refuses replays: docs/ipsec.md can say so";
        EXPECT_GE(their_replays, window / 2);
    }
}

}  // namespace
}  // namespace umbuf::test
