// SPDX-License-Identifier: BSD-2-Clause
// port_fixture.h - devices that are always there: rings, null and files.
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#include "drivers/net/port.h"
#include "tests/unit/fixture.h"

namespace umbuf::test {

inline std::string fresh_name(const char* stem) {
    static std::atomic<unsigned> next{0};
    return stem + std::to_string(next++);
}

// A ring that frees itself; its packets are whoever's turn it is to drain them.
struct RingFree {
    void operator()(rte_ring* r) const { rte_ring_free(r); }
};
using Ring = std::unique_ptr<rte_ring, RingFree>;

inline Ring make_ring(unsigned slots) {
    const unsigned flags = RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ;
    return Ring(rte_ring_create(fresh_name("um_t_ring").c_str(), slots, SOCKET_ID_ANY, flags));
}

// ring_device - an ethdev over rings, one queue each.
inline uint16_t ring_device(std::vector<rte_ring*> rx, std::vector<rte_ring*> tx) {
    const int id =
        rte_eth_from_rings(fresh_name("um").c_str(), rx.data(), static_cast<unsigned>(rx.size()),
                           tx.data(), static_cast<unsigned>(tx.size()), 0);
    EXPECT_GE(id, 0) << rte_strerror(rte_errno);
    return static_cast<uint16_t>(id);
}

// device - an ethdev of any virtual driver.
inline uint16_t device(const char* driver, const std::string& args) {
    const std::string name = fresh_name(driver);
    EXPECT_EQ(rte_eal_hotplug_add("vdev", name.c_str(), args.c_str()), 0) << name << "," << args;
    uint16_t id = RTE_MAX_ETHPORTS;
    EXPECT_EQ(rte_eth_dev_get_port_by_name(name.c_str(), &id), 0);
    return id;
}

inline PortConfig config_with_zone() {
    PortConfig config;
    config.rx_zone = rx_zone();
    return config;
}

inline std::unique_ptr<Port> configured(uint16_t id,
                                        const PortConfig& config = config_with_zone()) {
    auto port = Port::configure(id, config);
    EXPECT_TRUE(port.ok()) << port.error().text;
    return std::move(port).value();
}

inline void open(Port& port) {
    const Status started = port.start();
    EXPECT_TRUE(started.ok()) << started.error().text;
    port.open_tx();
    port.open_rx();
}

inline void gone(std::unique_ptr<Port> port) {
    const Status halted = port->halt({});
    EXPECT_TRUE(halted.ok()) << halted.error().text;
    const Status closed = port->close(true);
    EXPECT_TRUE(closed.ok()) << closed.error().text;
}

inline bool has_note(const Port& port, const std::string& part) {
    for (const std::string& note : port.notes())
        if (note.find(part) != std::string::npos) return true;
    return false;
}
inline std::string notes_of(const Port& port) {
    std::string all;
    for (const std::string& note : port.notes())
        all += note + "\n";
    return all;
}

// send - one packet; true when it was taken. What is refused is freed.
inline bool send(Port& port, Mbuf* m) {
    rte_mbuf* r = &m->rte;
    if (port.tx_burst(0, &r, 1).taken == 1) return true;
    rte_pktmbuf_free(r);
    return false;
}
// receive - one packet, or null.
inline Mbuf* receive(Port& port) {
    rte_mbuf* r = nullptr;
    return port.rx_burst(0, &r, 1) == 1 ? Mbuf::of(r) : nullptr;
}

// chain - a packet cut in pieces of `piece` bytes, one cluster each.
inline Mbuf* chain(const std::string& bytes, size_t piece) {
    Mbuf* first = nullptr;
    Mbuf* last = nullptr;
    for (size_t at = 0; at < bytes.size(); at += piece) {
        const std::string part = bytes.substr(at, piece);
        Mbuf* m = m_getcl(M_NOWAIT, MT_DATA, at == 0 ? uint32_t{M_PKTHDR} : 0u);
        std::memcpy(m->data(), part.data(), part.size());
        m->set_len(static_cast<uint32_t>(part.size()));
        if (first == nullptr) {
            first = last = m;
            m->rte.pkt_len = m->len();
            continue;
        }
        last->set_next(m);
        last = m;
        first->rte.pkt_len += m->len();
        first->rte.nb_segs = static_cast<uint16_t>(first->rte.nb_segs + 1);
    }
    return first;
}

}  // namespace umbuf::test
