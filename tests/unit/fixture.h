// SPDX-License-Identifier: BSD-2-Clause
// fixture.h - what every test over mbufs stands on: balance at the end, and packets to play with.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "lib/mbuf/verbs.h"
#include "lib/mbuf/verify.h"
#include "tests/unit/watchdog.h"
#include "tests/oracle/receive_zone.h"

namespace umbuf::test {

// seed - of this run: UM_SEED if it is set, else a new one. Printed once, so that a failing run can
// be repeated.
inline uint64_t seed() {
    static const uint64_t value = [] {
        const char* given = std::getenv("UM_SEED");
        const uint64_t s = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
        std::printf("UM_SEED=%llu\n", static_cast<unsigned long long>(s));
        return s;
    }();
    return value;
}

// A zone to receive into, shared by all tests of the process.
inline Zone* rx_zone() { return receive_zone(); }

inline std::vector<uint32_t> levels() {
    reclaim_set_aside();
    std::vector<uint32_t> in_use;
    for (const Zone* zone : zones()) in_use.push_back(zone->in_use());
    return in_use;
}

// Every test ends, and gives back what it took; nobody has to remember.
class MbufTest : public ::testing::Test {
  protected:
    void SetUp() override {
        rx_zone();
        before_ = levels();
    }
    void TearDown() override {
        alloc_faults_arm(0);
        for (const Unbalanced& u : zones_unbalanced(before_))
            ADD_FAILURE() << u.zone << ": " << u.in_use << " in use, " << u.expected << " before the test";
        for (const std::string& wrong : refs_audit()) ADD_FAILURE() << wrong;
    }

  private:
    Watchdog watchdog_;
    std::vector<uint32_t> before_;
};

// pattern - n bytes that differ from their neighbours and from other patterns.
inline std::string pattern(size_t n, uint32_t salt = 0) {
    std::string s(n, '\0');
    for (size_t i = 0; i < n; ++i) s[i] = static_cast<char>((i * 131 + salt * 7 + (i >> 8)) & 0xff);
    return s;
}

// received - a packet as a driver delivers it: from the packet zone, private part not written.
inline Mbuf* received(const std::string& bytes) {
    rte_mbuf* r = rte_pktmbuf_alloc(rx_zone()->pool);
    if (r == nullptr) return nullptr;
    char* data = rte_pktmbuf_append(r, static_cast<uint16_t>(bytes.size()));
    std::memcpy(data, bytes.data(), bytes.size());
    return Mbuf::of(r);
}

// bytes_of - what the chain says.
inline std::string bytes_of(const Mbuf* m) {
    std::string s(m_length(m), '\0');
    m_copydata(m, 0, static_cast<uint32_t>(s.size()), s.data());
    return s;
}

// clustered - a packet in one cluster of our own.
inline Mbuf* clustered(const std::string& bytes) {
    Mbuf* m = m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, static_cast<uint32_t>(bytes.size()));
    std::memcpy(m->data(), bytes.data(), bytes.size());
    m->set_len(static_cast<uint32_t>(bytes.size()));
    m->rte.pkt_len = m->len();
    return m;
}

// inlined - a packet inside one mbuf. At most kMLen bytes.
inline Mbuf* inlined(const std::string& bytes) {
    Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
    std::memcpy(m->data(), bytes.data(), bytes.size());
    m->set_len(static_cast<uint32_t>(bytes.size()));
    m->rte.pkt_len = m->len();
    return m;
}

}  // namespace umbuf::test
