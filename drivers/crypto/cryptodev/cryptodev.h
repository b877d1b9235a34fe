// SPDX-License-Identifier: BSD-2-Clause
// cryptodev.h - engines over DPDK's crypto devices: lookaside, asynchronous, one engine per device.
//
// A device is named as EAL names it: crypto_openssl, crypto_aesni_mb0, crypto_aesni_gcm, or a PCI function
// of Intel QAT. A virtual one that is not there yet is made.
//
// What a device is given is a chain of rte_mbufs of the lane's own, which show the source's pieces where
// they lie; the mbufs of the packet are not touched. Where the device can read a chain and write another
// place (RTE_CRYPTODEV_FF_OOP_SGL_IN_LB_OUT), it does. Else the source is copied first: into the room, or
// into memory of the lane. No source is ever a device's destination (J1). docs/ipsec.md has the table.
//
// An ICV is compared by the device, and J3 is its affair: IPsec-MB's drivers of DPDK 22.11 use memcmp().
#pragma once
#include <cstdint>
#include <string>

#include "lib/base/result.h"
#include "lib/ipsec/engine.h"

namespace umbuf {

// cryptodev_engine - of the device of this name; the same one each time. It lives until
// cryptodev_close_all(). Error: there is no such device and none can be made, or it cannot be started, or it
// has none of ESP's algorithms. Control thread.
[[nodiscard]] Result<const Engine*> cryptodev_engine(const std::string& name);
// cryptodev_close_all - stop and give back all devices. No lane of theirs is open, no SA left, and EAL still
// runs. Control thread.
void cryptodev_close_all();

// What a device has done, in all lanes.
struct CryptodevCounters {
    uint64_t jobs;          // done or failed
    uint64_t failed;        // by the device
    uint64_t copied;        // jobs whose bytes had to be copied, because the device cannot do without
    uint64_t copied_bytes;
    uint64_t full;          // times the device took no more
};
// cryptodev_counters - of an engine that cryptodev_engine() returned. Any thread.
[[nodiscard]] CryptodevCounters cryptodev_counters(const Engine& engine);

}  // namespace umbuf
