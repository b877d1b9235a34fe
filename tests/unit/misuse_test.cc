// SPDX-License-Identifier: BSD-2-Clause
// misuse_test.cc - references used wrongly, under the scheme that this process has: who does it dies at
// once, with a diagnosis. Run for each scheme (UM_REFCNT). Reuse is not provoked: a storage that was
// freed too early and taken by somebody else is nobody's to recognise.
#include <algorithm>
#include <string>

#include "lib/mbuf/refs.h"
#include "tests/unit/misuse.h"

namespace umbuf::test {
namespace {

constexpr const char* kDropped = "R1|was dropped before";

class Misuse : public MbufTest {
  protected:
    static bool scheme_is(std::initializer_list<const char*> names) {
        return std::ranges::any_of(names, [](std::string name) { return name == refs_in_use().name; });
    }
};

TEST_F(Misuse, ARawCopiedViewThatIsReleasedTooDies) {
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    Mbuf* raw = raw_copy(copy);
    ExtControl* control = ext_control(m);
    m_freem(m);
    m_freem(copy);
    const Kept kept({m, copy, raw}, control);
    EXPECT_DEATH(release(raw), kDropped);
    kept.put_back();
    end_of_raw_copy(raw);
}

TEST_F(Misuse, ARawCopiedViewOfAReceivedPacketsCopyThatIsReleasedTooDies) {
    Mbuf* m = received(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    Mbuf* raw = raw_copy(copy);
    m_freem(copy);
    const Kept kept({m, copy}, ext_control(m));
    EXPECT_DEATH(release(raw), kDropped);
    kept.put_back();
    end_of_raw_copy(raw);
    m_freem(m);
}

TEST_F(Misuse, ARecordThatIsUsedTwiceDies) {
    for (Mbuf* m : {clustered(pattern(100)), received(pattern(100))}) {
        Mbuf* copy = m_copypacket(m, M_NOWAIT);
        m_freem(copy);
        EXPECT_DEATH(release(copy), "its reference was dropped before");
        m_freem(m);
    }
}

TEST_F(Misuse, AShareFromAFreedMbufDies) {
    for (Mbuf* m : {clustered(pattern(100)), received(pattern(100))}) {
        Mbuf* copy = m_copypacket(m, M_NOWAIT);
        Mbuf* another = m_get(M_NOWAIT, MT_DATA);
        m_freem(copy);
        EXPECT_DEATH((void)ext_share(copy, another, 0, 0), "is shared, but its reference was dropped before");
        m_free(another);
        m_freem(m);
    }
}

// The weighted schemes split the view that they are given and look at nothing else: they see it when
// one of the halves comes back.
TEST_F(Misuse, AShareFromARawCopyOfADeadViewDies) {
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    Mbuf* raw = raw_copy(copy);
    Mbuf* another = m_get(M_NOWAIT, MT_DATA);
    ExtControl* control = ext_control(m);
    m_freem(m);
    m_freem(copy);
    const Kept kept({m, copy, raw, another}, control);
    const bool late = scheme_is({"weighted", "weighted-nomerge"});
    EXPECT_DEATH(
        {
            (void)ext_share(raw, another, 0, 0);
            if (late) release(another);
        },
        kDropped);
    kept.put_back();
    end_of_raw_copy(raw);
    m_free(another);
}

TEST_F(Misuse, ACopyThatIsFreedTwiceDies) {
    Mbuf* m = clustered(pattern(100));
    Mbuf* copy = m_copypacket(m, M_NOWAIT);
    m_free(copy);
    const bool marked = copy->m_type == MT_FREE;
    if (marked) {
        EXPECT_DEATH(m_free(copy), "freed a second time");
    }
    m_freem(m);
    if (!marked) GTEST_SKIP() << "m_free does not mark what it frees (MT_FREE)";
}

}  // namespace
}  // namespace umbuf::test
