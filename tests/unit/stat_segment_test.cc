// SPDX-License-Identifier: BSD-2-Clause
// stat_segment_test.cc - a writer's numbers, seen through the file that another process would read.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "lib/stat/reader.h"
#include "lib/stat/segment.h"
#include "tests/unit/program.h"

namespace umbuf::stat {
namespace {

struct Two {
    sync::Counter in, out;
};
constexpr Field kTwo[] = {{"in", "packets", Kind::counter, 1, "what came"},
                          {"out", "packets", Kind::counter, 1, "what went", "way=up"}};

struct Spread {
    std::array<sync::Counter, 4> bins;
};
constexpr Field kSpread[] = {{"bursts", "bursts", Kind::histogram, 4}};

uint32_t seed() {
    const char* given = std::getenv("UM_SEED");
    return given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 0)) : std::random_device{}();
}

struct StatSegment : ::testing::Test {
    Plan plan;
    StatSegment() {
        plan.path = path_of("um_test_" + std::to_string(getpid()));
        plan.program = "stat_tests";
        plan.prefix = "um_test";
        plan.entries = 64;
        plan.cell_bytes = 64 << 10;
    }
    ~StatSegment() override {
        close();
        unlink(plan.path.c_str());
    }
    Sample look() {
        Sample sample;
        Result<Reader> reader = Reader::open(plan.path);
        EXPECT_TRUE(reader) << reader.error().text;
        if (reader) {
            const Status read = reader.value().sample(sample);
            EXPECT_TRUE(read) << read.error().text;
        }
        return sample;
    }
    std::string bytes() const {
        std::ifstream in(plan.path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void write(const std::string& bytes) const {
        std::ofstream(plan.path, std::ios::binary | std::ios::trunc) << bytes;
    }
};

TEST_F(StatSegment, WhatIsCountedIsReadUnderItsNameAndLabels) {
    ASSERT_TRUE(open(plan));
    const Box<Two> a(kTwo, "port=0"), b(kTwo, "port=1");
    a->in.add(3);
    b->in.add(UINT64_MAX);
    b->out.add(7);
    say(State::running);
    const Sample s = look();
    EXPECT_EQ(s.program, "stat_tests");
    EXPECT_EQ(s.pid, static_cast<uint32_t>(getpid()));
    EXPECT_EQ(s.life, Life::running);
    ASSERT_EQ(s.numbers.size(), 4U);
    EXPECT_EQ(s.skipped, 0U);
    EXPECT_EQ(s.find("in", "port=0")->value(), 3U);
    EXPECT_EQ(s.find("in", "port=0")->help, "what came");
    EXPECT_EQ(s.find("in", "port=1")->value(), UINT64_MAX);
    EXPECT_EQ(s.find("out", "port=1")->labels, "port=1,way=up");
    EXPECT_EQ(s.find("out", "port=1")->label("way"), "up");
    EXPECT_EQ(s.find("out", "port=1")->unit, "packets");
    EXPECT_EQ(s.find("out", "port=2"), nullptr);
    EXPECT_EQ(s.sum("out"), 7U);
}

TEST_F(StatSegment, AHistogramHasItsCells) {
    ASSERT_TRUE(open(plan));
    const Box<Spread> spread(kSpread, "");
    spread->bins[0].add(5);
    spread->bins[3].add(1);
    EXPECT_EQ(look().find("bursts")->cells, (std::vector<uint64_t>{5, 0, 0, 1}));
}

TEST_F(StatSegment, WithoutASegmentNumbersAreCountedAllTheSame) {
    ASSERT_FALSE(is_open());
    const Box<Two> box(kTwo, "");
    box->in.add(2);
    EXPECT_EQ(box->in.read(), 2U);
}

Global<Two> the_globals(kTwo);

TEST_F(StatSegment, GlobalsAreCountedBeforeThereIsASegmentAndMoveIntoIt) {
    const uint64_t was = the_globals->in.read();
    the_globals->in.add(2);
    plan.globals = true;
    plan.entries = 1024;
    plan.cell_bytes = 1 << 20;
    for (const uint64_t now : {was + 2, was + 3}) {  // the second time out of a segment that was closed
        ASSERT_TRUE(open(plan));
        EXPECT_EQ(look().find("in")->value(), now);
        the_globals->in.add(1);
        EXPECT_EQ(look().find("in")->value(), now + 1);
        close();
    }
    EXPECT_EQ(the_globals->in.read(), was + 4);
}

TEST_F(StatSegment, TheWriterSeesItsOwnNumbersWithOrWithoutASegment) {
    const auto seen = [](const std::string& labels) {
        std::vector<uint64_t> values;
        each([&](const Listed& one) {
            if (one.labels == labels) values.push_back(one.cells.back().read());
        });
        return values;
    };
    const Box<Two> before(kTwo, "port=8");
    before->in.add(5);
    EXPECT_EQ(seen("port=8"), std::vector<uint64_t>{5});
    ASSERT_TRUE(open(plan));
    const Box<Two> in(kTwo, "port=9");
    const Box<Spread> spread(kSpread, "spread=1");
    in->out.add(6);
    spread->bins[3].add(7);
    EXPECT_EQ(seen("port=9,way=up"), std::vector<uint64_t>{6});
    EXPECT_EQ(seen("spread=1"), std::vector<uint64_t>{7});
    EXPECT_EQ(seen("port=8,way=up"), std::vector<uint64_t>{0});
}

TEST_F(StatSegment, AFullSegmentSaysHowManyBlocksItDoesNotShow) {
    ASSERT_TRUE(open(plan));
    std::vector<Box<Two>> boxes;
    for (int i = 0; i < 40; ++i) boxes.emplace_back(kTwo, "i=" + std::to_string(i));
    for (Box<Two>& box : boxes) box->in.add(1);
    const Sample s = look();
    EXPECT_EQ(s.numbers.size(), plan.entries);
    EXPECT_EQ(s.unlisted, 8U);
}

TEST_F(StatSegment, WhatWentMakesRoomForWhatComes) {
    ASSERT_TRUE(open(plan));
    for (int i = 0; i < 10'000; ++i) {
        const Box<Two> one(kTwo, "i=" + std::to_string(i));
        const Box<Spread> other(kSpread, "");
        one->in.add(1);
    }
    const Box<Two> last(kTwo, "i=last");
    EXPECT_EQ(last->in.read(), 0U) << "the cells were another's, and are 0 again";
    const Sample s = look();
    EXPECT_EQ(s.numbers.size(), 2U);
    EXPECT_EQ(s.unlisted, 0U);
}

TEST_F(StatSegment, BoxesOutliveTheSegment) {
    ASSERT_TRUE(open(plan));
    Box<Two> box(kTwo, "");
    close();
    box->in.add(1);
    EXPECT_EQ(box->in.read(), 1U);
    ASSERT_TRUE(open(plan));
    const Box<Two> next(kTwo, "");
    box = {};
    EXPECT_EQ(look().numbers.size(), 2U);
}

TEST_F(StatSegment, OneWhoEndedIsReadAsOneWhoEnded) {
    ASSERT_TRUE(open(plan));
    {
        const Box<Two> box(kTwo, "");
        box->in.add(9);
        close();
        const Sample s = look();
        EXPECT_EQ(s.life, Life::ended);
        EXPECT_EQ(s.find("in")->value(), 9U);
    }
}

// A child that is killed in the middle.
TEST_F(StatSegment, OneWhoWasKilledIsReadAndSaidToHaveDied) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        if (!open(plan)) _exit(1);
        const Box<Two> box(kTwo, "port=0");
        box->in.add(12345);
        say(State::running);
        (void)raise(SIGKILL);
    }
    int how = 0;
    ASSERT_EQ(waitpid(child, &how, 0), child);
    ASSERT_TRUE(WIFSIGNALED(how));
    const Sample s = look();
    EXPECT_EQ(s.life, Life::died);
    EXPECT_EQ(s.pid, static_cast<uint32_t>(child));
    EXPECT_EQ(s.find("in", "port=0")->value(), 12345U);
    EXPECT_GT(s.beat_ns, 0U);
    ASSERT_TRUE(open(plan)) << "the dead one's file is in nobody's way";
    EXPECT_EQ(look().numbers.size(), 0U);
}

