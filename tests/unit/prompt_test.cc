// SPDX-License-Identifier: BSD-2-Clause
// prompt_test.cc - lines, files, pipes and terminals, with a table of commands made for the test.
//
// The readers of standard input run in a child process that has a pipe or a terminal of its own as
// descriptors 0 and 1, so what is tested is what a person sees.
#include "app/umfwd/prompt/prompt.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "app/umfwd/prompt/grammar.h"

namespace umbuf::fwd {
namespace {

// ---- a table that says what it was asked

Status say(Session& session, const std::string& text) {
    session.print(text + "\n");
    return {};
}
Status run_start(Session& session, const Args& args) {
    if (!args.given("tx_first")) return say(session, "start");
    if (!args.given("n")) return say(session, "start first");
    return say(session, "start first " + std::to_string(args.number("n")));
}
Status run_port(Session& session, const Args& args) {
    return say(session, args.word(0) + " " + (args.is_all("port") ? "each" : args.text("port")));
}
Status run_burst(Session& session, const Args& args) {
    return say(session, "burst " + std::to_string(args.number("n")));
}
Status run_peer(Session& session, const Args& args) {
    return say(session, "peer " + args.text("mac"));
}
Status run_fail(Session&, const Args&) {
    return Error{EBUSY, "fail: as asked"};
}
Status run_load(Session& session, const Args& args) {
    return session.load(args.text("file"));
}
Status run_quit(Session& session, const Args&) {
    session.quit = true;
    return {};
}
Status run_crash(Session&, const Args&) {
    abort();
}
Status run_wrong(Session& session, const Args& args) {
    return say(session, args.text("another"));
}

constexpr Command kTable[] = {
    {"start [tx_first [<n:u32>]]", "begin", &run_start},
    {"port (start|stop) <port:u16|all>", "one port or all", &run_port},
    {"set burst <n:u16>", "packets per burst", &run_burst},
    {"set peer <mac:mac>", "an address", &run_peer},
    {"fail", "always", &run_fail},
    {"load <file:str>", "a file", &run_load},
    {"two <a:u16>", "one meaning", &run_burst},
    {"two <b:str>", "and another", &run_burst},
    {"crash", "abort()", &run_crash},
    {"wrong <one:str>", "asks for a value that it does not have", &run_wrong},
    {"quit", "end", &run_quit},
};

struct PromptTest : ::testing::Test {
    std::string output;
    Session session;
    Prompt prompt{kTable, session};

