// SPDX-License-Identifier: BSD-2-Clause
// librte_way.cc - librte_ipsec over crypto_aesni_gcm or crypto_aesni_mb, as dpdk-ipsec-secgw uses it.
//
// It is spared what the gateway does around it: no outer IPv4 checksum is made (the library leaves that to
// others), operations are taken from the pool once for all, and neighbours of one SA are handed over together.
#ifndef ALLOW_EXPERIMENTAL_API
#define ALLOW_EXPERIMENTAL_API  // rte_cryptodev_sym_session_pool_create() of DPDK 22.11
#endif
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <rte_cryptodev.h>
#include <rte_dev.h>
#include <rte_ipsec_sa.h>
#include <rte_lcore.h>
extern "C" {  // DPDK 24.11 forgets it for rte_ipsec_session_prepare()
#include <rte_ipsec.h>
}

#include "app/umbench/esp/terms.h"
#include "app/umbench/esp/way.h"
#include "lib/mbuf/refs.h"
#include "lib/mbuf/verbs.h"

namespace umbuf::bench {
namespace {

constexpr uint16_t kIvAt = sizeof(rte_crypto_op) + sizeof(rte_crypto_sym_op);  // in an operation
constexpr uint32_t kCopyHeadroom = 64;

// device - of that driver, made and started when it is first asked for; it stays until EAL ends. -1: there is
// none.
int device(const std::string& driver) {
    const std::string name = driver + "_umbench";
    if (const int there = rte_cryptodev_get_dev_id(name.c_str()); there >= 0) return there;
    if (rte_eal_hotplug_add("vdev", name.c_str(), "") != 0) return -1;
    const int id = rte_cryptodev_get_dev_id(name.c_str());
    if (id < 0) return -1;
    const uint8_t dev = static_cast<uint8_t>(id);
    rte_cryptodev_config config{};
    config.socket_id = static_cast<int>(rte_socket_id());
    config.nb_queue_pairs = 1;
    rte_cryptodev_qp_conf queue{};
    queue.nb_descriptors = 2048;
    if (rte_cryptodev_configure(dev, &config) != 0) return -1;
    if (rte_cryptodev_queue_pair_setup(dev, 0, &queue, config.socket_id) != 0) return -1;
    return rte_cryptodev_start(dev) == 0 ? id : -1;
}

rte_crypto_auth_algorithm auth_of(Integrity integrity) {
    switch (integrity) {
    case Integrity::hmac_sha1: return RTE_CRYPTO_AUTH_SHA1_HMAC;
    case Integrity::hmac_sha256: return RTE_CRYPTO_AUTH_SHA256_HMAC;
    case Integrity::hmac_sha384: return RTE_CRYPTO_AUTH_SHA384_HMAC;
    default: return RTE_CRYPTO_AUTH_SHA512_HMAC;
    }
}

// Transforms - what a session is made from.
struct Transforms {
    rte_crypto_sym_xform x[2] = {};
    // The algorithm as DPDK says it; false: it has no name there for ESP.
    bool fill(const EspCase& what, const uint8_t* key) {
        const CipherKind& c = *what.algorithm.cipher;
        if (what.algorithm.aead()) return fill_aead(what, c, key);
        rte_crypto_sym_xform& cipher = x[what.encrypt ? 0 : 1];
        rte_crypto_sym_xform& auth = x[what.encrypt ? 1 : 0];
        x[0].next = &x[1];
        cipher.type = RTE_CRYPTO_SYM_XFORM_CIPHER;
        cipher.cipher.op = what.encrypt ? RTE_CRYPTO_CIPHER_OP_ENCRYPT : RTE_CRYPTO_CIPHER_OP_DECRYPT;
        if (c.cipher == Cipher::aes_cbc) cipher.cipher.algo = RTE_CRYPTO_CIPHER_AES_CBC;
        else if (c.cipher == Cipher::aes_ctr) cipher.cipher.algo = RTE_CRYPTO_CIPHER_AES_CTR;
        else if (c.cipher == Cipher::null) cipher.cipher.algo = RTE_CRYPTO_CIPHER_NULL;
        else return false;
        if (c.cipher != Cipher::null) {
            cipher.cipher.key.data = key;
            cipher.cipher.key.length = c.key;
            cipher.cipher.iv.offset = kIvAt;
            cipher.cipher.iv.length = 16;
        }
        const IntegrityKind& i = *what.algorithm.integrity;
        auth.type = RTE_CRYPTO_SYM_XFORM_AUTH;
        auth.auth.op = what.encrypt ? RTE_CRYPTO_AUTH_OP_GENERATE : RTE_CRYPTO_AUTH_OP_VERIFY;
        auth.auth.algo = auth_of(i.integrity);
        auth.auth.key.data = key + c.key + c.salt;
        auth.auth.key.length = i.key;
        auth.auth.digest_length = i.icv;
        return true;
    }

