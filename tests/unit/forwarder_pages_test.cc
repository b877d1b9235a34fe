// SPDX-License-Identifier: BSD-2-Clause
// forwarder_pages_test.cc - the arena of a forwarder: there while its ports are, and counted.
#include <gtest/gtest.h>

#include <algorithm>

#include "app/umfwd/machine/forwarder.h"
#include "app/umfwd/machine/pages.h"
#include "app/umfwd/packet/frame.h"
#include "app/umfwd/verdict.h"
#include "lib/page/arena.h"
#include "lib/page/extpg.h"
#include "tests/unit/fixture.h"
#include "tests/unit/frames.h"
#include "tests/unit/page_fixture.h"

namespace umbuf::fwd {
namespace {

class ForwarderPagesTest : public test::MbufTest {
  protected:
    void SetUp() override {
        test::MbufTest::SetUp();
        settings_.total_num_mbufs = 2048;
        settings_.mbcache = 32;
        settings_.page_cache_mb = 2;
        settings_.anon_pages = 32;
    }
    Settings settings_;
};

bool has_zone(const Report& report, const std::string& name) {
    return std::ranges::any_of(report.zones, [&](const ZoneReport& z) { return z.name == name; });
}

TEST_F(ForwarderPagesTest, TheArenaIsThereWhileTheForwarderIs) {
    ASSERT_FALSE(arena_is_open());
    auto made = Forwarder::create(settings_);
    ASSERT_TRUE(made.ok()) << made.error().text;
    auto f = std::move(made).value();
    EXPECT_TRUE(arena_is_open());
    EXPECT_EQ(page_counters().total[0], 2u * ((1 << 20) / kCachePage));
    EXPECT_EQ(page_counters().total[1], 32u);
    const Report last = f->halt();
    EXPECT_FALSE(arena_is_open());
    EXPECT_TRUE(has_zone(last, "um_page_cache") && has_zone(last, "um_page_anonymous")) << to_text(last);
    EXPECT_TRUE(last.pools_balanced) << to_text(last);
}

TEST_F(ForwarderPagesTest, NoPagesMeanNoArena) {
    settings_.page_cache_mb = settings_.anon_pages = 0;
    auto f = Forwarder::create(settings_).value();
    EXPECT_FALSE(arena_is_open());
    f->halt();
}

TEST_F(ForwarderPagesTest, AnArenaThatDoesNotFitIsRefusedWithTheOption) {
    settings_.page_cache_mb = 1u << 20;  // a terabyte
    const auto made = Forwarder::create(settings_);
    ASSERT_FALSE(made.ok());
    EXPECT_NE(made.error().text.find("--page-cache=1048576"), std::string::npos) << made.error().text;
    EXPECT_FALSE(arena_is_open());
}

TEST_F(ForwarderPagesTest, R34_APageThatSomebodyHoldsAtTheEndIsNamed) {
    auto f = Forwarder::create(settings_).value();
    Mbuf* held = mb_alloc_ext_pgs(PageClass::anonymous, 100, M_NOWAIT, "a test");
    ASSERT_NE(held, nullptr);
    const Report last = f->halt();
    EXPECT_FALSE(last.pools_balanced);
    ASSERT_EQ(last.problems.size(), 1u);
    EXPECT_EQ(last.problems[0], "1 pages of class anonymous are still held; they were taken by: a test");
    EXPECT_FALSE(verdict(last, settings_).ok());
    m_freem(held);
    f.reset();  // tries again
    EXPECT_FALSE(arena_is_open());
}

TEST_F(ForwarderPagesTest, ExtPgsChangesWhileForwarding) {
    settings_.ext_pgs = false;
    auto f = Forwarder::create(settings_).value();
    EXPECT_FALSE(mb_use_ext_pgs.load(sync::relaxed));
    f->use_ext_pgs(true);
    EXPECT_TRUE(mb_use_ext_pgs.load(sync::relaxed) && f->settings().ext_pgs);
    f->halt();
}

// A frame that a ring hands over may go on in a page at any byte.
class FramesOverPages : public test::PageTest {};

TEST_F(FramesOverPages, AreReadWhereverThePageBegins) {
    const std::string frame = test::ether(0x0800, test::ip4(17, test::udp(test::pattern(101))));
    Mbuf* flat = test::clustered(frame);
    const Frame right = parse(&flat->rte);
    ASSERT_EQ(right.error, nullptr);
    for (size_t cut = 1; cut < frame.size(); ++cut) {
        Mbuf* m = test::headed(frame.substr(0, cut), test::filled(PageClass::cache, frame.substr(cut)));
        const Frame f = parse(&m->rte);
        EXPECT_EQ(f.error, nullptr) << cut;
        EXPECT_EQ(f.l4_len, right.l4_len) << cut;
        EXPECT_EQ(l4_sum(&m->rte, f), l4_sum(&flat->rte, right)) << cut;
        m_freem(m);
    }
    m_freem(flat);
}

TEST_F(FramesOverPages, ThatCannotBeReadAreMalformedWhereAHeaderIsMissing) {
    const std::string frame = test::ether(0x0800, test::ip4(17, test::pattern(100)));
    Mbuf* m = test::headed(frame.substr(0, 20), mb_alloc_ext_pgs(PageClass::device, 100, M_NOWAIT, "test"));
    EXPECT_NE(parse(&m->rte).error, nullptr);
    EXPECT_FALSE(is_readable(&m->rte));
    m_freem(m);
}

}  // namespace
}  // namespace umbuf::fwd
