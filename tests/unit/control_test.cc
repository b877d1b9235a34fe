// SPDX-License-Identifier: BSD-2-Clause
// control_test.cc - programs that command by a socket: each line has its answer, in its order, and nobody waits.
#include "app/umfwd/prompt/control.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include "app/umfwd/gateway/book.h"
#include "tests/unit/esp_readers.h"

namespace umbuf::test {
namespace {

using namespace fwd;

// Client - one who does not wait, either.
class Client {
  public:
    explicit Client(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_un to{};
        to.sun_family = AF_UNIX;
        path.copy(to.sun_path, sizeof(to.sun_path) - 1);
        EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0) << strerror(errno);
    }
    ~Client() { close(fd_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    // write - how much was taken.
    size_t write(std::string_view text) const {
        const ssize_t n = send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
        return n < 0 ? 0 : static_cast<size_t>(n);
    }
    void end() const { shutdown(fd_, SHUT_WR); }
    // read - what is there. *closed: and no more will be.
    std::string read(bool* closed = nullptr) const {
        std::string all;
        char part[65536];
        ssize_t n = 0;
        while ((n = recv(fd_, part, sizeof(part), 0)) > 0) all.append(part, static_cast<size_t>(n));
        if (closed != nullptr) *closed = n == 0 || errno != EAGAIN;
        return all;
    }

  private:
    int fd_;
};

class ControlTest : public EspTest {
  protected:
    void SetUp() override {
        EspTest::SetUp();
        db_ = std::move(IpsecDb::make({.sas = 64, .children = 32}, ipsec_mb_engine, readers_.get()).value());
        book_ = std::make_unique<Book>(*db_);
        open();
    }
    void TearDown() override {
        control_.reset();
        book_.reset();
        db_.reset();
        EspTest::TearDown();
    }
    void open() {
        Result<std::unique_ptr<Control>> made = Control::open(path_, nullptr);
        ASSERT_TRUE(made.ok()) << made.error().text;
        control_ = std::move(made.value());
        control_->session().book = book_.get();
        control_->session().now_s = [] { return uint64_t{1000}; };
        book_->tell([this](SaEvent event, const std::string& name) { control_->tell(fmt::format("{} {}", name_of(event), name)); });
    }
    void turn(int n = 3) {
        for (int i = 0; i < n; ++i) control_->serve();
    }
    std::string say(const Client& client, const std::string& text) {
        client.write(text);
        turn();
        return client.read();
    }
    std::string why_not(const std::string& path) {
        const Result<std::unique_ptr<Control>> made = Control::open(path, nullptr);
        return made.ok() ? "" : made.error().text;
    }
    static std::string add(const std::string& name, uint32_t spi) {
        return fmt::format("sa add {} child c in spi {:#x} alg aes-gcm-128 key {:08x}000102030405060708090a0b0c0d0e0f mode transport found-by spi\n", name, spi, spi);
    }
    const std::string path_ = fmt::format("/tmp/um_control_{}", getpid());
    Readers readers_;
    std::unique_ptr<IpsecDb> db_;
    std::unique_ptr<Book> book_;
    std::unique_ptr<Control> control_;
};

TEST_F(ControlTest, EachLineIsAnsweredInItsOrder) {
    const Client client(path_);
    EXPECT_EQ(say(client, "protocol\n\n# nothing\n  \nsa show x\r\npolicy add out action discard\nprotocol # again\n"),
              "umbuf-control 1\nok\nerror: ENOENT: there is no SA \"x\"\npolicy 1\nok\numbuf-control 1\nok\n");
    EXPECT_EQ(say(client, "proto"), "") << "half a line";
    EXPECT_EQ(say(client, "col\n"), "umbuf-control 1\nok\n");
    EXPECT_EQ(say(client, "banana\n").substr(0, 36), "error: ENOENT: \"banana\" is no comman");
    client.write("policy list\nprotocol");
    client.end();
    turn();
    bool closed = false;
    EXPECT_EQ(client.read(&closed), "policy 1 out priority 0 action discard from command\nok\numbuf-control 1\nok\n") << "a last line needs no end";
    EXPECT_TRUE(closed);
}

TEST_F(ControlTest, TheSocketIsItsOwnersAndGoesAtTheEnd) {
    struct stat about {};
    ASSERT_EQ(lstat(path_.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode, static_cast<mode_t>(S_IFSOCK | 0600));
    EXPECT_NE(why_not(path_).find("another program answers there"), std::string::npos);
    control_.reset();
    EXPECT_NE(lstat(path_.c_str(), &about), 0);
    // What a dead program has left.
    const int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path_.copy(at.sun_path, sizeof(at.sun_path) - 1);
    ASSERT_EQ(bind(dead, reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
    close(dead);
    open();
    // Somebody else's is not removed.
    ASSERT_EQ(unlink(path_.c_str()), 0);
    FILE* file = fopen(path_.c_str(), "w");
    ASSERT_NE(file, nullptr);
    fclose(file);
    control_.reset();
    EXPECT_EQ(lstat(path_.c_str(), &about), 0);
    EXPECT_NE(why_not(path_).find("expected no file, or a socket"), std::string::npos);
    unlink(path_.c_str());
    EXPECT_NE(why_not("/nonexistent/socket").find("cannot be made"), std::string::npos);
    EXPECT_NE(why_not("/tmp/" + std::string(120, 'x')).find("expected a path of 1 to 107 bytes"), std::string::npos);
}

TEST_F(ControlTest, EventsComeToThoseWhoWantThemAndBeforeTheAnswer) {
    const Client script(path_), daemon(path_);
    EXPECT_EQ(say(daemon, "events\n"), "ok\n");
    EXPECT_EQ(say(script, add("x", 0x1000)), "ok\n");
    EXPECT_EQ(say(daemon, add("y", 0x1001) + "sa delete y\n"), "ok\nevent gone y\nok\n");
    EXPECT_EQ(say(script, "sa delete all\n"), "ok\n");
    EXPECT_EQ(daemon.read(), "event gone x\n");
    EXPECT_EQ(say(script, add("t", 0x1002).insert(add("t", 0x1002).size() - 1, " hard-seconds 5 soft-seconds 2")), "ok\n");
    book_->poll(1002);
    book_->poll(1005);
    turn();
    EXPECT_EQ(daemon.read(), "event soft t\nevent hard t\n");
    EXPECT_EQ(script.read(), "");
}

TEST_F(ControlTest, ALineThatIsTooLongEndsTheConnectionAndNoOther) {
    const Client client(path_), other(path_);
    EXPECT_EQ(say(client, "protocol" + std::string(Control::kMostLine - 8, ' ') + "\n"), "umbuf-control 1\nok\n") << "the longest";
    client.write(std::string(Control::kMostLine + 1, 'x'));
    turn();
    bool closed = false;
    EXPECT_EQ(client.read(&closed), "error: E2BIG: a line is longer than 4096 bytes\n");
    EXPECT_TRUE(closed);
    EXPECT_EQ(say(other, "protocol\n"), "umbuf-control 1\nok\n");
}

TEST_F(ControlTest, SixteenAreServedAndTheNextIsToldSo) {
    std::vector<std::unique_ptr<Client>> clients;
    for (size_t i = 0; i < Control::kMostClients; ++i) {
        clients.push_back(std::make_unique<Client>(path_));
        turn(1);
    }
    const Client late(path_);
    turn();
    bool closed = false;
    EXPECT_EQ(late.read(&closed), "error: EAGAIN: 16 clients are connected, and no more are served\n");
    EXPECT_TRUE(closed);
    for (const auto& client : clients) EXPECT_EQ(say(*client, "protocol\n"), "umbuf-control 1\nok\n");
    clients.pop_back();
    turn();
    EXPECT_EQ(say(Client(path_), "protocol\n"), "umbuf-control 1\nok\n");
}

// Goal: a client that writes and does not read costs a little memory, and loses nothing; one that is told events
// besides is let go.
// Method: commands with long answers, until no more are taken; then all is read.
TEST_F(ControlTest, WhoDoesNotReadIsNotReadFrom) {
    std::string policies;
    for (int i = 0; i < 40; ++i) policies += "policy add in priority 1 src 10.0.0.1 action discard\n";
    const Client client(path_), daemon(path_), other(path_);
    (void)say(other, policies);
    EXPECT_EQ(say(daemon, "events\n"), "ok\n");
    const std::string once = say(other, "policy list\n"), command = "policy list\n";
    size_t asked = 0, at = 0;
    for (int idle = 0; idle < 10; turn(1)) {
        const size_t took = client.write(std::string_view(command).substr(at));
        at += took;
        idle = took == 0 ? idle + 1 : 0;
        if (at < command.size()) continue;
        at = 0;
        ++asked;
        ASSERT_LT(asked, 20'000u) << "it is read from without end";
    }
    std::string got;
    for (int idle = 0; idle < 10;) {
        turn(1);
        const std::string part = client.read();
        idle = part.empty() ? idle + 1 : 0;
        got += part;
    }
    EXPECT_EQ(got.size(), asked * once.size());
    EXPECT_EQ(got.substr(0, once.size()), once);
    EXPECT_EQ(got.substr(got.size() - once.size()), once);
    // Events that nobody takes.
    for (size_t told = 0; told < 2 * Control::kMostWaiting; told += 1000) control_->tell(std::string(1000, 'e'));
    turn();
    bool closed = false;
    while (!closed) (void)daemon.read(&closed), turn(1);
    EXPECT_EQ(say(other, "protocol\n"), "umbuf-control 1\nok\n");
}

TEST_F(ControlTest, QuitIsAnsweredAndEndsTheProgram) {
    const Client client(path_);
    EXPECT_FALSE(control_->quit());
    EXPECT_EQ(say(client, "quit\nprotocol\n"), "ok\n");
    EXPECT_TRUE(control_->quit());
}

}  // namespace
}  // namespace umbuf::test
