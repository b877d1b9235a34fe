// SPDX-License-Identifier: BSD-2-Clause
// interrupt_thread.h - EAL's interrupt thread, as the one place where nobody changes a device.
//
// Some drivers change their device on that thread: virtio-user takes and gives up its peer by an
// interrupt, and exchanges the file that EAL watches by an alarm of one microsecond after it. They
// take no lock that would keep the control thread out, and rte_eth_dev_stop() and close() do not
// look (DPDK 22.11.11, virtio_dev_stop; 24.11 was not read, and the detour does no harm there):
//
//      interrupt thread                          control thread
//      handler: the peer is gone                 stop: unregister says "busy" (-EAGAIN), unheard
//      alarm: watch another file                 stop: unregistered; then the alarm registers anew
//                                                close: the file is closed, EAL still watches it
//      next change of what is watched: epoll_ctl says EBADF, and EAL panics
//
// What runs on the thread itself cannot meet it. Hence:
//   I1  while the work runs, no interrupt handler and no alarm runs;
//   I2  every alarm of the least delay (1 us) that was set before the work is done, also those that
//       a handler set while the work waited for it.
#pragma once
#include <chrono>
#include <functional>

namespace umbuf {

// longer than a vhost-user greeting takes, and short for a person who waits for an answer
inline constexpr std::chrono::milliseconds kInterruptPatience{2000};

// on_interrupt_thread - have `work` run there, under I1 and I2, and wait for its end. False: it was
// not run and will not be, because the thread did not get to it within `patience`: some handler
// waits for a peer that says nothing. Control thread; not from inside a handler, an alarm or the
// work of another call. The work may not throw.
[[nodiscard]] bool on_interrupt_thread(const std::function<void()>& work,
                                       std::chrono::milliseconds patience = kInterruptPatience);

}  // namespace umbuf
