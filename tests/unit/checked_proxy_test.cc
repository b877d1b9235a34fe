// SPDX-License-Identifier: BSD-2-Clause
// checked_proxy_test.cc - the count of a proxy that went home already is lowered once more.
//
// The crash that was seen when scheme proxy was first tried (OpenBSD, 2026): a stale mbuf was freed,
// and its release lowered the count in an object that its pool had by then. Nothing happened, until a
// probe used another field of that object, which the pool had written over. Here the pool is checked.
//
// The binary chooses scheme and handler before main() makes the zones; UM_REFCNT=proxy+ has the same
// tests on the better proxy.
#include <cstdio>
#include <cstdlib>

#include "lib/ref/proxy.h"
#include "tests/unit/checked_pool.h"
#include "tests/unit/fixture.h"
#include "tests/unit/misuse.h"

namespace umbuf::test {
namespace {

[[maybe_unused]] const bool chosen = setenv("UM_REFCNT", "proxy", 0) == 0 && setenv("UM_CHECKED", "count", 0) == 0;

using Proxy = ref::ProxyObject<sync::Real>;
constexpr uint32_t kBurst = 32;  // packets

class CheckedProxy : public MbufTest {
  protected:
    // sent - a packet, and the copy that went out; both are done with. Its proxy, at home again.
    static Proxy* sent(uint32_t salt) {
        Mbuf* m = clustered(pattern(100, salt));
        Mbuf* copy = m_copypacket(m, M_NOWAIT);
        Proxy* proxy = nullptr;
        std::memcpy(&proxy, copy->view, sizeof proxy);
        m_freem(m);
        m_freem(copy);
        return proxy;
    }
    static void burst() {
        for (uint32_t i = 0; i < kBurst; ++i) sent(i);
    }
    static void look_for_the_words(const std::string& said, const Proxy* proxy) {
        for (const std::string& part :
             {std::string("pool um_proxy_0: write after free, found while it waited"), " at " + text(proxy) + ", ",
              std::string("1 bytes differ, the first at offset 8\n"), std::string("expected de c0 ad de"),
              std::string("found    dd c0 ad de"), std::string("last put by: lcore ")})
            EXPECT_NE(said.find(part), std::string::npos) << "not there: " << part << "\nin: " << said;
    }
    static std::string text(const void* address) {
        char digits[32];
        std::snprintf(digits, sizeof digits, "%p", address);
        return digits;
    }
};

// Goal: not later than one burst, wherever in a burst it happens. Method: each number of proxies that
// can have gone home since the handler looked last; a report, which is also a repair, for each.
TEST_F(CheckedProxy, ACountThatIsLoweredAfterTheLastReleaseIsReportedByNameWithinOneBurst) {
    burst();
    for (uint32_t before = 0; before <= kBurst; ++before) {
        for (uint32_t i = 0; i < before; ++i) sent(i);
        Proxy* proxy = sent(before);
        rte_mempool* pool = rte_mempool_from_obj(proxy);
        const uint64_t known = faults(pool);
        // What the stale mbuf's release did there: no look at the object, as it has no mark.
        proxy->count.n.fetch_sub(1, sync::acq_rel);
        ::testing::internal::CaptureStderr();
        burst();
        const std::string said = ::testing::internal::GetCapturedStderr();
        ASSERT_EQ(faults(pool), known + 1) << before << " proxies before";
        if (known == 0) look_for_the_words(said, proxy);
        EXPECT_EQ(scan(pool), 0) << "once is enough";
    }
}

// Ours has a mark in the object. So its own late release does not come so far as to write.
TEST_F(CheckedProxy, ALateReleaseOfOursDiesAndNamesTheProxy) {
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    Mbuf* raw = raw_copy(copy);
    Proxy* proxy = nullptr;
    std::memcpy(&proxy, copy->view, sizeof proxy);
    m_freem(copy);
    m_freem(m);
    EXPECT_DEATH(release(raw), "proxy " + text(proxy) + " is not alive.*this reference was dropped before");
    burst();
    EXPECT_EQ(scan(rte_mempool_from_obj(proxy)), 0) << "and has written nothing";
    end_of_raw_copy(raw);
}

}  // namespace
}  // namespace umbuf::test
