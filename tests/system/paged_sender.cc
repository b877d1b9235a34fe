// SPDX-License-Identifier: BSD-2-Clause
// paged_sender.cc - a program that sends unmapped pages out of port 0, for system tests.
//
//      paged_sender EAL-options -- [cache]
//
// Reads lines: "send N LENGTH", "way", "quit". Packet i of a run is an Ethernet header for experiments and
// LENGTH bytes of which the j-th is (131 j + 7 i + j/256) mod 256.
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include <rte_pdump.h>
#include <unistd.h>

#include "drivers/net/eal.h"
#include "drivers/net/page_proof.h"
#include "drivers/net/port.h"
#include "lib/mbuf/verbs.h"
#include "lib/page/arena.h"
#include "lib/page/extpg.h"

namespace umbuf {
namespace {

constexpr uint32_t kHead = sizeof(rte_ether_hdr);

int complain(const Error& error) {
    std::fprintf(stderr, "paged_sender: %s\n", error.text.c_str());
    return 1;
}

void fill(std::byte* to, uint32_t n, uint32_t i) {
    for (uint32_t j = 0; j < n; ++j) to[j] = static_cast<std::byte>((131 * j + 7 * i + (j >> 8)) & 0xff);
}

Mbuf* payload(PageClass cls, uint32_t n, uint32_t i) {
    Mbuf* m = mb_alloc_ext_pgs(cls, n, M_NOWAIT, "paged_sender");
    if (m == nullptr) return nullptr;
    if (cls == PageClass::anonymous) {
        const WriteWindow out(m, 0, n);
        fill(out.bytes(), n, i);
        return m;
    }
    const FillWindow window = FillWindow::open().value();
    fill(window.at(page_of(m)), n, i);
    page_ready(page_of(m));
    return m;
}

Mbuf* packet(PageClass cls, uint32_t n, uint32_t i) {
    Mbuf* rest = payload(cls, n, i);
    Mbuf* m = rest == nullptr ? nullptr : m_gethdr(M_NOWAIT, MT_DATA);
    if (m == nullptr) return m_freem(rest), nullptr;
    std::memset(m->data(), 0x02, kHead);
    mtod<rte_ether_hdr*>(m)->ether_type = RTE_BE16(0x88b5);
    m->set_len(kHead);
    m->rte.pkt_len = kHead;
    m_cat(m, rest);
    m_calchdrlen(m);
    return m;
}

void send(Port& port, PageClass cls, uint32_t n, uint32_t length) {
    uint32_t dead = 0;
    for (uint32_t i = 0; i < n; ++i) {
        Mbuf* m = nullptr;
        while ((m = packet(cls, length, i)) == nullptr) usleep(100);  // the peer still holds all pages
        rte_mbuf* burst = &m->rte;
        Sent sent;
        while ((sent = port.tx_burst(0, &burst, 1)).taken == 0) usleep(100);
        dead += sent.dead();
    }
    const PageCounts c = port.pages().counts();
    const WindowCounters w = window_counters();
    std::printf("sent %u dead %u: as-is %lu windows %lu copies %lu captured %lu; bytes copied: nic %lu capture %lu\n", n - dead,
                dead, c.as_is, c.windows, c.copies, c.captured,
                w.copied_bytes[static_cast<size_t>(CopiedFor::nic)],
                w.copied_bytes[static_cast<size_t>(CopiedFor::capture)]);
}

void obey(Port& port, PageClass cls) {
    std::puts("ready");
    for (std::string line; std::fflush(stdout), std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string verb;
        uint32_t n = 0, length = 0;
        words >> verb >> n >> length;
        if (verb == "quit") return;
        if (verb == "way") std::printf("way %s (%s)\n", name_of(port.pages().way()), port.pages_because().c_str());
        if (verb == "send") send(port, cls, n, length);
    }
}

int run(PageClass cls) {
    ZoneConfig config;
    config.mbufs = 8191;
    if (Status s = mbinit(config, {0}); !s) return complain(s.error());
    ArenaConfig arena;
    arena.cache = {320, 65536};  // more than the device may keep
    arena.anonymous = {512, 16384};
    if (Status s = arena_open(arena, 0); !s) return complain(s.error());
    Result<Zone*> zone = packet_zone("um_rx", 4095, 2048, 0, 64);
    if (!zone) return complain(zone.error());
    const bool captured = rte_pdump_init() == 0;
    PortConfig wanted;
    wanted.rx_zone = zone.value();
    Result<std::unique_ptr<Port>> made = Port::configure(0, wanted);
    if (!made) return complain(made.error());
    const std::unique_ptr<Port> port = std::move(made).value();
    if (Status s = port->start(); !s) return complain(s.error());
    prove_pages({port.get()});
    port->open_tx();
    obey(*port, cls);
    if (Status s = port->halt({}); !s) return complain(s.error());
    if (Status s = port->close(); !s) return complain(s.error());
    if (captured) rte_pdump_uninit();
    uint32_t held = 0;
    for (const Unbalanced& u : arena_close()) held += u.in_use;
    std::printf("pages held: %u\n", held);
    return held == 0 ? 0 : 1;
}

}  // namespace
}  // namespace umbuf

int main(int argc, char** argv) {
    const umbuf::Result<int> eal = umbuf::eal_start(argc, argv);
    if (!eal) return umbuf::complain(eal.error());
    const int used = umbuf::Result<int>(eal).value();
    const bool cache = argc > used + 1 && std::string(argv[used + 1]) == "cache";
    const int status = umbuf::run(cache ? umbuf::PageClass::cache : umbuf::PageClass::anonymous);
    umbuf::eal_end();
    return status;
}