    PromptTest() {
        session.print = [this](const std::string& text) { output += text; };
    }
    std::string run(const std::string& line) {
        output.clear();
        const Status done = prompt.execute(line);
        return done ? output : "error: " + done.error().text;
    }
    std::string file(const std::string& name, const std::string& text) {
        const auto path = std::filesystem::temp_directory_path() /
                          ("umfwd-prompt-" + std::to_string(getpid()) + "-" + name);
        std::ofstream(path) << text;
        files.push_back(path);
        return path.string();
    }
    ~PromptTest() override {
        for (const auto& path : files)
            std::filesystem::remove(path);
    }
    std::vector<std::filesystem::path> files;
};
using PromptDeathTest = PromptTest;

// ---- the grammar

TEST(GrammarTest, AnOptionUnfoldsFromTheInsideOutwards) {
    const auto shapes = shapes_of("start [tx_first [<n:u32>]]");
    ASSERT_EQ(shapes.size(), 3u);
    for (size_t i = 0; i < 3; ++i)
        EXPECT_EQ(shapes[i].size(), i + 1);
    EXPECT_FALSE(shapes[2][0].optional);
    EXPECT_TRUE(shapes[2][1].optional);
    EXPECT_EQ(shapes[2][2].name, "n");
    EXPECT_EQ(shapes_of("a [b c]").size(), 2u);
    EXPECT_EQ(shapes_of("a").size(), 1u);
}

TEST(GrammarTest, ACountIsAtLeastOne) {
    const Word count = shapes_of("<n:count>")[0][0];
    EXPECT_TRUE(count.fits("1"));
    EXPECT_TRUE(count.fits("65535"));
    for (const char* bad : {"0", "0x0", "65536", "-1", "", "all"})
        EXPECT_FALSE(count.fits(bad)) << bad;
}

TEST(GrammarTest, ANumberFitsUpToTheLastOfItsType) {
    const Word u16 = shapes_of("<n:u16>")[0][0];
    for (const char* good : {"0", "1", "65535", "0xffff", "007"})
        EXPECT_TRUE(u16.fits(good)) << good;
    for (const char* bad :
         {"65536", "0x10000", "-1", "+1", "1x", "0x", "", " 1", "all", "18446744073709551616"})
        EXPECT_FALSE(u16.fits(bad)) << bad;
    const Word u32 = shapes_of("<n:u32>")[0][0];
    EXPECT_TRUE(u32.fits("4294967295"));
    EXPECT_FALSE(u32.fits("4294967296"));
    const Word u64 = shapes_of("<n:u64>")[0][0];
    EXPECT_TRUE(u64.fits("18446744073709551615"));
    EXPECT_FALSE(u64.fits("18446744073709551616"));
    const Word port = shapes_of("<n:u16|all>")[0][0];
    EXPECT_TRUE(port.fits("all"));
    EXPECT_TRUE(port.fits("65535"));
    EXPECT_FALSE(port.fits("65536"));
    EXPECT_FALSE(port.fits("al"));
}

TEST(GrammarTest, AnAddressFitsOnlyWhenItIsWhole) {
    const Word mac = shapes_of("<m:mac>")[0][0];
    EXPECT_TRUE(mac.fits("02:00:00:00:00:01"));
    for (const char* bad : {"02:00:00:00:00", "02:00:00:00:00:01:02", "02:00:00:00:00:zz", ""})
        EXPECT_FALSE(mac.fits(bad)) << bad;
}

TEST(GrammarDeathTest, ALineThatMakesNoSenseDiesWithTheLine) {
    EXPECT_DEATH(static_cast<void>(shapes_of("")), "empty");
    EXPECT_DEATH(static_cast<void>(shapes_of("a [b")), "a \\[b.*stays open");
    EXPECT_DEATH(static_cast<void>(shapes_of("a [b] c")), "only the end");
    EXPECT_DEATH(static_cast<void>(shapes_of("a []")), "closes nothing");
    EXPECT_DEATH(static_cast<void>(shapes_of("(a|b")), "stays open");
    EXPECT_DEATH(static_cast<void>(shapes_of("<n>")), "needs a type");
    EXPECT_DEATH(static_cast<void>(shapes_of("<n:u17>")), "no such type");
}

// ---- one line

TEST_F(PromptTest, AnOptionIsGivenOnlyWhenItWasTyped) {
    EXPECT_EQ(run("start"), "start\n");
    EXPECT_EQ(run("start tx_first"), "start first\n");
    EXPECT_EQ(run("start tx_first 0x10"), "start first 16\n");
}

TEST_F(PromptTest, AChoiceIsNamedByItsPositionAndAllIsNoNumber) {
    EXPECT_EQ(run("port stop 3"), "stop 3\n");
    EXPECT_EQ(run("port start all"), "start each\n");
}

TEST_F(PromptTest, BlanksAndCommentsDoNotMatter) {
    EXPECT_EQ(run(""), "");
    EXPECT_EQ(run("   \t "), "");
    EXPECT_EQ(run("# start"), "");
    EXPECT_EQ(run("\t set   burst\t9   # packets\r\n"), "burst 9\n");
    EXPECT_EQ(run("set burst 9#8"), "burst 9\n");
}

TEST_F(PromptTest, TheCommandsErrorIsTheLinesErrorAndIsForgottenByTheNextLine) {
    EXPECT_EQ(run("fail"), "error: fail: as asked");
    EXPECT_EQ(run("start"), "start\n");
    EXPECT_EQ(run(""), "");
}

TEST_F(PromptTest, AnUnknownCommandIsAnsweredWithTheOnesThereAre) {
    EXPECT_EQ(run("strat"),
              "error: \"strat\" is no command; what fits is start, port, set, fail, "
              "load, two, crash, wrong, quit");
    EXPECT_EQ(prompt.execute("strat").error().code, ENOENT);
    EXPECT_EQ(run("START").substr(0, 24), "error: \"START\" is no com");
}

TEST_F(PromptTest, TheFirstWordThatDoesNotFitIsNamedWithWhatFitsThere) {
    EXPECT_EQ(run("set brust 1"),
              "error: set: \"brust\" does not fit here; what fits is burst, peer");
    EXPECT_EQ(run("port begin 99999"),
              "error: port: \"begin\" does not fit here; what fits is start, stop");
    EXPECT_EQ(run("set burst 65536"),
              "error: set burst: \"65536\" does not fit here; what fits is "
              "<n>, a number from 0 to 65535");
    EXPECT_EQ(run("port stop one"),
              "error: port stop: \"one\" does not fit here; what fits is "
              "<port>, a number from 0 to 65535, or \"all\"");
    EXPECT_EQ(run("set peer 02:00"),
              "error: set peer: \"02:00\" does not fit here; what fits is "
              "<mac>, an address such as 02:00:00:00:00:01");
    EXPECT_EQ(prompt.execute("set burst 65536").error().code, EINVAL);
}

TEST_F(PromptTest, ALineThatEndsTooEarlyOrTooLateIsRefused) {
    EXPECT_EQ(run("port stop"),
              "error: port stop: a word is missing at the end; what fits is "
              "<port>, a number from 0 to 65535, or \"all\"");
    EXPECT_EQ(run("quit now"),
              "error: quit: \"now\" is one word too many, the command ends before it");
    EXPECT_FALSE(session.quit);
}

TEST_F(PromptTest, ALineWithTwoMeaningsIsRefused) {
    EXPECT_NE(run("two 1").find("two meanings"), std::string::npos);
    EXPECT_EQ(prompt.execute("two 1").error().code, EINVAL);
}

TEST_F(PromptTest, AVeryLongWordIsOneWord) {
    const std::string name(5000, 'x');
    EXPECT_EQ(run("load " + name).substr(0, 15), "error: xxxxxxxx");
}

TEST_F(PromptDeathTest, AskingForAValueThatIsNotInTheGrammarDies) {
    EXPECT_DEATH(static_cast<void>(prompt.execute("wrong 1")), "no word <another>");
}

// ---- files

TEST_F(PromptTest, AFileGoesOnAfterAnErrorUnlessStrict) {
    const std::string path = file("a", "start\nnonsense\n# comment\n\nset burst 5\n");
    EXPECT_TRUE(prompt.run_file(path, false).ok());
    EXPECT_EQ(output.find("start\n"), 0u);
    EXPECT_NE(output.find(path + ":2: \"nonsense\" is no command"), std::string::npos);
    EXPECT_NE(output.find("burst 5\n"), std::string::npos);

    output.clear();
    const Status strict = prompt.run_file(path, true);
    ASSERT_FALSE(strict.ok());
    EXPECT_EQ(strict.error().text.find(path + ":2: \"nonsense\" is no command"), 0u);
    EXPECT_EQ(output, "start\n");
}

TEST_F(PromptTest, QuitEndsAFile) {
    EXPECT_TRUE(prompt.run_file(file("a", "start\nquit\nset burst 5\n"), true).ok());
    EXPECT_EQ(output, "start\n");
    EXPECT_TRUE(session.quit);
}

TEST_F(PromptTest, TheLastLineOfAFileNeedsNoNewline) {
    EXPECT_TRUE(prompt.run_file(file("a", "start\nset burst 5"), true).ok());
    EXPECT_EQ(output, "start\nburst 5\n");
}

TEST_F(PromptTest, AFileThatCannotBeReadIsNamed) {
    const Status missing = prompt.run_file("/nonexistent/file", false);
    ASSERT_FALSE(missing.ok());
    EXPECT_EQ(missing.error().code, ENOENT);
    EXPECT_EQ(missing.error().text,
              "/nonexistent/file: cannot be opened: No such file or directory");
    EXPECT_FALSE(prompt.run_file("/", false).ok());
    EXPECT_TRUE(prompt.run_file("/dev/null", true).ok());
}

TEST_F(PromptTest, ALoadedFileIsAsStrictAsTheOneThatLoadsIt) {
    const std::string inner = file("inner", "fail\nstart\n");
    const std::string outer = file("outer", "load " + inner + "\nset burst 1\n");
    EXPECT_TRUE(prompt.run_file(outer, false).ok());
    EXPECT_EQ(output, inner + ":1: fail: as asked\nstart\nburst 1\n");
    output.clear();
    const Status strict = prompt.run_file(outer, true);
    ASSERT_FALSE(strict.ok());
    EXPECT_EQ(strict.error().text, outer + ":1: " + inner + ":1: fail: as asked");
    EXPECT_EQ(output, "");
}

TEST_F(PromptTest, AFileThatLoadsItselfEnds) {
    const std::string path = file("self", "");
    std::ofstream(path) << "load " << path << "\n";
    const Status done = prompt.run_file(path, true);
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.error().code, ELOOP);
    EXPECT_FALSE(prompt.run_file(path, true).ok()) << "the depth is counted down again";
    EXPECT_TRUE(prompt.run_file(file("a", "start\n"), true).ok());
}

// ---- standard input

constexpr int kFailed = 3;  // what the child exits with when interact() returned an error
constexpr int kWaitMs = 20'000;

TEST_F(PromptTest, AStopBetweenTwoLinesEndsAFileAndTheFilesAroundIt) {
    int stop[2];
    ASSERT_EQ(pipe2(stop, O_CLOEXEC), 0);
    const std::string inner = file("inner", "set burst 1\nset burst 2\n");
    const std::string outer = file("outer", "load " + inner + "\nset burst 3\n");
    session.print = [&](const std::string& text) {
        output += text;
        if (text == "burst 1\n") {
            EXPECT_EQ(write(stop[1], "x", 1), 1);
        }
    };
    EXPECT_TRUE(prompt.run_file(outer, true, stop[0]).ok());
    EXPECT_EQ(output, "burst 1\n");
    close(stop[0]);
    close(stop[1]);
}

TEST_F(PromptTest, TheTickRunsBetweenTheLinesOfAFile) {
    std::string lines;
    for (int i = 0; i < 1000; ++i)
        lines += "start\n";
    session.print = [](const std::string&) { usleep(1000); };  // a second, if nothing ticks
    int ticks = 0;
    EXPECT_TRUE(prompt
                    .run_file(file("long", lines), true, -1,
                              [&] {
                                  ++ticks;
                                  session.quit = true;
                              })
                    .ok());
    EXPECT_EQ(ticks, 1);
}

// spawn - a process that runs the prompt on these descriptors as its standard input and output.
pid_t spawn(int in, int out, bool strict, int stop_fd = -1,
            std::function<void(Session&)> tick = {}) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    dup2(in, 0);
    dup2(out, 1);
    Session session;
    session.print = [](const std::string& text) {
        fputs(text.c_str(), stdout);
        fflush(stdout);
    };
    Prompt prompt(kTable, session);
    const Status done = prompt.interact(
        stop_fd,
        [&] {
            if (tick) tick(session);
        },
        strict);
    if (!done) session.print("ended: " + done.error().text + "\n");
    session.print(done ? "done\n" : "failed\n");
    _exit(done ? 0 : kFailed);
}

