// SPDX-License-Identifier: BSD-2-Clause
// file_to_esp.cc - a program in which mode sendfile feeds mode esp-enc, for system tests: seed 000.
//
//      file_to_esp EAL-options --vdev net_pcap0,... -- FILE SA device|us
//
//      the file's pages --> mode sendfile --ring--> mode esp-enc --> port 0
//
// Sends FILE twice, so that the second time shows pages that have been encrypted from once. SA: as --esp-sa. Checksums are
// left to the `device`, for ESP to make, or were made by `us`. Says what happened in one line of JSON.
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <rte_eth_ring.h>

#include "app/umfwd/engines/engine.h"
#include "app/umfwd/engines/sendfile.h"
#include "app/umfwd/settings.h"
#include "drivers/net/eal.h"
#include "drivers/net/port.h"
#include "lib/ipsec/ip.h"
#include "lib/mbuf/verbs.h"
#include "lib/page/arena.h"
#include "lib/page/extpg.h"
#include "lib/page/fault.h"

namespace umbuf {
namespace {

constexpr uint32_t kEther = 14;

int complain(const Error& error) {
    std::fprintf(stderr, "file_to_esp: %s\n", error.text.c_str());
    return 1;
}

// Pages - what the file's pages have in them, by page: told when one is first met, and asked again whenever a packet
// was made of it.
class Pages {
  public:
    void look(const Mbuf* m) {
        for (; m != nullptr; m = m->next()) {
            if (!m_unmapped(m)) continue;
            const uint64_t is = hash(m);
            const auto [known, fresh] = pieces_.try_emplace({m->data(), m->len()}, is);
            if (!fresh && known->second != is) ++changed;
            ++looked;
        }
    }
    void forget() { pieces_.clear(); }
    uint64_t changed = 0, looked = 0;