  private:
    bool fill_aead(const EspCase& what, const CipherKind& c, const uint8_t* key) {
        if (c.cipher != Cipher::aes_gcm && c.cipher != Cipher::chacha20_poly1305) return false;
        x[0].type = RTE_CRYPTO_SYM_XFORM_AEAD;
        rte_crypto_aead_xform& aead = x[0].aead;
        aead.op = what.encrypt ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT;
        aead.algo = c.cipher == Cipher::aes_gcm ? RTE_CRYPTO_AEAD_AES_GCM : RTE_CRYPTO_AEAD_CHACHA20_POLY1305;
        aead.key.data = key;
        aead.key.length = c.key;
        aead.iv.offset = kIvAt;
        aead.iv.length = 12;
        aead.digest_length = c.icv;
        aead.aad_length = 8;
        return true;
    }
};

// An outer IPv4 header without its lengths and number.
struct Header {
    uint8_t bytes[kIpv4Header] = {0x45};
    Header() {
        bytes[8] = 64;
        bytes[9] = kProtoEsp;
        std::memcpy(bytes + 12, kTunnelFrom, 4);
        std::memcpy(bytes + 16, kTunnelTo, 4);
    }
};

class LibrteWay final : public Way {
  public:
    LibrteWay(const EspCase& what, uint8_t dev, bool lookaside) : what_(what), dev_(dev), lookaside_(lookaside) {}
    ~LibrteWay() override {
        for (rte_ipsec_session& s : sessions_)
            if (s.crypto.ses != nullptr) rte_cryptodev_sym_session_free(dev_, s.crypto.ses);
        rte_mempool_free(session_pool_);
        rte_mempool_free(op_pool_);
    }

    // open - false: the device, or the library, does not take this.
    bool open() {
        static unsigned serial = 0;
        const int socket = static_cast<int>(rte_socket_id());
        session_pool_ = rte_cryptodev_sym_session_pool_create(fmt::format("umbench_ses_{}", ++serial).c_str(), what_.sas,
                                                              rte_cryptodev_sym_get_private_session_size(dev_), 0, 0, socket);
        op_pool_ = rte_crypto_op_pool_create(fmt::format("umbench_op_{}", serial).c_str(), RTE_CRYPTO_OP_TYPE_SYMMETRIC,
                                             4 * kEspBenchBurst, 0, 32, socket);
        if (session_pool_ == nullptr || op_pool_ == nullptr) return false;
        if (rte_crypto_op_bulk_alloc(op_pool_, RTE_CRYPTO_OP_TYPE_SYMMETRIC, ops_.data(), kEspBenchBurst) != kEspBenchBurst) return false;
        sessions_ = std::vector<rte_ipsec_session>(what_.sas);
        for (uint32_t i = 0; i < what_.sas; ++i)
            if (!open_sa(i)) return false;
        return true;
    }

    uint16_t run(Mbuf** packets, const uint16_t* sas, uint16_t n) noexcept override {
        if (what_.source != Source::owned) n = own(packets, n);
        rte_mbuf** m = reinterpret_cast<rte_mbuf**>(packets);
        return lookaside_ ? by_queue(m, sas, n) : by_cpu(m, sas, n);
    }

  private:
    bool open_sa(uint32_t i) {
        const uint8_t* key = reinterpret_cast<const uint8_t*>((*what_.keys)[i].data());
        Transforms transforms;
        if (!transforms.fill(what_, key)) return false;
        static const Header header;
        rte_ipsec_sa_prm prm{};
        prm.ipsec_xform.spi = kFirstSpi + i;
        std::memcpy(&prm.ipsec_xform.salt, key + what_.algorithm.cipher->key, what_.algorithm.cipher->salt);
        prm.ipsec_xform.direction = what_.encrypt ? RTE_SECURITY_IPSEC_SA_DIR_EGRESS : RTE_SECURITY_IPSEC_SA_DIR_INGRESS;
        prm.ipsec_xform.proto = RTE_SECURITY_IPSEC_SA_PROTO_ESP;
        prm.ipsec_xform.mode = RTE_SECURITY_IPSEC_SA_MODE_TUNNEL;
        prm.ipsec_xform.tunnel.type = RTE_SECURITY_IPSEC_TUNNEL_IPV4;
        prm.ipsec_xform.replay_win_sz = what_.encrypt ? 0 : kReplayDefault;
        prm.tun.hdr_len = sizeof(header.bytes);
        prm.tun.next_proto = kProtoIpv4;
        prm.tun.hdr = header.bytes;
        prm.crypto_xform = transforms.x;
        const int size = rte_ipsec_sa_size(&prm);
        if (size <= 0) return false;
        if (sa_memory_.empty()) {
            stride_ = (static_cast<size_t>(size) + 63) / 64 * 64;
            sa_memory_.resize(stride_ * what_.sas + 64);
        }
        const uintptr_t base = (reinterpret_cast<uintptr_t>(sa_memory_.data()) + 63) / 64 * 64;
        rte_ipsec_session& s = sessions_[i];
        s.sa = reinterpret_cast<rte_ipsec_sa*>(base + stride_ * i);
        s.type = lookaside_ ? RTE_SECURITY_ACTION_TYPE_NONE : RTE_SECURITY_ACTION_TYPE_CPU_CRYPTO;
        s.crypto.dev_id = dev_;
        if (rte_ipsec_sa_init(s.sa, &prm, static_cast<uint32_t>(size)) <= 0) return false;
        void* ses = rte_cryptodev_sym_session_create(dev_, transforms.x, session_pool_);
        s.crypto.ses = static_cast<decltype(s.crypto.ses)>(ses);
        return ses != nullptr && rte_ipsec_session_prepare(&s) == 0;
    }

