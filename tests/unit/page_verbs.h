// SPDX-License-Identifier: BSD-2-Clause
// page_verbs.h - every verb, to be run on a packet whose middle mbuf is of some kind of storage.
#pragma once
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <rte_errno.h>

#include "lib/net/cksum.h"
#include "tests/unit/page_fixture.h"

namespace umbuf::test {

// What the middle mbuf is.
//      mapped      a cluster of its own              shared   a cluster that another mbuf sees
//      anonymous   an unmapped page of its own       cache    an unmapped page of a file
//      window      the same, after mb_unmapped_to_ext()
//      not_ready   its content has not arrived       failed   and never will      device   the CPU sees none
enum class Where { mapped, shared, anonymous, cache, window, not_ready, failed, device };
inline constexpr std::array kWheres = {Where::mapped, Where::shared,    Where::anonymous, Where::cache,
                                       Where::window, Where::not_ready, Where::failed,    Where::device};
inline const char* name(Where where) {
    static constexpr const char* kNames[] = {"mapped", "shared", "anonymous", "cache", "window", "not ready", "failed", "device"};
    return kNames[static_cast<size_t>(where)];
}

// Packet - 16 bytes inside an mbuf, 200 of the kind, 20 inside an mbuf; and what a verb made of it.
struct Packet {
    static constexpr uint32_t kHead = 16, kLen = 200, kTail = 20, kAll = kHead + kLen + kTail;
    explicit Packet(Where w);
    ~Packet() {
        m_freem(m);
        m_freem(made);
        m_freem(other);
    }
    Packet(const Packet&) = delete;
    Packet& operator=(const Packet&) = delete;

    const Where where;
    Mbuf* m = nullptr;      // the packet; null: the verb consumed it
    Mbuf* x = nullptr;      // its middle mbuf
    Mbuf* other = nullptr;  // who shares the cluster
    Mbuf* made = nullptr;   // what the verb returned beside m
    bool linked = false;    // x was linked, mbuf and all
    std::string says;       // an answer that is not "works"

    // alone - x by itself, no packet; m keeps the rest.
    Mbuf* alone() {
        m->set_next(x->next());
        x->set_next(nullptr);
        m_calchdrlen(m);
        return x;
    }
    // with - what verbs that return their chain, or null and freed it, did to m: 0 or the errno.
    int with(Mbuf* now) { return (m = now) == nullptr ? why() : 0; }
    // got - the same of verbs that return another chain.
    int got(Mbuf* chain) { return (made = chain) == nullptr ? why() : 0; }
    // why - a failure that leaves no reason shows, too.
    static int why() { return rte_errno != 0 ? rte_errno : EINVAL; }
    int yes(bool answer) {
        says = answer ? "yes" : "no";
        return 0;
    }
};

// Verb - run() does it to p: 0, or the errno with which it refused.
struct Verb {
    const char* name;
    int (*run)(Packet& p);
    bool pages_only = false;  // asks for an unmapped mbuf
};
[[nodiscard]] const std::vector<Verb>& verbs_over_pages();

// look - all that there is to see of a chain: each mbuf's place, and the bytes that can be read.
[[nodiscard]] std::string look(const Mbuf* m);

}  // namespace umbuf::test
