// SPDX-License-Identifier: BSD-2-Clause
// esp_seq_file_test.cc - no number is sent twice, whatever happens to the sender and its file.
#include "lib/ipsec/seq_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>

#include "tests/unit/fixture.h"

namespace umbuf::test {
namespace {

class EspSeqFile : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/um_seq_XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        folder_ = name;
        path_ = folder_ / "one.seq";
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    using Opened = Result<std::unique_ptr<SeqFile>>;
    Opened open(std::optional<uint64_t> floor = std::nullopt, uint64_t step = 64, uint32_t spi = 0x1000) {
        return SeqFile::open(path_, spi, "aes-gcm-128", floor, step);
    }
    std::string said(std::optional<uint64_t> floor = std::nullopt, uint32_t spi = 0x1000) {
        const Opened file = open(floor, 64, spi);
        return file.ok() ? std::string("opened") : file.error().text;
    }
    std::string text() {
        std::ifstream in(path_);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    void set_text(const std::string& s) { std::ofstream(path_) << s; }
    static bool has(const std::string& s, const char* word) { return s.find(word) != std::string::npos; }
    std::filesystem::path folder_;
    std::string path_;
};

TEST_F(EspSeqFile, NothingIsSentBeyondWhatIsOnDisk) {
    auto file = std::move(open(100).value());
    EXPECT_EQ(file->floor(), 100u);
    SendSequence sequence(false, file->floor());
    ASSERT_TRUE(file->cover(sequence).ok());
    uint64_t seq = 0;
    for (uint64_t i = 101; i <= 164; ++i) {
        ASSERT_EQ(sequence.next(&seq), 0);
        EXPECT_EQ(seq, i);
    }
    EXPECT_EQ(sequence.next(&seq), EAGAIN);
    EXPECT_TRUE(has(text(), " last 164 ")) << text();
    ASSERT_TRUE(file->cover(sequence).ok());
    EXPECT_EQ(sequence.next(&seq), 0);
    EXPECT_EQ(seq, 165u);
    EXPECT_TRUE(has(text(), " last 228 "));
    ASSERT_TRUE(file->cover(sequence).ok());
    EXPECT_TRUE(has(text(), " last 228 ")) << "enough is left";
    // It crashed here: the file is opened again, as it is.
    file.reset();
    EXPECT_EQ(open().value()->floor(), 228u);
}

TEST_F(EspSeqFile, AnOrderlyEndLosesNoNumber) {
    auto file = std::move(open(0).value());
    SendSequence sequence(false, 0);
    ASSERT_TRUE(file->cover(sequence).ok());
    uint64_t seq = 0;
    for (int i = 0; i < 5; ++i) EXPECT_EQ(sequence.next(&seq), 0);
    ASSERT_TRUE(file->finish(sequence).ok());
    EXPECT_EQ(sequence.next(&seq), EAGAIN);
    EXPECT_EQ(file->floor(), 5u);
    ASSERT_TRUE(file->cover(sequence).ok()) << "a second start of the same program";
    EXPECT_EQ(sequence.next(&seq), 0);
    EXPECT_EQ(seq, 6u);
    ASSERT_TRUE(file->finish(sequence).ok());
    file.reset();
    EXPECT_EQ(open().value()->floor(), 6u);
    EXPECT_EQ(open(3).value()->floor(), 6u) << "a floor cannot turn it back";
    EXPECT_EQ(open(9).value()->floor(), 9u);
    EXPECT_EQ(open().value()->floor(), 9u);
}

TEST_F(EspSeqFile, TheEndOfTheNumbersIsTheEnd) {
    auto file = std::move(open(UINT32_MAX - 2u).value());
    SendSequence sequence(false, file->floor());
    uint64_t seq = 0;
    ASSERT_TRUE(file->cover(sequence).ok());
    EXPECT_EQ(sequence.next(&seq), 0);
    EXPECT_EQ(sequence.next(&seq), 0);
    EXPECT_EQ(sequence.next(&seq), EOVERFLOW);
    ASSERT_TRUE(file->cover(sequence).ok());
    EXPECT_EQ(sequence.next(&seq), EOVERFLOW);
    SendSequence extended(true, UINT64_MAX - 1);
    file.reset();
    file = std::move(open(UINT64_MAX - 1).value());
    ASSERT_TRUE(file->cover(extended).ok());
    EXPECT_EQ(extended.next(&seq), 0);
    EXPECT_EQ(extended.next(&seq), EOVERFLOW);
}

TEST_F(EspSeqFile, WhatCannotBeBelievedIsRefusedByName) {
    EXPECT_TRUE(has(said(), "is not there"));
    EXPECT_EQ(said(5), "opened");
    const std::string good = text();
    for (size_t i = 0; i < good.size(); ++i) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 1);
        set_text(bad);
        EXPECT_TRUE(has(said(), "damaged")) << i << ": " << said();
        EXPECT_TRUE(has(said(7), "damaged")) << "a floor does not mend it";
        set_text(good.substr(0, i));
        EXPECT_TRUE(has(said(), "damaged")) << i;
    }
    set_text(good + good);
    EXPECT_TRUE(has(said(), "damaged"));
    set_text(good);
    EXPECT_EQ(said(), "opened");
    EXPECT_TRUE(has(said(std::nullopt, 0x1001), "another SA"));
    ASSERT_EQ(chmod(path_.c_str(), 0602), 0);
    EXPECT_TRUE(has(said(), "chmod o-w"));
    ASSERT_EQ(chmod(path_.c_str(), 0600), 0);
    {
        const Opened first = open();
        ASSERT_TRUE(first.ok());
        EXPECT_TRUE(has(said(), "in use"));
        SendSequence sequence(false, first.value()->floor());
        ASSERT_TRUE(first.value()->cover(sequence).ok());
        EXPECT_TRUE(has(said(), "in use")) << "the lock moves with the file";
    }
    path_ = "/nonexistent/one.seq";
    EXPECT_TRUE(has(said(0), "No such file"));
}

