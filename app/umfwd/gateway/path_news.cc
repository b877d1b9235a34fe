// SPDX-License-Identifier: BSD-2-Clause
// path_news.cc - a ring of words.
#include "app/umfwd/gateway/path_news.h"

#include <string>
#include <type_traits>

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_ring_elem.h>

#include "lib/mbuf/compat.h"

namespace umbuf::fwd {
namespace {

constexpr unsigned kRoom = 256;
static_assert(std::is_trivially_copyable_v<TooBig> && sizeof(TooBig) % 4 == 0, "what a ring can carry");

}  // namespace

Result<std::unique_ptr<PathNews>> PathNews::make(int socket) {
    static uint32_t made = 0;  // control thread
    const std::string name = fmt::format("um_path_{}", made++);
    rte_ring* ring = compat::ring_create_elem(name.c_str(), sizeof(TooBig), kRoom, socket, RING_F_SC_DEQ);
    if (ring == nullptr) return Error{ENOMEM, fmt::format("no memory for a ring of news: {}; give EAL more: -m MB", rte_strerror(rte_errno))};
    return std::unique_ptr<PathNews>(new PathNews(ring));
}

PathNews::~PathNews() { rte_ring_free(ring_); }

bool PathNews::tell(const TooBig& said) noexcept { return rte_ring_mp_enqueue_elem(ring_, const_cast<TooBig*>(&said), sizeof said) == 0; }
bool PathNews::take(TooBig* said) noexcept { return rte_ring_sc_dequeue_elem(ring_, said, sizeof *said) == 0; }

}  // namespace umbuf::fwd
