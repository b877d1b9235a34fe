// SPDX-License-Identifier: BSD-2-Clause
// page_proof.h - the self-test: does a page that the CPU cannot touch come out of a port as it went in?
//
// Only where what is sent comes back into this program, and nowhere else: a test frame must not reach
// somebody's network. Known loops, told by the devices' arguments:
//      net_ring           made by EAL with rings of its own: what it sends it receives
//      net_virtio_user    path= is the iface= of a net_vhost here, and the other way round
//      net_memif          two roles with the same id and socket
// First a packet of ordinary memory goes round, which shows that the loop carries; then one whose payload
// is a page. If it does not arrive the device swallows pages and counts them as sent (a black hole), if it
// arrives changed the device reads something else: pages leave as copies then, and a note says why.
#pragma once
#include <vector>

#include "drivers/net/port.h"

namespace umbuf {

// prove_pages - test each of these that is started, its paths closed, and has its loop among them in the
// same state. Packets that wait in the receive queues are freed, and counted as drained. Without an arena
// it does nothing. Takes up to a second for each loop that is not up. Control thread.
void prove_pages(const std::vector<Port*>& ports);

}  // namespace umbuf
