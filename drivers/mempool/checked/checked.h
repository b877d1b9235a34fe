// SPDX-License-Identifier: BSD-2-Clause
// checked.h - what a program may ask a pool of the "checked" handler. docs/checked-mempool.md is the
// manual. A program that knows nothing of this header is checked all the same.
//
// The plug-in is loaded by EAL's -d, not linked, and its names are not everybody's:
// dlsym(dlopen(the path that -d was given, RTLD_NOW | RTLD_NOLOAD), "um_checked_scan").
#pragma once
#include <cstdint>

struct rte_mempool;

// Where a fault was found once, it is counted once. Objects, if not said otherwise.
struct um_checked_counts {
    uint64_t puts, gets;
    uint64_t scanned;       // looked at while they waited
    uint64_t early;         // given out before `quarantine` other puts had followed their own
    uint64_t double_puts;   // put while at home; refused
    uint64_t strangers;     // put, but not of this pool; refused
    uint64_t unfit;         // mbufs put while they were shared, chained or attached
    uint64_t late_writes;   // written between put and get
    uint64_t overruns;      // written behind their end
};

extern "C" {
// um_checked_scan - look at every object that is in the handler now (not in per-lcore caches).
// Faults are reported like any other. Any thread; takes the pool's lock for as long as it looks.
// Returns how many faults it found, or -1: not a pool of this handler.
__attribute__((visibility("default"))) int64_t um_checked_scan(rte_mempool* pool);

// um_checked_read - the counts of now. Any thread. 0, or -1 as above.
__attribute__((visibility("default"))) int um_checked_read(rte_mempool* pool,
                                                           um_checked_counts* counts);
}
