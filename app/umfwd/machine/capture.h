// SPDX-License-Identifier: BSD-2-Clause
// capture.h - the server of rte_pdump: it lets dpdk-dumpcap(1) and dpdk-pdump look on.
//
// They are secondary processes, and have what they want copied by callbacks of the ports' queues, on the
// lcores. What shows unmapped pages is made readable before (drivers/net/unmapped.h, U2). Without files
// for other processes (--in-memory, --no-shconf, --no-huge) nobody can attach, which is no error.
#pragma once

namespace umbuf::fwd {

class Capture {  // Control thread; after EAL has started, and gone before it ends.
  public:
    Capture();  // when it fails nobody can look on, and one line says so
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

  private:
    bool serving_;  // [I]
};

}  // namespace umbuf::fwd