TEST_F(StatSegment, OneWhomNobodyWaitedForIsDeadAllTheSame) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        if (!open(plan)) _exit(1);
        say(State::running);
        (void)raise(SIGKILL);
    }
    siginfo_t how{};
    ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &how, WEXITED | WNOWAIT), 0);
    EXPECT_EQ(look().life, Life::died);
    waitpid(child, nullptr, 0);
}

// Goal: a Sample that is used again says what a new one says. Method: numbers come, go and change.
TEST_F(StatSegment, ASampleThatIsUsedAgainIsLikeANewOne) {
    const uint32_t s = seed();
    SCOPED_TRACE("UM_SEED=" + std::to_string(s));
    std::mt19937 random(s);
    ASSERT_TRUE(open(plan));
    Result<Reader> reader = Reader::open(plan.path), other = Reader::open(plan.path);
    ASSERT_TRUE(reader && other);
    std::vector<Box<Two>> boxes;
    Sample again;
    for (int round = 0; round < 500 && boxes.size() < 25; ++round) {
        // In this order: one that comes gets the entries of one that went in the same round.
        if (random() % 5 == 0 && !boxes.empty()) boxes.erase(boxes.begin() + static_cast<std::ptrdiff_t>(random() % boxes.size()));
        if (random() % 2 == 0) boxes.emplace_back(kTwo, "i=" + std::to_string(round));
        for (Box<Two>& box : boxes) box->in.add(random() % 3);
        Sample fresh;
        // Now and then from another reader, whose directory is not this one's.
        ASSERT_TRUE((random() % 10 == 0 ? other : reader).value().sample(again));
        ASSERT_TRUE(reader.value().sample(fresh));
        ASSERT_EQ(again.numbers.size(), fresh.numbers.size());
        for (size_t i = 0; i < fresh.numbers.size(); ++i) {
            ASSERT_EQ(again.numbers[i].name, fresh.numbers[i].name);
            ASSERT_EQ(again.numbers[i].labels, fresh.numbers[i].labels);
            ASSERT_EQ(again.numbers[i].cells, fresh.numbers[i].cells);
        }
    }
}