// read_until - what comes out of fd up to and with `mark`; all of it when mark is empty.
std::string read_until(int fd, const std::string& mark) {
    std::string text;
    while (mark.empty() || text.find(mark) == text.npos) {
        pollfd one{fd, POLLIN, 0};
        if (poll(&one, 1, kWaitMs) <= 0) break;
        char c[256];
        const ssize_t n = read(fd, c, mark.empty() ? sizeof c : 1);
        if (n <= 0) break;
        text.append(c, static_cast<size_t>(n));
    }
    return text;
}

// exit_of - a child that does not end by itself is killed, which no test expects.
int exit_of(pid_t pid) {
    int status = 0;
    for (int ms = 0; waitpid(pid, &status, WNOHANG) == 0; ms += 10) {
        if (ms == kWaitMs) kill(pid, SIGKILL);
        usleep(10'000);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct Ended {
    int status;
    std::string output;
};

Ended pipe_in(const std::string& text, bool strict = false) {
    int in[2], out[2];
    EXPECT_EQ(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    EXPECT_EQ(write(in[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    close(in[1]);
    const pid_t pid = spawn(in[0], out[1], strict);
    close(in[0]);
    close(out[1]);
    Ended run{0, read_until(out[0], "")};
    run.status = exit_of(pid);
    close(out[0]);
    return run;
}

TEST(PipeTest, EndOfInputEndsInOrderAndTheEchoReadsLikeASession) {
    const Ended run = pipe_in("start\nset burst 4\n");
    EXPECT_EQ(run.status, 0);
    EXPECT_EQ(run.output, "umfwd> start\nstart\numfwd> set burst 4\nburst 4\numfwd> \ndone\n");
    EXPECT_EQ(pipe_in("").output, "umfwd> \ndone\n");
}

TEST(PipeTest, ALastLineWithoutNewlineRuns) {
    EXPECT_EQ(pipe_in("set burst 4").output, "umfwd> set burst 4\nburst 4\numfwd> \ndone\n");
}

TEST(PipeTest, QuitLeavesTheRestUnread) {
    EXPECT_EQ(pipe_in("quit\nstart\n").output, "umfwd> quit\ndone\n");
}

TEST(PipeTest, AnErrorIsPrintedAndEndsOnlyAStrictRun) {
    const Ended lax = pipe_in("fail\nstart\n");
    EXPECT_EQ(lax.status, 0);
    EXPECT_EQ(lax.output, "umfwd> fail\nfail: as asked\numfwd> start\nstart\numfwd> \ndone\n");
    const Ended strict = pipe_in("start\nfail\nstart\n", true);
    EXPECT_EQ(strict.status, kFailed);
    EXPECT_EQ(strict.output,
              "umfwd> start\nstart\numfwd> fail\n"
              "ended: standard input, line 2: fail: as asked\nfailed\n");
}

TEST(PipeTest, ALineLongerThanAllReasonIsRefused) {
    int in[2], out[2];
    ASSERT_EQ(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    const pid_t pid = spawn(in[0], out[1], false);
    close(in[0]);
    close(out[1]);
    const std::string block(1024, 'x');
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 200 && write(in[1], block.data(), block.size()) > 0; ++i) {
    }
    signal(SIGPIPE, SIG_DFL);
    EXPECT_NE(read_until(out[0], "").find("line 1: longer than 65536 bytes"), std::string::npos);
    EXPECT_EQ(exit_of(pid), kFailed);
    close(in[1]);
    close(out[0]);
}

TEST(PipeTest, TheStopDescriptorEndsItWhileInputStaysOpen) {
    int in[2], out[2], stop[2];
    ASSERT_EQ(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(stop, O_CLOEXEC), 0);
    const pid_t pid = spawn(in[0], out[1], false, stop[0]);
    close(out[1]);
    EXPECT_EQ(read_until(out[0], "umfwd> "), "umfwd> ");
    EXPECT_EQ(write(stop[1], "x", 1), 1);
    EXPECT_EQ(read_until(out[0], ""), "done\n");
    EXPECT_EQ(exit_of(pid), 0);
    for (const int fd : {in[0], in[1], out[0], stop[0], stop[1]})
        close(fd);
}

TEST(PipeTest, TheTickRunsWhileNothingIsTyped) {
    int in[2], out[2];
    ASSERT_EQ(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    int ticks = 0;
    const pid_t pid = spawn(in[0], out[1], false, -1, [&](Session& session) {
        if (++ticks == 3) session.quit = true;
    });
    close(out[1]);
    EXPECT_EQ(read_until(out[0], ""), "umfwd> done\n");
    EXPECT_EQ(exit_of(pid), 0);
    for (const int fd : {in[0], in[1], out[0]})
        close(fd);
}

// ---- a terminal

struct TerminalTest : ::testing::Test {
    int person = -1, program = -1;  // the two ends
    pid_t pid = -1;
    std::string screen;

    void begin(bool strict = false, int stop_fd = -1) {
        ASSERT_EQ(openpty(&person, &program, nullptr, nullptr, nullptr), 0);
        pid = spawn(program, program, strict, stop_fd);
        screen = read_until(person, "umfwd> ");  // the keys are raw from here on
    }
    // press - keys, then everything on the screen up to `mark`.
    std::string press(const std::string& keys, const std::string& mark) {
        EXPECT_EQ(write(person, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
        return read_until(person, mark);
    }
    bool cooked() const {
        termios mode{};
        EXPECT_EQ(tcgetattr(program, &mode), 0);
        return (mode.c_lflag & ICANON) && (mode.c_lflag & ECHO);
    }
    int end() {
        const int status = exit_of(pid);
        pid = -1;
        return status;
    }
    ~TerminalTest() override {
        if (pid > 0) kill(pid, SIGKILL), exit_of(pid);
        close(person);
        close(program);
    }
};
bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != text.npos;
}

TEST_F(TerminalTest, TabCompletesTheWordsOfTheGrammar) {
    begin();
    EXPECT_TRUE(contains(press("po\tsta\ta\t\r", "start each"), "start each"));
    EXPECT_TRUE(contains(press("se\tb\t7\r", "burst 7\r"), "burst 7\r"));
    press("quit\r", "done");
    EXPECT_EQ(end(), 0);
}

TEST_F(TerminalTest, AQuestionMarkShowsWhatMayFollow) {
    begin();
    const std::string shown = press("set ?", "<mac:mac>");
    EXPECT_TRUE(contains(shown, "set burst <n:u16>: packets per burst")) << shown;
    press("\x17quit\r", "done");
    EXPECT_EQ(end(), 0);
}

TEST_F(TerminalTest, TheArrowUpBringsTheLastLineBack) {
    begin();
    EXPECT_TRUE(contains(press("set burst 7\r", "burst 7\r\n"), "burst 7\r\n"));
    read_until(person, "umfwd> ");
    EXPECT_TRUE(contains(press("\x1b[A\r", "burst 7\r\n"), "burst 7\r\n"));
    press("quit\r", "done");
    EXPECT_EQ(end(), 0);
}

TEST_F(TerminalTest, AMistypedLineDoesNotEndEvenAStrictRun) {
    begin(true);
    EXPECT_TRUE(contains(press("fail\r", "fail: as asked"), "fail: as asked"));
    press("quit\r", "done");
    EXPECT_EQ(end(), 0);
}

TEST_F(TerminalTest, TheModeComesBackAfterQuit) {
    begin();
    EXPECT_FALSE(cooked());
    press("quit\r", "done");
    EXPECT_EQ(end(), 0);
    EXPECT_TRUE(cooked());
}

TEST_F(TerminalTest, ControlDOnAnEmptyLineEndsInOrder) {
    begin();
    EXPECT_TRUE(contains(press("\x04", "done"), "done"));
    EXPECT_EQ(end(), 0);
    EXPECT_TRUE(cooked());
}

TEST_F(TerminalTest, TheModeComesBackAfterAStop) {
    int stop[2];
    ASSERT_EQ(pipe2(stop, O_CLOEXEC), 0);
    begin(false, stop[0]);
    EXPECT_FALSE(cooked());
    EXPECT_EQ(write(stop[1], "x", 1), 1);
    EXPECT_EQ(end(), 0);
    EXPECT_TRUE(cooked());
    close(stop[0]);
    close(stop[1]);
}

TEST_F(TerminalTest, TheModeComesBackAfterACrash) {
    begin();
    EXPECT_FALSE(cooked());
    press("crash\r", "crash");
    EXPECT_EQ(end(), 128 + SIGABRT);
    EXPECT_TRUE(cooked());
}

}  // namespace
}  // namespace umbuf::fwd