TEST_F(EspSeqFile, ADiskThatTakesNoMoreStopsTheSender) {
    auto file = std::move(open(0).value());
    SendSequence sequence(false, 0);
    ASSERT_TRUE(file->cover(sequence).ok());
    uint64_t seq = 0;
    for (int i = 0; i < 40; ++i) EXPECT_EQ(sequence.next(&seq), 0);
    std::filesystem::create_directory(path_ + ".new");  // nothing can be written there
    const Status covered = file->cover(sequence);
    ASSERT_FALSE(covered.ok());
    EXPECT_TRUE(has(covered.error().text, path_.c_str()));
    while (sequence.next(&seq) == 0) {}
    EXPECT_EQ(seq, 64u);
    std::filesystem::remove(path_ + ".new");
    ASSERT_TRUE(file->cover(sequence).ok());
    EXPECT_EQ(sequence.next(&seq), 0);
}

TEST_F(EspSeqFile, AKeeperCoversASenderThatDoesNotStop) {
    auto file = std::move(open(0, 256).value());
    SendSequence sequence(true, 0);
    ASSERT_TRUE(file->cover(sequence).ok());
    {
        SeqKeeper keeper(*file, sequence);
        for (uint64_t seq = 0; seq < 2000;)
            if (sequence.next(&seq) != 0) sched_yield();
        EXPECT_TRUE(keeper.stop().ok());
    }
    ASSERT_TRUE(file->finish(sequence).ok());
    file.reset();
    EXPECT_EQ(open().value()->floor(), 2000u);
}

// A sender in a process of its own, which tells each number before it would be used, until it is killed.
[[noreturn]] void send_until_killed(const std::string& path, std::optional<uint64_t> floor, int to, bool orderly) {
    auto file = SeqFile::open(path, 0x1000, "aes-gcm-128", floor, 64);
    if (!file.ok()) _exit(2);
    SendSequence sequence(true, file.value()->floor());
    for (uint64_t n = 0; !orderly || n < 50; ++n) {
        if (!file.value()->cover(sequence).ok()) _exit(3);
        uint64_t seq = 0;
        if (sequence.next(&seq) != 0 || write(to, &seq, sizeof(seq)) != sizeof(seq)) _exit(4);
    }
    _exit(file.value()->finish(sequence).ok() ? 0 : 5);
}

TEST_F(EspSeqFile, AKilledSenderNeverRepeatsANumber) {
    std::mt19937_64 random(seed());
    uint64_t last = 0;
    for (int run = 0; run < 15; ++run) {
        int ends[2];
        ASSERT_EQ(pipe(ends), 0);
        const bool orderly = run % 5 == 4;
        const pid_t child = fork();
        if (child == 0) send_until_killed(path_, run == 0 ? std::optional<uint64_t>(0) : std::nullopt, ends[1], orderly);
        close(ends[1]);
        uint64_t seq = 0, first = 0;
        const uint64_t kill_at = orderly ? UINT64_MAX : 1 + random() % 200;
        for (uint64_t n = 1; read(ends[0], &seq, sizeof(seq)) == sizeof(seq); ++n) {
            if (first == 0) first = seq;
            ASSERT_GT(seq, last) << "run " << run;
            last = seq;
            if (n == kill_at) kill(child, SIGKILL);
        }
        close(ends[0]);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_TRUE(orderly ? WIFEXITED(status) && WEXITSTATUS(status) == 0 : WIFSIGNALED(status)) << status;
    }
}

}  // namespace
}  // namespace umbuf::test