TEST_F(StatSegment, ALivingProgramsFileIsLeftAlone) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const char said = open(plan) ? 'y' : 'n';
        if (::write(ready[1], &said, 1) != 1) _exit(1);
        for (;;) pause();
    }
    char said = 0;
    ASSERT_EQ(::read(ready[0], &said, 1), 1);
    ASSERT_EQ(said, 'y');
    const Status second = open(plan);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EEXIST);
    EXPECT_NE(second.error().text.find(std::to_string(child)), std::string::npos) << second.error().text;
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_F(StatSegment, TheNextProgramsFileIsAnotherOne) {
    ASSERT_TRUE(open(plan));
    Result<Reader> reader = Reader::open(plan.path);
    ASSERT_TRUE(reader);
    EXPECT_FALSE(reader.value().replaced());
    close();
    ASSERT_TRUE(open(plan));
    EXPECT_TRUE(reader.value().replaced());
    Sample old;
    EXPECT_TRUE(reader.value().sample(old));
    EXPECT_EQ(old.life, Life::ended) << "the old one is still there for who has it";
}

// Goal: a block's numbers are never read under another block's name (L2, D3).
// Method: one thread makes and takes away blocks, whose number is their label; another reads as fast as
// it can.
TEST_F(StatSegment, NumbersAreNeverReadUnderAnothersName) {
    ASSERT_TRUE(open(plan));
    Result<Reader> opened = Reader::open(plan.path);
    ASSERT_TRUE(opened);
    Reader reader = std::move(opened.value());
    std::atomic<bool> done{false};
    std::jthread churn([&] {
        for (uint64_t i = 1; i <= 20'000; ++i) {
            const Box<Two> one(kTwo, "id=" + std::to_string(i));
            one->in.set(i);
            one->out.set(i);
        }
        done.store(true);
    });
    Sample s;
    uint64_t seen = 0;
    while (!done.load()) {
        ASSERT_TRUE(reader.sample(s));
        for (const Number& number : s.numbers) {
            const uint64_t value = number.value();
            if (value == 0) continue;  // listed, not yet counted
            ASSERT_EQ(std::to_string(value), number.label("id"));
            ++seen;
        }
    }
    churn.join();
    RecordProperty("seen", std::to_string(seen));
}

