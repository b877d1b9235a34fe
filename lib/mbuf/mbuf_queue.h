// SPDX-License-Identifier: BSD-2-Clause
// mbuf_queue.h - packets in a row, with a limit and a lock (OpenBSD: struct mbuf_queue, mq_init(9)).
//
// Any thread may call anything but mq_init. The lock is held for a few loads and stores, never while
// an mbuf is freed; it spins, because a data-plane thread has nothing else to do for so short a time.
// A queue owns its packets. What does not fit is freed and counted: those calls consume their packets
// in any case.
#pragma once
#include <cstdint>

#include "lib/base/sync.h"
#include "lib/mbuf/mbuf_list.h"

namespace umbuf {

// Locks:  l lock   a atomic, written under the lock
struct MbufQueue {
    sync::SpinLock lock;
    MbufList mq_list;               // [l]
    sync::Counter mq_len;           // [a] packets
    sync::atomic<uint32_t> mq_maxlen{0};  // [a] packets
    sync::Counter mq_drops;         // [a] packets freed for want of room
};

// mq_init - an empty queue for maxlen packets; before anybody else knows it.
void mq_init(MbufQueue* mq, uint32_t maxlen) noexcept;
// mq_enqueue - m to the end. 0; 1: the queue is full, and m is freed and counted.
int mq_enqueue(MbufQueue* mq, Mbuf* m) noexcept;
// mq_push - m to the end; when the queue is full, the *oldest* packet is freed and counted to make
// room. 0; 1: one was dropped (m itself, if maxlen is 0).
int mq_push(MbufQueue* mq, Mbuf* m) noexcept;
// mq_dequeue - the first packet, the caller's. Null: empty.
[[nodiscard]] Mbuf* mq_dequeue(MbufQueue* mq) noexcept;
// mq_enlist - as many of ml's as fit go to the end, in order; the rest is freed and counted. ml is
// empty then. Returns how many were dropped.
uint32_t mq_enlist(MbufQueue* mq, MbufList* ml) noexcept;
// mq_delist - all packets to the end of *ml.
void mq_delist(MbufQueue* mq, MbufList* ml) noexcept;
// mq_dechain - all packets as a chain of nextpkt, the caller's.
[[nodiscard]] Mbuf* mq_dechain(MbufQueue* mq) noexcept;
// mq_purge - free all packets. Returns how many there were; they are not counted as drops.
uint32_t mq_purge(MbufQueue* mq) noexcept;
// mq_hdatalen - bytes in the first packet; 0 when there is none.
[[nodiscard]] uint32_t mq_hdatalen(MbufQueue* mq) noexcept;
// mq_set_maxlen - from now on. What is in the queue stays, also when it is more.
void mq_set_maxlen(MbufQueue* mq, uint32_t maxlen) noexcept;

// Without the lock: a moment's sample.
[[nodiscard]] inline uint32_t mq_len(const MbufQueue* mq) noexcept {
    return static_cast<uint32_t>(mq->mq_len.read());
}
[[nodiscard]] inline bool mq_empty(const MbufQueue* mq) noexcept { return mq_len(mq) == 0; }
[[nodiscard]] inline bool mq_full(const MbufQueue* mq) noexcept {
    return mq_len(mq) >= mq->mq_maxlen.load(sync::relaxed);
}
[[nodiscard]] inline uint64_t mq_drops(const MbufQueue* mq) noexcept { return mq->mq_drops.read(); }

}  // namespace umbuf
