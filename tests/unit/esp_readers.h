// SPDX-License-Identifier: BSD-2-Clause
// esp_readers.h - who reads a database: lcores that are online, and say when they hold nothing.
#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include "lib/ipsec/sad.h"
#include "tests/unit/esp_fixture.h"

namespace umbuf::test {

class Readers {
  public:
    static constexpr uint32_t kMost = 4;
    Readers() {
        qsbr_ = static_cast<rte_rcu_qsbr*>(rte_zmalloc("um_t_readers", rte_rcu_qsbr_get_memsize(kMost), 64));
        EXPECT_EQ(rte_rcu_qsbr_init(qsbr_, kMost), 0);
    }
    ~Readers() { rte_free(qsbr_); }
    Readers(const Readers&) = delete;
    Readers& operator=(const Readers&) = delete;
    rte_rcu_qsbr* get() { return qsbr_; }
    void enter(uint32_t reader) {
        rte_rcu_qsbr_thread_register(qsbr_, reader);
        rte_rcu_qsbr_thread_online(qsbr_, reader);
    }
    void quiescent(uint32_t reader) { rte_rcu_qsbr_quiescent(qsbr_, reader); }
    void leave(uint32_t reader) {
        rte_rcu_qsbr_thread_offline(qsbr_, reader);
        rte_rcu_qsbr_thread_unregister(qsbr_, reader);
    }

  private:
    rte_rcu_qsbr* qsbr_ = nullptr;
};

// address - of the tunnel's network, IPv4 or IPv6, with this end.
inline IpAddress address(bool v6, uint8_t last) { return end_of_tunnel(v6, last); }

// new_sa - AES-GCM, or as said, with the pattern's key. The key lives as long as the process.
inline NewSa new_sa(uint32_t spi, ChildId child, const IpAddress& dst, SadKey found_by = SadKey::spi_dst, const char* algorithm = "aes-gcm-128") {
    static const std::string key = pattern(kMaxKey, 91);
    NewSa sa;
    sa.terms.spi = spi;
    sa.terms.algorithm = find_algorithm(algorithm).value();
    sa.terms.dst = dst;
    sa.terms.src = address(dst.v6, 77);
    sa.found_by = found_by;
    sa.child = child;
    sa.key = {bytes_in(key), sa.terms.algorithm.key_bytes()};
    sa.engine = &ipsec_mb_engine;
    return sa;
}

}  // namespace umbuf::test
