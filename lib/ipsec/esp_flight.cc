// SPDX-License-Identifier: BSD-2-Clause
// esp_flight.cc - ESP with an engine that takes its time: packets are planned, handed over, and finished in
// different calls.
//
// The SA that planned a packet may be gone in the next call. So it is asked for again whenever a call that
// did not plan the packet needs it: to finish it, and to hand it over if it had to wait, because the engine
// looks at the key then. In between the engine keeps what it needs (J4).
#include <algorithm>

#include "lib/ipsec/esp.h"
#include "lib/ipsec/esp_batch.h"
#include "lib/mbuf/verbs.h"

namespace umbuf {
namespace {

using esp::Plan;
using Batch = EspLane::Batch;
using Flight = EspLane::Flight;

uint16_t after(uint16_t batch) noexcept { return static_cast<uint16_t>((batch + 1) % kEspFlights); }

// Resolved - the last answer: packets of one SA come in runs. Good within one call.
struct Resolved {
    SaResolver& resolver;
    Sa* sa = nullptr;
    uint32_t id = 0, generation = 0;
    bool asked = false;
    Sa* of(const EspWork& work) noexcept {
        if (!asked || id != work.id || generation != work.generation) {
            sa = resolver.resolve(work.id, work.generation);
            id = work.id;
            generation = work.generation;
            asked = true;
        }
        return sa;
    }
};

// on - a place at a batch's end is the next one's beginning, if there is a next one.
void on(Flight& f, Flight::Place& place) noexcept {
    while (place.i == f.ring[place.batch].n && place.batch != f.fill) place = {after(place.batch), 0};
}

// tidy - batches whose packets are all finished are empty again.
void tidy(Flight& f) noexcept {
    on(f, f.sent);
    while (f.head.i == f.ring[f.head.batch].n && f.head.batch != f.fill) {
        f.ring[f.head.batch].forget();
        f.head = {after(f.head.batch), 0};
    }
    if (f.packets > 0) return;
    f.ring[f.fill].forget();
    f.head = f.sent = {f.fill, 0};
}

// next_batch - false: all of them have packets in flight.
bool next_batch(Flight& f) noexcept {
    if (after(f.fill) == f.head.batch) return false;
    f.fill = after(f.fill);
    on(f, f.sent);
    return true;
}

// hand_over - to the engine, as far as it takes them: all that is planned.
void hand_over(EspLane& lane, Resolved& resolved) noexcept {
    Flight& f = lane.flight();
    for (on(f, f.sent); f.sent.i < f.ring[f.sent.batch].n; on(f, f.sent)) {
        Batch& b = f.ring[f.sent.batch];
        uint16_t end = f.sent.i;
        for (; end < b.n; ++end) {
            EspWork& work = b.work[end];
            work.gone = work.waits && resolved.of(work) == nullptr;
            if (work.gone) break;
        }
        const uint16_t n = static_cast<uint16_t>(end - f.sent.i);
        uint16_t taken = n;
        if (lane.engine.submit != nullptr) {
            taken = n == 0 ? n : lane.engine.submit(lane.crypto(), &b.jobs[f.sent.i], n);
        } else if (n > 0) {
            lane.engine.run(lane.crypto(), &b.jobs[f.sent.i], n);
            for (uint16_t i = f.sent.i; i < end; ++i) b.jobs[i].done = true;
        }
        f.sent.i = static_cast<uint16_t>(f.sent.i + taken);
        if (taken < n) return;
        if (end < b.n) b.jobs[f.sent.i++].done = true;  // gone
    }
}

// left_waiting - those that the engine did not take will be looked at by another call.
void left_waiting(Flight& f) noexcept {
    on(f, f.sent);
    for (Flight::Place p = f.sent; p.i < f.ring[p.batch].n; on(f, p)) f.ring[p.batch].work[p.i++].waits = true;
}

// hold, let_go - for the ledger: nothing of the packet is changed between the two.
void hold(EspLane& lane, const EspWork& work) noexcept {
    for (const Mbuf* chain : {work.source, work.out, work.copy}) lane.held.take(chain);
}
void let_go(EspLane& lane, const EspWork& work) noexcept {
    for (const Mbuf* chain : {work.source, work.out, work.copy}) lane.held.give(chain);
}

// plan_one - into the batch that is being filled, or the next.
template <bool kEncrypt>
Plan plan_one(EspLane& lane, Sa* sa, Mbuf* packet, EspFate& fate) noexcept {
    Flight& f = lane.flight();
    for (;;) {
        Batch& b = f.ring[f.fill];
        lane.plan_in(b);
        const uint32_t windows = b.n_windows;
        Plan planned = Plan::full;
        if (!b.full()) planned = kEncrypt ? esp::plan_output(lane, sa, packet, fate) : esp::plan_input(lane, sa, packet, fate);
        if (planned == Plan::full && next_batch(f)) continue;
        if (planned != Plan::planned) return planned;
        EspWork& work = b.work[b.n - 1];
        work.source = packet;
        work.id = sa->terms.id;
        work.generation = sa->terms.generation;
        work.windows_from = windows;
        work.windows_to = b.n_windows;
        work.encrypt = kEncrypt;
        ++f.packets;
        hold(lane, work);
        return planned;
    }
}

template <bool kEncrypt>
uint16_t submit(EspLane& lane, Sa* const* sas, Mbuf** packets, const uint64_t* tags, EspFate* fates, uint16_t n) noexcept {
    UM_ASSERT_MSG(lane.resolver != nullptr, "a lane that submits needs a resolver");
    Flight& f = lane.flight();
    tidy(f);
    Resolved resolved{*lane.resolver};
    uint16_t taken = 0;
    for (uint16_t i = 0; i < n; ++i) {
        fates[i] = {};
        UM_ASSERT(sas[i] == nullptr || sas[i]->engine == &lane.engine);
        const Plan planned = plan_one<kEncrypt>(lane, sas[i], packets[i], fates[i]);
        if (planned == Plan::full) {
            fates[i] = {kEncrypt ? Xfrm::out_error : Xfrm::in_error, EAGAIN};
            lane.counters.count(fates[i].why);
            if (sas[i] != nullptr) sas[i]->counters.refused.count(fates[i].why);
        }
        if (planned != Plan::planned) continue;
        f.ring[f.fill].work[f.ring[f.fill].n - 1].tag = tags[i];
        ++taken;
    }
    hand_over(lane, resolved);
    left_waiting(f);
    return taken;
}

// finish - one packet whose job is done, or whose SA was gone before it began.
void finish(EspLane& lane, Batch& batch, uint16_t i, Resolved& resolved, EspDone& done) noexcept {
    EspWork& work = batch.work[i];
    Job& job = batch.jobs[i];
    let_go(lane, work);
    done = {.packet = work.source, .fate = {}, .tag = work.tag, .sa = resolved.of(work)};
    work.sa = done.sa;
    const bool gone = done.sa == nullptr || work.gone;
    if (!gone) esp::cross_check(lane, work, job, work.source);
    batch.close_windows(work.windows_from, work.windows_to);
    if (gone) {
        m_freem(work.out);
        m_freem(work.copy);
        done.fate.why = work.encrypt ? Xfrm::out_state : Xfrm::in_state;
        lane.counters.count(done.fate.why);
        return;
    }
    const bool good = work.encrypt ? esp::finish_output(lane, work, job, &done.packet, &done.fate)
                                   : esp::finish_input(lane, work, job, &done.packet, &done.fate);
    if (good) lane.counters.count(Xfrm::ok);
}

}  // namespace

namespace esp {

void give_up(Flight& f) noexcept {
    for (on(f, f.head); f.packets > 0; on(f, f.head), --f.packets) {
        Batch& b = f.ring[f.head.batch];
        EspWork& work = b.work[f.head.i++];
        b.close_windows(work.windows_from, work.windows_to);
        m_freem(work.out);
        m_freem(work.copy);
        m_freem(work.source);
    }
}

}  // namespace esp

uint16_t esp_submit_output(EspLane& lane, Sa* const* sas, Mbuf** packets, const uint64_t* tags, EspFate* fates,
                           uint16_t n) noexcept {
    return submit<true>(lane, sas, packets, tags, fates, n);
}

uint16_t esp_submit_input(EspLane& lane, Sa* const* sas, Mbuf** packets, const uint64_t* tags, EspFate* fates,
                          uint16_t n) noexcept {
    return submit<false>(lane, sas, packets, tags, fates, n);
}

uint16_t esp_reap(EspLane& lane, EspDone* done, uint16_t most) noexcept {
    Flight& f = lane.flight();
    if (f.packets == 0) return 0;
    Resolved resolved{*lane.resolver};
    if (lane.engine.reap != nullptr) (void)lane.engine.reap(lane.crypto(), UINT16_MAX);
    hand_over(lane, resolved);
    uint16_t n = 0;
    for (; n < most && f.packets > 0; ++n) {
        tidy(f);
        Batch& b = f.ring[f.head.batch];
        if (f.head.i == b.n || !b.jobs[f.head.i].done) break;
        finish(lane, b, f.head.i++, resolved, done[n]);
        --f.packets;
    }
    tidy(f);
    return n;
}

uint32_t esp_in_flight(EspLane& lane) noexcept { return lane.flight().packets; }

}  // namespace umbuf
