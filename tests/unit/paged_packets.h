// SPDX-License-Identifier: BSD-2-Clause
// paged_packets.h - packets that show unmapped pages, and what must come out of ports.
#pragma once
#include <string>

#include <unistd.h>

#include "tests/unit/page_fixture.h"
#include "tests/unit/port_fixture.h"

namespace umbuf::test {

class PagedPortTest : public PageTest {
  protected:
    using PageTest::open;
    static void open(Port& port) { test::open(port); }
    void reopen(const ArenaConfig& c) {
        ASSERT_TRUE(arena_close().empty());
        open(c);
    }
};

inline PortConfig believed() {
    PortConfig c = config_with_zone();
    c.unmapped = true;
    return c;
}

inline constexpr size_t kHead = 42;
inline std::string head_bytes() { return std::string(12, '\x02') + "\x88\xb5" + pattern(kHead - 14); }

// Loop - a port whose receive ring is its transmit ring, as a program makes it: not for self-tests.
struct Loop {
    explicit Loop(const PortConfig& config = config_with_zone(), unsigned slots = 64)
        : ring(make_ring(slots)), port(configured(ring_device({ring.get()}, {ring.get()}), config)) {}
    ~Loop() {
        if (port) gone(std::move(port));
    }
    Ring ring;
    std::unique_ptr<Port> port;
};

// paged - a packet whose head is mapped and whose rest is in pages, cut from within them.
inline Mbuf* paged(const std::string& payload, PageClass cls = PageClass::anonymous) {
    Mbuf* m = filled(cls, "xyz" + payload);
    m_adj(m, 3);
    return headed(head_bytes(), m);
}

inline uint64_t copied_for(CopiedFor why) { return window_counters().copied_bytes[static_cast<size_t>(why)]; }

// until_received - one packet, waiting for devices that have threads of their own.
inline Mbuf* until_received(Port& port) {
    for (int tries = 0; tries < 50000; ++tries) {
        if (Mbuf* m = receive(port); m != nullptr) return m;
        usleep(100);
    }
    return nullptr;
}

inline void expect_bytes(Mbuf* m, const std::string& payload) {
    ASSERT_NE(m, nullptr);
    EXPECT_EQ(bytes_of(m), head_bytes() + payload);
    m_freem(m);
}

}  // namespace umbuf::test