  private:
    static uint64_t hash(const Mbuf* m) {
        const ReadWindow window(m, 0, m->len(), CopiedFor::read);
        uint64_t h = 0xcbf29ce484222325;
        for (uint32_t i = 0; i < m->len(); ++i) h = (h ^ static_cast<uint64_t>(window.bytes()[i])) * 0x100000001b3;
        return h;
    }
    std::map<std::pair<const std::byte*, uint32_t>, uint64_t> pieces_;
};

// Path - the two streams and the ring between them.
struct Path {
    std::unique_ptr<Port> file, wire;
    rte_ring *made = nullptr, *taken = nullptr;
    fwd::Settings file_settings, esp_settings;
    fwd::Stream sender{}, encrypter{};
};

Status make_ports(Path& path, Zone* zone) {
    path.made = rte_ring_create("um_made", 256, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    path.taken = rte_ring_create("um_taken", 256, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    const int ring = rte_eth_from_rings("um_path", &path.taken, 1, &path.made, 1, 0);
    if (path.made == nullptr || path.taken == nullptr || ring < 0) return Error{ENOMEM, "no rings"};
    PortConfig wanted;
    wanted.rx_zone = zone;
    for (const auto& [port, id] : {std::pair{&path.wire, 0}, std::pair{&path.file, ring}}) {
        wanted.unmapped = id == ring;  // what takes them out of the ring looks through windows
        Result<std::unique_ptr<Port>> made = Port::configure(static_cast<uint16_t>(id), wanted);
        if (!made) return made.error();
        *port = std::move(made).value();
        if (Status s = (*port)->start(); !s) return s;
        (*port)->open_tx();
        (*port)->open_rx();
    }
    path.sender.rx_port = path.sender.tx_port = path.encrypter.rx_port = path.file.get();
    path.encrypter.tx_port = path.wire.get();
    return {};
}

Status begin(fwd::Stream& stream, const fwd::Settings& settings) {
    stream.burst = 32;
    stream.settings = &settings;
    return fwd::find_engine(settings.mode)->begin(stream);
}

void end(fwd::Stream& stream) {
    fwd::find_engine(stream.settings->mode)->end(stream);
    stream.state.reset();
}

// What a device would be asked for: the fields are anything.
void leave_to_the_device(Mbuf* m) {
    store16(m->data() + kEther + 10, 0xdead);
    store16(m->data() + kEther + kIpv4Header + 6, 0xbeef);
    m->rte.ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
}

// turn - one burst all the way. Returns how many packets it had.
uint32_t turn(Path& path, Pages& pages, bool device) {
    fwd::find_engine("sendfile")->burst(path.sender);
    Mbuf* held[64];
    uint32_t n = 0;
    void* p = nullptr;
    for (; n < 64 && rte_ring_dequeue(path.made, &p) == 0; ++n) {
        Mbuf* m = Mbuf::of(static_cast<rte_mbuf*>(p));
        if (device) leave_to_the_device(m);
        held[n] = m_copypacket(m, M_NOWAIT);  // so that its pages stay what they are
        UM_ASSERT(held[n] != nullptr && rte_ring_enqueue(path.taken, m) == 0);
        pages.look(held[n]);
    }
    while (rte_ring_count(path.taken) > 0) fwd::find_engine("esp-enc")->burst(path.encrypter);
    for (uint32_t i = 0; i < n; ++i) {
        pages.look(held[i]);
        m_freem(held[i]);
    }
    pages.forget();  // the cache may give a page another part of the file now
    refs_flush();
    return n;
}

int run(Path& path, bool device) {
    if (Status s = begin(path.sender, path.file_settings); !s) return complain(s.error());
    if (Status s = begin(path.encrypter, path.esp_settings); !s) return complain(s.error());
    const WindowCounters was = window_counters();
    Pages pages;
    fwd::FileReport report;
    for (uint32_t idle = 0; idle < 1000000; ++idle) {
        if (turn(path, pages, device) > 0) idle = 0;
        report = fwd::file_report(path.sender);
        if (report.given_up != 0) break;
        if (idle > 1000 && report.packets > 0 && rte_ring_count(path.made) == 0 && report.bytes % 2 == 0 && report.bytes / 2 == report.read_bytes) break;
    }
    const WindowCounters is = window_counters();
    uint64_t copied = 0;
    for (const CopiedFor why : {CopiedFor::verb, CopiedFor::ext_pgs_off, CopiedFor::nic, CopiedFor::capture})
        copied += is.copied_bytes[static_cast<size_t>(why)] - was.copied_bytes[static_cast<size_t>(why)];
    const uint64_t sent = path.encrypter.stats.tx.read(), faults = faults_caught();
    end(path.sender);
    end(path.encrypter);
    std::printf("{\"packets\": %lu, \"sent\": %lu, \"bytes\": %lu, \"read_bytes\": %lu, \"copied\": %lu, \"faults\": %lu, \"pages_looked_at\": %lu, \"pages_changed\": %lu}\n",
                report.packets, sent, report.bytes, report.read_bytes, copied, faults, pages.looked, pages.changed);
    return 0;
}

int set_up_and_run(const char* file, const char* sa, bool device) {
    ZoneConfig config;
    config.mbufs = 8191;
    if (Status s = mbinit(config, {0}); !s) return complain(s.error());
    ArenaConfig arena;
    arena.cache = {128, 32768};
    if (Status s = arena_open(arena, 0); !s) return complain(s.error());
    Result<Zone*> zone = packet_zone("um_rx", 2047, 2048, 0, 64);
    if (!zone) return complain(zone.error());
    Path path;
    if (Status s = make_ports(path, zone.value()); !s) return complain(s.error());
    path.file_settings.mode = "sendfile";
    path.file_settings.sendfile = file;
    path.file_settings.sendfile_loops = 2;
    path.file_settings.sendfile_checksum = !device;
    path.esp_settings.mode = "esp-enc";
    path.esp_settings.esp_sa = sa;
    path.esp_settings.esp_seq_floor = 0;
    int status = run(path, device);
    for (Port* port : {path.file.get(), path.wire.get()}) {
        if (Status s = port->halt({}); !s) status = complain(s.error());
        if (Status s = port->close(true); !s) status = complain(s.error());
    }
    for (const Unbalanced& u : arena_close()) {
        std::fprintf(stderr, "file_to_esp: %s: %u pages are held\n", u.zone.c_str(), u.in_use);
        status = 1;
    }
    for (const Unbalanced& u : zones_unbalanced()) {
        std::fprintf(stderr, "file_to_esp: %s: %u are held\n", u.zone.c_str(), u.in_use);
        status = 1;
    }
    return status;
}

}  // namespace
}  // namespace umbuf

int main(int argc, char** argv) {
    const umbuf::Result<int> eal = umbuf::eal_start(argc, argv);
    if (!eal) return umbuf::complain(eal.error());
    const int used = umbuf::Result<int>(eal).value();
    if (argc != used + 4) return umbuf::complain({EINVAL, "file_to_esp EAL-options -- FILE SA device|us"});
    const int status = umbuf::set_up_and_run(argv[used + 1], argv[used + 2], std::string_view(argv[used + 3]) == "device");
    umbuf::eal_end();
    return status;
}
