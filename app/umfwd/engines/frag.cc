// SPDX-License-Identifier: BSD-2-Clause
// frag.cc - mode frag: IPv4 packets longer than --frag-size are cut into fragments (lib/net/fragment.h).
//
// The fragments go, the packet itself is freed. Packets that are short, have DF or are not IPv4 pass unchanged, in
// their place. All fragments of a packet are made, or it dies as no-mbuf.
#include <algorithm>

#include "app/umfwd/engines/engines.h"
#include "app/umfwd/packet/burst.h"
#include "app/umfwd/packet/frame.h"
#include "app/umfwd/settings.h"
#include "lib/mbuf/verbs.h"
#include "lib/net/fragment.h"

namespace umbuf::fwd {
namespace {

Fate plan(const rte_mbuf* p, uint32_t most, Cut& cut) noexcept {
    if (p->pkt_len <= RTE_ETHER_HDR_LEN + most) return Fate::send;
    const Frame frame = parse(p);
    if (frame.l3 != L3::ipv4) return Fate::send;
    switch (plan_cut(p, frame.l2_len, frame.l3_len, most, cut)) {
    case CutPlan::whole: return Fate::send;
    case CutPlan::pieces: return Fate::kept;
    case CutPlan::malformed: break;
    }
    return dead(Drop::malformed);
}

// Out - what leaves by the transmit port, in its order. One burst may become many.
class Out {
  public:
    explicit Out(Stream& stream) noexcept : stream_(stream) {}
    void add(rte_mbuf* p) noexcept {
        if (n_ == kMaxBurst) flush();
        packets_[n_++] = p;
    }
    void flush() noexcept {
        transmit(stream_, *stream_.tx_port, packets_, n_);
        n_ = 0;
    }

  private:
    Stream& stream_;
    uint16_t n_ = 0;
    rte_mbuf* packets_[kMaxBurst];
};

// replace - the packet's fragments go in its place, and it dies uncounted: n of one are n - 1 made.
Fate replace(Stream& stream, rte_mbuf* p, Cut& cut, Out& out) noexcept {
    Mbuf* m = fragments_of(p, cut);
    if (m == nullptr) return dead(Drop::no_mbuf);
    stream.stats.made.add(pieces_of(cut) - 1);
    while (m != nullptr) {
        Mbuf* next = m->nextpkt;
        m->nextpkt = nullptr;
        out.add(&m->rte);
        m = next;
    }
    return Fate::kept;
}

uint32_t burst(Stream& stream) noexcept {
    rte_mbuf* packets[kMaxBurst];
    const uint16_t n = receive(stream, packets);
    if (n == 0) return 0;
    const uint32_t most = stream.settings->frag_size;
    Out out(stream);
    Grave grave;
    Cut cut;
    for (uint16_t i = 0; i < std::min(kAhead, n); ++i)
        prefetch_header(packets[i]);
    for (uint16_t i = 0; i < n; ++i) {
        if (i + kAhead < n) prefetch_header(packets[i + kAhead]);
        rte_mbuf* p = packets[i];
        Fate fate = plan(p, most, cut);
        if (fate == Fate::kept) fate = replace(stream, p, cut, out);
        if (fate == Fate::send) {
            out.add(p);
        } else {
            if (fate != Fate::kept) stream.stats.drop(static_cast<Drop>(fate), 1);
            grave.add(p);
        }
    }
    out.flush();
    grave.bury();
    return n;
}

}  // namespace

const Engine frag_engine = {
    .name = "frag",
    .summary = "cut IPv4 packets longer than --frag-size into fragments that share their buffer",
    .shares = true,
    .sources = false,
    .begin = nullptr,
    .burst = burst,
    .end = nullptr,
};

}  // namespace umbuf::fwd
