// SPDX-License-Identifier: BSD-2-Clause
// trace_file_test.cc - what another process reads of a reference trace is what this one knows.
#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "lib/mbuf/trace_file.h"
#include "lib/stat/segment.h"
#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

struct TraceFile : MbufTest {
    const std::string path = stat::path_of("um_trace_" + std::to_string(getpid()));
    const std::string file = path + ".trace";
    void TearDown() override {
        trace::stop();
        stat::close();
        unlink(path.c_str());
        unlink(file.c_str());
        MbufTest::TearDown();
    }
};

TEST_F(TraceFile, IsReadAsTheWriterDumpsItAndBadOnesAreRefused) {
    EXPECT_FALSE(trace::dump_file(file, {})) << "there is none before anybody traces";
    stat::Plan plan;
    plan.path = path;
    ASSERT_TRUE(stat::open(plan));
    ASSERT_TRUE(trace::start());
    Mbuf* m = m_getcl(M_NOWAIT, MT_DATA, M_PKTHDR);
    m->set_len(100);
    m->rte.pkt_len = 100;
    Mbuf* copy = m_copym(m, 10, 50, M_NOWAIT);
    for (const uint64_t last : {0, 1}) {
        const Result<std::string> seen = trace::dump_file(file, {.storage = nullptr, .last = last});
        ASSERT_TRUE(seen) << seen.error().text;
        EXPECT_EQ(seen.value(), trace::dump({.storage = nullptr, .last = last}));
        EXPECT_NE(seen.value().find("m_copym"), std::string::npos) << seen.value();
    }
    m_freem(m);
    m_freem(copy);
    refs_flush();
    trace::stop();
    const Result<std::string> stopped = trace::dump_file(file, {});
    ASSERT_TRUE(stopped);
    EXPECT_EQ(stopped.value(), trace::dump({}));
    EXPECT_NE(stopped.value().find("still held: nothing"), std::string::npos) << stopped.value();
    trace::clear();
    EXPECT_NE(trace::dump_file(file, {}).value().find("no event is recorded"), std::string::npos);

    std::ifstream in(file, std::ios::binary);
    const std::string whole((std::istreambuf_iterator<char>(in)), {});
    const std::string other = path + ".other";
    const auto refused = [&](const std::string& bytes) {
        std::ofstream(other, std::ios::binary | std::ios::trunc) << bytes;
        const bool good = trace::dump_file(other, {}).ok();
        unlink(other.c_str());
        return !good;
    };
    EXPECT_FALSE(refused(whole));
    EXPECT_TRUE(refused(""));
    EXPECT_TRUE(refused(whole.substr(0, trace::kRingsAt + 100))) << "cut off";
    EXPECT_TRUE(refused(std::string(whole.size(), 'x')));
    EXPECT_FALSE(trace::dump_file("/dev/shm", {}));
}

}  // namespace
}  // namespace umbuf::test
