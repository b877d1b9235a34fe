// SPDX-License-Identifier: BSD-2-Clause
// verdict_test.cc - which runs end with status 1, and with what sentence.
#include "app/umfwd/verdict.h"

#include <gtest/gtest.h>

namespace umbuf::fwd {
namespace {

Report good_run() {
    Report report;
    report.final = report.pools_balanced = true;
    report.zones = {{.name = "um_mbuf_0", .size = 256, .total = 100, .in_use = 3, .expected = 3}};
    report.seq = {.used = true, .sent = 100, .received = 100};
    return report;
}

std::string sentence(const Report& report, const std::string& faults = "") {
    Settings settings;
    settings.faults = faults;
    return verdict(report, settings).error().text;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

TEST(Verdict, ARunInWhichAllAddsUpIsGood) {
    EXPECT_EQ(sentence(good_run()), "");
}

TEST(Verdict, AMissingBufferIsNamedWithItsZone) {
    Report report = good_run();
    report.zones[0].in_use = 4;
    EXPECT_TRUE(contains(sentence(report), "zone um_mbuf_0 is not balanced: 4 in use, 3 expected"));
}

TEST(Verdict, AStreamThatDoesNotAddUpIsAFailure) {
    Report report = good_run();
    report.conserved = false;
    report.surplus = 7;
    EXPECT_TRUE(contains(sentence(report), "7 packets are not accounted for"));
}

TEST(Verdict, ThePacketsThatSeqgenMissesAreNot) {
    Report report = good_run();
    report.seq.received = 90;
    report.seq.lost = 10;
    EXPECT_EQ(sentence(report), "") << "who sits at the other end may have counted them";
}

TEST(Verdict, CorruptPacketsAreAFailureUnlessOurFaultsMakeThem) {
    Report report = good_run();
    report.seq.corrupt = 2;
    EXPECT_TRUE(contains(sentence(report), "2 corrupt packets"));
    EXPECT_TRUE(contains(sentence(report, "seed=1,duplicate=5"), "2 corrupt packets"));
    EXPECT_EQ(sentence(report, "seed=1,corrupt=5"), "");
}

TEST(Verdict, DuplicatesAreAFailureUnlessOurFaultsMakeThem) {
    Report report = good_run();
    report.seq.duplicate = 2;
    EXPECT_TRUE(contains(sentence(report), "2 packets back twice"));
    EXPECT_TRUE(contains(sentence(report, "seed=1,corrupt=5"), "2 packets back twice"));
    EXPECT_EQ(sentence(report, "seed=1,duplicate=5"), "");
}

TEST(Verdict, AProblemOfTheHaltComesFirst) {
    Report report = good_run();
    report.problems = {"port 0 did not stop"};
    report.conserved = false;
    EXPECT_EQ(sentence(report), "port 0 did not stop");
}

}  // namespace
}  // namespace umbuf::fwd