TEST_F(StatSegment, WhatIsNoSegmentIsSaidToBeNone) {
    EXPECT_FALSE(Reader::open(plan.path));
    write("");
    EXPECT_NE(Reader::open(plan.path).error().text.find("too short"), std::string::npos);
    write(std::string(100'000, 'x'));
    EXPECT_NE(Reader::open(plan.path).error().text.find("no segment"), std::string::npos);
    EXPECT_FALSE(Reader::open("/dev/shm"));
    EXPECT_FALSE(Reader::open("/dev/null"));
    unlink(plan.path.c_str());
    ASSERT_EQ(mkfifo(plan.path.c_str(), 0600), 0);
    EXPECT_FALSE(Reader::open(plan.path)) << "and it was not waited for";
}

TEST_F(StatSegment, AFileThatIsCutOffIsAnErrorAtEveryLength) {
    ASSERT_TRUE(open(plan));
    const Box<Two> box(kTwo, "");
    const std::string whole = bytes();
    close();
    for (size_t n = 0; n < whole.size(); n += n < 1024 ? 1 : 4093) {
        write(whole.substr(0, n));
        ASSERT_FALSE(Reader::open(plan.path)) << n;
    }
}

TEST_F(StatSegment, AFileThatIsCutOffUnderTheReaderIsAnError) {
    ASSERT_TRUE(open(plan));
    const Box<Two> box(kTwo, "");
    Result<Reader> reader = Reader::open(plan.path);
    ASSERT_TRUE(reader);
    const std::string copy = bytes();
    close();
    unlink(plan.path.c_str());
    write(copy);  // another file: the writer's own is not cut off
    Result<Reader> second = Reader::open(plan.path);
    ASSERT_TRUE(second);
    ASSERT_EQ(truncate(plan.path.c_str(), 0), 0);
    Sample s;
    const Status cut = second.value().sample(s);
    ASSERT_FALSE(cut);
    EXPECT_NE(cut.error().text.find("cut off"), std::string::npos) << cut.error().text;
    EXPECT_TRUE(reader.value().sample(s)) << "another file, untouched";
}

// A writer of a later version: longer header, longer entries, a kind that nobody knows yet.
TEST_F(StatSegment, ALaterWriterIsReadAsFarAsItIsKnown) {
    ASSERT_TRUE(open(plan));
    const Box<Two> box(kTwo, "port=0");
    box->in.add(4);
    const std::string ours = bytes();
    close();
    Header h;
    std::memcpy(static_cast<void*>(&h), ours.data(), sizeof h);
    const size_t longer = sizeof(Entry) + 64;
    std::string theirs(ours.size() + 64 * plan.entries + 64, '\0');
    const size_t directory = sizeof(Header) + 64;
    const size_t cells = theirs.size() - plan.cell_bytes;
    for (size_t i = 0; i < 2; ++i) {
        std::string entry = ours.substr(sizeof(Header) + i * sizeof(Entry), sizeof(Entry));
        uint64_t at = 0;
        std::memcpy(&at, entry.data() + offsetof(Entry, at), 8);
        std::memcpy(theirs.data() + cells + 8 * i, ours.data() + at, 8);
        at = cells + 8 * i;
        std::memcpy(entry.data() + offsetof(Entry, at), &at, 8);
        if (i == 1) {
            const uint32_t unheard_of = 77;
            std::memcpy(entry.data() + offsetof(Entry, kind), &unheard_of, 4);
        }
        theirs.replace(directory + i * longer, sizeof(Entry), entry);
    }
    std::string header = ours.substr(0, sizeof(Header));
    const auto put = [&](size_t at, uint64_t value, size_t n) { std::memcpy(header.data() + at, &value, n); };
    put(offsetof(Header, header_bytes), sizeof(Header) + 64, 4);
    put(offsetof(Header, entry_bytes), longer, 4);
    put(offsetof(Header, directory), directory, 8);
    put(offsetof(Header, segment_bytes), theirs.size(), 8);
    theirs.replace(0, sizeof(Header), header);
    write(theirs);
    const Sample s = look();
    ASSERT_EQ(s.numbers.size(), 1U);
    EXPECT_EQ(s.find("in", "port=0")->value(), 4U);
    EXPECT_EQ(s.skipped, 1U);
    const uint32_t next_abi = kAbi + 1;
    std::memcpy(theirs.data() + offsetof(Header, abi), &next_abi, 4);
    write(theirs);
    EXPECT_NE(Reader::open(plan.path).error().text.find("abi 2"), std::string::npos);
}

// Goal: no file whatever makes a reader crash or hang. Method: a good one, with random bytes damaged.
TEST_F(StatSegment, DamagedFilesAreReadOrRefused) {
    const uint32_t s = seed();
    SCOPED_TRACE("UM_SEED=" + std::to_string(s));
    std::mt19937 random(s);
    ASSERT_TRUE(open(plan));
    std::vector<Box<Two>> boxes;
    for (int i = 0; i < 16; ++i) boxes.emplace_back(kTwo, "i=" + std::to_string(i));
    const Box<Spread> spread(kSpread, "");
    const std::string good = bytes();
    close();
    const size_t interesting = sizeof(Header) + 40 * sizeof(Entry);
    int refused = 0;
    for (int round = 0; round < 3000; ++round) {
        std::string bad = good;
        const size_t hits = 1 + random() % 20;
        for (size_t i = 0; i < hits; ++i) {
            const size_t at = (random() % 2 != 0 ? 8 : 0) + random() % (random() % 2 != 0 ? sizeof(Header) : interesting);
            bad[at] = static_cast<char>(random() % 3 == 0 ? 0xff : random());
        }
        write(bad);
        Result<Reader> reader = Reader::open(plan.path);
        Sample sample;
        if (!reader || !reader.value().sample(sample)) {
            ++refused;
            continue;
        }
        ASSERT_LE(sample.numbers.size(), 64U);
    }
    EXPECT_GT(refused, 0);
    EXPECT_LT(refused, 3000);
}

TEST_F(StatSegment, ItIsTheGroupsToReadAndNobodysToWrite) {
    plan.mode = 0640;
    ASSERT_TRUE(open(plan));
    struct stat what {};
    ASSERT_EQ(::stat(plan.path.c_str(), &what), 0);
    EXPECT_EQ(what.st_mode & 0777U, 0640U);
}

TEST_F(StatSegment, APlaceThatCannotBeHadIsNamed) {
    plan.path = "/dev/shm/no/such/folder";
    const Status opened = open(plan);
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().text.find("/dev/shm/no/such/folder"), std::string::npos);
    EXPECT_FALSE(is_open());
}

}  // namespace
}  // namespace umbuf::stat