    // own - what the library may write to. Stops at the first that cannot be had.
    static uint16_t own(Mbuf** packets, uint16_t n) noexcept {
        for (uint16_t i = 0; i < n; ++i) {
            Mbuf* copy = m_dup_pkt(packets[i], kCopyHeadroom, M_NOWAIT);
            if (copy == nullptr) return i;
            m_freem(packets[i]);
            packets[i] = copy;
        }
        refs_flush();
        return n;
    }

    static uint16_t alike(const uint16_t* sas, uint16_t i, uint16_t n) noexcept {
        uint16_t end = i;
        while (end < n && sas[end] == sas[i]) ++end;
        return static_cast<uint16_t>(end - i);
    }

    uint16_t by_cpu(rte_mbuf** m, const uint16_t* sas, uint16_t n) noexcept {
        uint16_t done = 0;
        for (uint16_t i = 0, k = 0; i < n; i = static_cast<uint16_t>(i + k)) {
            k = alike(sas, i, n);
            const rte_ipsec_session& s = sessions_[sas[i]];
            const uint16_t ready = rte_ipsec_pkt_cpu_prepare(&s, m + i, k);
            done = static_cast<uint16_t>(done + rte_ipsec_pkt_process(&s, m + i, ready));
        }
        return done;
    }

    uint16_t by_queue(rte_mbuf** m, const uint16_t* sas, uint16_t n) noexcept {
        for (uint16_t i = 0, k = 0; i < n; i = static_cast<uint16_t>(i + k)) {
            k = alike(sas, i, n);
            if (rte_ipsec_pkt_crypto_prepare(&sessions_[sas[i]], m + i, ops_.data() + i, k) != k) return 0;
        }
        std::array<rte_crypto_op*, kEspBenchBurst> back;
        if (rte_cryptodev_enqueue_burst(dev_, 0, ops_.data(), n) != n) return 0;
        for (uint16_t got = 0; got < n;)
            got = static_cast<uint16_t>(got + rte_cryptodev_dequeue_burst(dev_, 0, back.data() + got, static_cast<uint16_t>(n - got)));
        for (uint16_t i = 0; i < n; ++i)  // they come back in order
            if (back[i]->status != RTE_CRYPTO_OP_STATUS_SUCCESS) m[i]->ol_flags |= RTE_MBUF_F_RX_SEC_OFFLOAD_FAILED;
        uint16_t done = 0;
        for (uint16_t i = 0, k = 0; i < n; i = static_cast<uint16_t>(i + k)) {
            k = alike(sas, i, n);
            done = static_cast<uint16_t>(done + rte_ipsec_pkt_process(&sessions_[sas[i]], m + i, k));
        }
        return done;
    }

    const EspCase what_;
    const uint8_t dev_;
    const bool lookaside_;
    rte_mempool* session_pool_ = nullptr;
    rte_mempool* op_pool_ = nullptr;
    std::array<rte_crypto_op*, kEspBenchBurst> ops_{};
    std::vector<rte_ipsec_session> sessions_;
    std::vector<std::byte> sa_memory_;
    size_t stride_ = 0;
};

}  // namespace

void stop_librte() {
    for (uint8_t dev = 0; dev < RTE_CRYPTO_MAX_DEVS; ++dev)
        if (rte_cryptodev_is_valid_dev(dev) != 0) rte_cryptodev_stop(dev);
}

MadeWay make_librte_way(const EspCase& what, bool lookaside) {
    const bool gcm = what.algorithm.cipher->cipher == Cipher::aes_gcm;
    const int dev = device(gcm ? "crypto_aesni_gcm" : "crypto_aesni_mb");
    if (dev < 0)
        return Error{ENODEV, fmt::format("DPDK's driver crypto_aesni_{} is not there, which librte_ipsec is measured with "
                                         "(Debian: librte-crypto-ipsec-mb23 or -mb25, which libdpdk-dev brings)", gcm ? "gcm" : "mb")};
    auto way = std::make_unique<LibrteWay>(what, static_cast<uint8_t>(dev), lookaside);
    if (!way->open()) return std::unique_ptr<Way>();
    return std::unique_ptr<Way>(std::move(way));
}

}  // namespace umbuf::bench
