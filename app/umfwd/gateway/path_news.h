// SPDX-License-Identifier: BSD-2-Clause
// path_news.h - what routers said of our ESP packets, from the lanes that hear it to the thread that keeps the SAs.
//
// A lane could not find the SA: outbound ones are in no table that a lane may search. News is rare, and where it is
// not, somebody floods us: what there is no room for is lost, and will be said again (RFC 4301, 8.2.1).
#pragma once
#include <memory>

#include "lib/base/result.h"
#include "lib/ipsec/too_big.h"

struct rte_ring;

namespace umbuf::fwd {

class PathNews {
  public:
    // make - Error: no memory. Control thread.
    [[nodiscard]] static Result<std::unique_ptr<PathNews>> make(int socket);
    ~PathNews();
    PathNews(const PathNews&) = delete;
    PathNews& operator=(const PathNews&) = delete;

    // tell - false: full. Any lcore.
    bool tell(const TooBig& said) noexcept;
    // take - false: there is none. One thread.
    [[nodiscard]] bool take(TooBig* said) noexcept;

  private:
    explicit PathNews(rte_ring* ring) noexcept : ring_(ring) {}
    rte_ring* const ring_;  // [I]
};

}  // namespace umbuf::fwd
