// SPDX-License-Identifier: BSD-2-Clause
// verb_fixture.h - chains of every kind of storage, and what they must look like afterwards.
#pragma once
#include <array>
#include <functional>
#include <string>
#include <vector>

#include "lib/mbuf/mbuf_list.h"
#include "lib/mbuf/mbuf_queue.h"
#include "tests/unit/fixture.h"

namespace umbuf::test {

// The kinds of storage that a verb meets.
enum class Kind { inlined, cluster, received, shared, received_shared, readonly, clone };
inline constexpr std::array kKinds = {Kind::inlined,         Kind::cluster,  Kind::received, Kind::shared,
                                      Kind::received_shared, Kind::readonly, Kind::clone};
inline const char* name(Kind kind) {
    static constexpr const char* kNames[] = {"inlined", "cluster", "received", "shared",
                                             "received_shared", "readonly", "clone"};
    return kNames[static_cast<size_t>(kind)];
}
inline bool writable(Kind kind) {
    return kind == Kind::inlined || kind == Kind::cluster || kind == Kind::received;
}

// Made - a packet, and whoever else sees its bytes.
struct Made {
    Mbuf* m = nullptr;
    Mbuf* other = nullptr;
};

// lent - a packet over read-only memory that is not ours; static, so that it outlives the packet.
inline Mbuf* lent(const std::string& bytes) {
    auto* memory = new std::string(bytes);
    Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
    const auto give_back = [](void*, uint32_t, void* arg) { delete static_cast<std::string*>(arg); };
    EXPECT_EQ(m_extadd(m, memory->data(), static_cast<uint32_t>(memory->size()), give_back, memory, M_RDONLY), 0);
    m->set_len(static_cast<uint32_t>(bytes.size()));
    m->rte.pkt_len = m->len();
    return m;
}

inline Made make(Kind kind, const std::string& bytes) {
    Made made;
    switch (kind) {
    case Kind::inlined: made.m = inlined(bytes); break;
    case Kind::cluster: made.m = clustered(bytes); break;
    case Kind::received: made.m = received(bytes); break;
    case Kind::shared:
        made.other = clustered(bytes);
        made.m = m_copypacket(made.other, M_NOWAIT);
        break;
    case Kind::received_shared:
        made.other = received(bytes);
        made.m = m_copypacket(made.other, M_NOWAIT);
        break;
    case Kind::readonly: made.m = lent(bytes); break;
    case Kind::clone:
        made.other = received(bytes);
        made.m = Mbuf::of(rte_pktmbuf_clone(&made.other->rte, rx_zone()->pool));
        break;
    }
    return made;
}

// add_tag - a tag of that id whose bytes are `text`.
inline void add_tag(Mbuf* m, uint16_t id, const std::string& text) {
    MTag* t = m_tag_get(id, static_cast<uint32_t>(text.size()), M_NOWAIT);
    ASSERT_NE(t, nullptr);
    std::memcpy(t->data(), text.data(), text.size());
    m_tag_prepend(m, t);
}

// tags_of - "id:text id:text", in order.
inline std::string tags_of(const Mbuf* m) {
    std::string s;
    for (const MTag* t = m_tag_first(m); t != nullptr; t = m_tag_next(m, t))
        s += (s.empty() ? "" : " ") + std::to_string(t->m_tag_id) + ":" +
             std::string(static_cast<const char*>(t->data()), t->m_tag_len);
    return s;
}

// Trio - three mbufs of 100, 600 and 400 bytes: the first ours, the second of the kind in question, the
// third received; with a port, a VLAN, a flag and two tags. `chained` has the second one's other.
struct Trio {
    Mbuf* m = nullptr;
    Mbuf* other = nullptr;
    Kind kind;
    static constexpr uint32_t kLen = 100 + 600 + 400;
    static std::string bytes(Kind kind) {
        return pattern(100) + pattern(kind == Kind::inlined ? 200 : 600, 1) +
               pattern(kind == Kind::inlined ? 800 : 400, 2);
    }
    explicit Trio(Kind k, bool tagged = true) : kind(k) {
        const std::string all = bytes(k);
        const uint32_t middle = k == Kind::inlined ? 200 : 600;
        m = inlined(all.substr(0, 100));
        m->rte.port = 3;
        m->rte.vlan_tci = 77;
        m->set_flags(M_BCAST);
        const Made second = make(k, all.substr(100, middle));
        other = second.other;
        m_add(m, second.m);
        m_add(m, received(all.substr(100 + middle)));
        if (tagged) {
            add_tag(m, 1, "one");
            add_tag(m, 2, "two");
        }
    }
    [[nodiscard]] std::string bytes() const { return bytes(kind); }
    // What is the same in the packet wherever a verb kept, moved or copied its header.
    static void expect_header(const Mbuf* p, const char* tags = "2:two 1:one") {
        EXPECT_EQ(p->rte.port, 3);
        EXPECT_EQ(p->rte.vlan_tci, 77);
        EXPECT_EQ(p->flags() & (M_PKTHDR | M_BCAST), uint32_t{M_PKTHDR | M_BCAST});
        EXPECT_EQ(tags_of(p), tags);
    }
    void expect_other() const {
        if (other == nullptr) return;
        EXPECT_EQ(bytes_of(other), bytes().substr(100, 600)) << name(kind) << ": a sibling's bytes changed";
    }
    void free() {
        m_freem(m);
        m_freem(other);
        m = other = nullptr;
    }
};

// all_writable - every mbuf of the chain.
inline bool all_writable(const Mbuf* m) {
    for (; m != nullptr; m = m->next())
        if (!m_writable(m)) return false;
    return true;
}

inline Zone* zone_of(ZoneKind kind) {
    for (Zone* z : zones())
        if (z->kind == kind) return z;
    return nullptr;
}

}  // namespace umbuf::test
