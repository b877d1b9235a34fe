// SPDX-License-Identifier: BSD-2-Clause
// sendfile.h - what mode sendfile puts on the wire, and what the forwarder asks of it beside running it.
#pragma once
#include <rte_byteorder.h>

#include "app/umfwd/engines/template.h"
#include "app/umfwd/packet/stream.h"
#include "app/umfwd/report.h"

namespace umbuf::fwd {

// FileHeader - the first 16 bytes of the UDP payload, in network order; `length` bytes of the file, from
// `offset` on, are the rest. A receiver puts the file together from these, in whatever order they come.
struct __attribute__((packed)) FileHeader {
    rte_be64_t offset;
    rte_be32_t length;
    rte_be32_t flags;  // kFileLast, and in the high 24 bits which sending of the file it is, from 0 on
};
static_assert(sizeof(FileHeader) == 16);
inline constexpr uint32_t kFileLast = 1;  // the file ends with this packet
inline constexpr uint32_t kFileTold = 2;  // an answer: this packet has come (mode recvfile)

// kFileHead - all that is before the file's bytes in a frame.
inline constexpr uint32_t kFileHead = kUdpFrameHeader + sizeof(FileHeader);
// copied_file_room - what a packet with n bytes of the file takes of a cluster, with --ext-pgs off.
[[nodiscard]] constexpr uint32_t copied_file_room(uint32_t n) { return RTE_PKTMBUF_HEADROOM + kFileHead + n; }

// file_cache_pages - how many pages the cache of files has now; 0: none is open. Control thread.
[[nodiscard]] uint32_t file_cache_pages();

// finish_file - begin no more packets; what is made, leaves. Control thread, as the next two; of another mode: nothing.
void finish_file(Stream& stream);
// file_finished - after finish_file(): all that was made has left, and, with --sendfile-window, was answered or given up.
[[nodiscard]] bool file_finished(const Stream& stream);
// file_told - how far the receiver has come, in bytes of all sendings: it only grows.
[[nodiscard]] uint64_t file_told(const Stream& stream);

// file_report - a stream's numbers, and, of the stream that began first, those of the cache and the
// reader that all share. Of another mode: nothing. Control thread, from begin to the end of the state.
[[nodiscard]] FileReport file_report(const Stream& stream);

}  // namespace umbuf::fwd
