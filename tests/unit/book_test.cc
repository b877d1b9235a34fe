// SPDX-License-Identifier: BSD-2-Clause
// book_test.cc - SAs and policies by the words of commands, under packets: what is added is used, what is
// replaced ends in order, what is wrong changes nothing.
#include "app/umfwd/gateway/book.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "app/umfwd/gateway/sa_words.h"
#include "app/umfwd/prompt/sa_commands.h"
#include "tests/unit/conf_file.h"
#include "tests/unit/esp_readers.h"

namespace umbuf::test {
namespace {

using namespace fwd;

// hex_key - of AES-GCM-128 and its salt, another for each number.
std::string hex_key(uint32_t n) { return fmt::format("{:08x}000102030405060708090a0b0c0d0e0f", n); }

// Office - a gateway: database, book, and a person who types.
class Office {
  public:
    explicit Office(rte_rcu_qsbr* readers, IpsecConfig config = {.sas = 64, .children = 32})
        : db(std::move(IpsecDb::make(config, ipsec_mb_engine, readers).value())), book(std::make_unique<Book>(*db)) {
        session.book = book.get();
        session.print = [this](const std::string& text) { said += text; };
        session.now_s = [this] { return now_s; };
        book->tell([this](SaEvent event, const std::string& name) { events += fmt::format("{} {}\n", name_of(event), name); });
    }
    // error - of a command; "": it was done. What it printed is in `said`.
    std::string error(const std::string& line) {
        said.clear();
        const Status done = prompt.execute(line);
        EXPECT_EQ(session.key.size(), 0u) << "no key is kept";
        return done ? "" : done.error().text;
    }
    std::string answer(const std::string& line) {
        EXPECT_EQ(error(line), "") << line;
        return said;
    }
    std::string take_events() { return std::exchange(events, ""); }
    // all - everything that a person can see, but for what time changes.
    std::string all() { return answer("sa show all") + answer("policy list"); }
    const NamedSa& sa(const std::string& name) const {
        const NamedSa* found = book->find(name);
        UM_ASSERT(found != nullptr);
        return *found;
    }

    uint64_t now_s = 1000;
    Session session;
    Prompt prompt{sa_commands(), session};
    std::string said, events;
    std::unique_ptr<IpsecDb> db;
    std::unique_ptr<Book> book;
};

std::string sa_line(const std::string& name, const std::string& child, bool in, uint32_t spi, uint32_t key, const std::string& more = "") {
    return fmt::format("sa add {} child {} {} spi {:#x} alg aes-gcm-128 key {} src 172.16.0.1 dst 172.16.0.2 {} {}", name, child, in ? "in" : "out", spi, hex_key(key),
                       in ? "" : "seq-floor 0", more);
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

class BookTest : public EspTest {
  protected:
    void SetUp() override {
        EspTest::SetUp();
        here = std::make_unique<Office>(readers_.get());
        there = std::make_unique<Office>(readers_.get());
    }
    void TearDown() override {
        here.reset();
        there.reset();
        EspTest::TearDown();
    }
    // tunnel - one way, from here to there.
    void tunnel(const std::string& more = "") {
        there->answer(sa_line("from-a", "a", true, 0x1000, 1));
        here->answer(sa_line("to-b", "b", false, 0x1000, 1, more));
        there->answer("policy add in action protect child a");
        here->answer("policy add out action protect child b");
    }
    // pass - one packet through both. ok: it came out as it went in.
    Xfrm pass() {
        Mbuf* m = clustered(packet_);
        Mbuf* sent = nullptr;
        lane().now_s = here->now_s;
        const Xfrm why = out_of_here(m, &sent);
        return why != Xfrm::ok ? why : into_there(sent);
    }
    Xfrm out_of_here(Mbuf* m, Mbuf** sent) {
        IpsecFate fate;
        ipsec_out(*here->db, lane(), &m, &fate, 1);
        if (fate.way == IpsecWay::esp) *sent = m;
        else m_freem(m);
        return fate.way == IpsecWay::esp ? Xfrm::ok : fate.esp.why;
    }
    Xfrm into_there(Mbuf* m) {
        IpsecFate fate;
        ipsec_in(*there->db, lane(), &m, &fate, 1);
        EXPECT_TRUE(fate.way != IpsecWay::esp || bytes_of(m) == packet_);
        m_freem(m);
        return fate.way == IpsecWay::esp ? Xfrm::ok : fate.esp.why;
    }
    Mbuf* sent() {
        Mbuf* m = nullptr;
        EXPECT_EQ(out_of_here(clustered(packet_), &m), Xfrm::ok);
        return m;
    }
    const std::string packet_ = udp_packet({}, 60);
    Readers readers_;
    std::unique_ptr<Office> here, there;
};

TEST_F(BookTest, WhatIsAddedIsUsedAndWhatIsDeletedIsNot) {
    EXPECT_EQ(pass(), Xfrm::out_blocked);
    tunnel();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(pass(), Xfrm::ok);
    const std::string shown = here->answer("sa show to-b");
    EXPECT_EQ(shown.substr(0, shown.find('\n')), "sa to-b child b out spi 0x1000 alg aes-gcm-128 mode tunnel src 172.16.0.1 dst 172.16.0.2");
    for (const char* line : {"  state current\n", "  from command\n", "  packets 3\n", "  sequence 3\n"}) EXPECT_TRUE(contains(shown, line)) << shown;
    EXPECT_TRUE(contains(there->answer("sa list"), "sa from-a child a in spi 0x1000 alg aes-gcm-128 state current packets 3 "));
    Mbuf* late = sent();
    there->answer("sa delete from-a");
    EXPECT_EQ(there->take_events(), "gone from-a\n");
    EXPECT_EQ(into_there(late), Xfrm::in_no_states);
    here->answer("sa delete to-b");
    EXPECT_EQ(pass(), Xfrm::out_no_states);
    EXPECT_EQ(here->error("sa delete to-b"), "there is no SA \"to-b\"");
    EXPECT_EQ(here->error("sa show to-b"), "there is no SA \"to-b\"");
    here->answer("policy delete all");
    EXPECT_EQ(pass(), Xfrm::out_blocked);
    EXPECT_EQ(here->all() + here->answer("sa list"), "");
}

TEST_F(BookTest, ARefusedPacketIsCountedForItsSaUnderTheKernelsName) {
    tunnel("hard-packets 2");
    Mbuf* first = sent();
    Mbuf* again = clustered(bytes_of(first));
    EXPECT_EQ(into_there(first), Xfrm::ok);
    EXPECT_EQ(into_there(again), Xfrm::in_seq);
    EXPECT_EQ(pass(), Xfrm::ok);
    EXPECT_EQ(pass(), Xfrm::out_expired);
    EXPECT_TRUE(contains(there->answer("sa show from-a"), "  replayed 1\n  XfrmInStateSeqError 1\n")) << there->said;
    EXPECT_TRUE(contains(here->answer("sa show to-b"), "  XfrmOutStateExpired 1\n")) << here->said;
}

// N1: both ends are rekeyed, one after the other, with packets on the wire.
TEST_F(BookTest, N1_ARekeyedSaIsUsedUntilTheOtherIs) {
    tunnel();
    EXPECT_EQ(pass(), Xfrm::ok);
    there->answer("sa rekey from-a spi 0x2000 key " + hex_key(2) + " keep 10");
    Mbuf* on_the_wire = sent();
    EXPECT_EQ(pass(), Xfrm::ok) << "by the old key";
    here->answer("sa rekey to-b spi 0x2000 key " + hex_key(2) + " seq-floor 0");
    EXPECT_EQ(pass(), Xfrm::ok) << "by the new one";
    EXPECT_EQ(into_there(on_the_wire), Xfrm::ok) << "by the old one, which is still there";
    EXPECT_TRUE(contains(there->answer("sa list"), "from-a/0x1000 child a in spi 0x1000 alg aes-gcm-128 state old packets 3 ")) << there->said;
    EXPECT_TRUE(contains(there->said, "from-a child a in spi 0x2000 alg aes-gcm-128 state current packets 1 ")) << there->said;
    here->book->poll(here->now_s);
    EXPECT_EQ(here->take_events(), "gone to-b/0x1000\n");
    there->book->poll(there->now_s + 9);
    EXPECT_EQ(there->take_events(), "");
    there->book->poll(there->now_s + 10);
    EXPECT_EQ(there->take_events(), "gone from-a/0x1000\n");
    EXPECT_EQ(pass(), Xfrm::ok);
    EXPECT_EQ(here->sa("to-b").said.child, "b");
}

TEST_F(BookTest, AnSaThatIsAddedToAChildTakesOverAndTheOldOneStaysUntilItIsDeleted) {
    tunnel();
    there->answer(sa_line("from-a2", "a", true, 0x2000, 2));
    here->answer(sa_line("to-b2", "b", false, 0x2000, 2));
    EXPECT_EQ(pass(), Xfrm::ok);
    EXPECT_TRUE(contains(here->answer("sa list"), "sa to-b child b out spi 0x1000 alg aes-gcm-128 state old packets 0 ")) << here->said;
    EXPECT_TRUE(contains(here->said, "sa to-b2 child b out spi 0x2000 alg aes-gcm-128 state current packets 1 ")) << here->said;
    here->book->poll(here->now_s + 1'000'000);
    EXPECT_EQ(here->take_events(), "");
    EXPECT_TRUE(contains(here->error("sa rekey to-b spi 0x3000 key " + hex_key(3) + " seq-floor 0"), "is old"));
    here->answer("sa delete to-b");
    EXPECT_EQ(pass(), Xfrm::ok);
}

// An outbound SA goes when no lane can have it, and no job of it is in flight.
TEST_F(BookTest, ADeletedOutboundSaLeavesWhenItsLanesHave) {
    tunnel();
    readers_.enter(0);
    const SaId id = here->sa("to-b").id;
    here->db->sad().begin_work(id.id, 1);
    here->answer("sa delete to-b");
    here->book->poll(here->now_s);
    EXPECT_EQ(here->book->leaving(), 1u) << "the lane may have it";
    readers_.quiescent(0);
    here->book->poll(here->now_s);
    EXPECT_EQ(here->book->leaving(), 0u);
    readers_.quiescent(0);
    here->book->poll(here->now_s);
    EXPECT_NE(here->db->sad().resolve(id.id, id.generation), nullptr) << "a job of it is in flight";
    here->db->sad().end_work(id.id, 1);
    here->book->poll(here->now_s);
    EXPECT_EQ(here->db->sad().resolve(id.id, id.generation), nullptr);
    readers_.leave(0);
}

// N3
TEST_F(BookTest, N3_NoKeySendsANumberTwice) {
    tunnel();
    for (int i = 0; i < 5; ++i) EXPECT_EQ(pass(), Xfrm::ok);
    const auto add = [&](const std::string& name, uint32_t key, const std::string& more) {
        return here->error(fmt::format("sa add {} child c out spi 0x1001 alg aes-gcm-128 key {} src 172.16.0.1 dst 172.16.0.2 {}", name, hex_key(key), more));
    };
    EXPECT_TRUE(contains(add("x", 7, ""), "expected seq-floor"));
    EXPECT_TRUE(contains(add("x", 1, "seq-floor 0"), "expected another key, or nonces would be used twice, than that of SA \"to-b\""));
    EXPECT_TRUE(contains(here->error("sa rekey to-b spi 0x1001 key " + hex_key(1) + " seq-floor 0"), "expected another key"));
    EXPECT_TRUE(contains(here->error("sa rekey to-b spi 0x1001 key " + hex_key(2)), "expected seq-floor"));
    here->answer("sa delete to-b");
    EXPECT_TRUE(contains(add("x", 1, "seq-floor 0"), "this key has sent the numbers up to 5 here: expected another key, or seq-floor 5"));
    EXPECT_TRUE(contains(add("x", 1, "seq-floor 4"), "seq-floor 5"));
    EXPECT_EQ(add("x", 1, "seq-floor 5"), "");
    EXPECT_TRUE(contains(here->answer("sa show x"), "  sequence 5\n"));
    // Where the IV is not the number, a key may begin again.
    const std::string cbc = "child d out spi 0x3000 alg aes-cbc-128+hmac-sha1 key " + std::string(72, '1') + " src 172.16.0.1 dst 172.16.0.2";
    EXPECT_EQ(here->error("sa add d1 " + cbc), "");
    EXPECT_EQ(here->error("sa add d2 " + cbc), "");
}

TEST_F(BookTest, N3_ASequenceFileRemembersWhatAnSaHasSent) {
    const std::string file = (std::filesystem::temp_directory_path() / fmt::format("um_seq_{}", getpid())).string();
    std::filesystem::remove(file);
    const auto add = [&](const std::string& more) {
        return here->error(fmt::format("sa add to-b child b out spi 0x1000 alg aes-gcm-128 key {} src 172.16.0.1 dst 172.16.0.2 seq-file {} {}", hex_key(1), file, more));
    };
    there->answer(sa_line("from-a", "a", true, 0x1000, 1));
    there->answer("policy add in action protect child a");
    here->answer("policy add out action protect child b");
    EXPECT_TRUE(contains(add(""), "is not there"));
    EXPECT_EQ(add("seq-floor 40"), "");
    EXPECT_EQ(pass(), Xfrm::ok);
    EXPECT_TRUE(contains(here->error("sa add y child b out spi 0x1000 alg aes-gcm-128 key " + hex_key(9) + " src 172.16.0.1 dst 172.16.0.2 seq-file " + file), "is in use"));
    here->answer("sa delete to-b");
    EXPECT_TRUE(contains(file_text(file), " last 41 ")) << file_text(file);
    EXPECT_EQ(add(""), "");
    {
        // Also with a lane that turns: who says it again at once waits until it has left.
        std::jthread turning([this](const std::stop_token& end) {
            for (readers_.enter(0); !end.stop_requested(); sched_yield()) readers_.quiescent(0);
            readers_.leave(0);
        });
        for (int i = 0; i < 8; ++i) {
            here->answer("sa delete to-b");
            EXPECT_EQ(add(""), "") << i;
        }
    }
    EXPECT_EQ(pass(), Xfrm::ok);
    EXPECT_TRUE(contains(here->answer("sa show to-b"), "  sequence 42\n"));
    here->book.reset();  // the halt
    EXPECT_TRUE(contains(file_text(file), " last 42 ")) << file_text(file);
    std::filesystem::remove(file);
}

TEST_F(BookTest, LimitsAreToldOnceAndADeadSaIsSeenBeforeItGoes) {
    tunnel("soft-packets 2 hard-packets 4 soft-seconds 500");
    EXPECT_EQ(pass(), Xfrm::ok);
    here->book->poll(here->now_s);
    EXPECT_EQ(here->take_events(), "");
    EXPECT_EQ(pass(), Xfrm::ok);
    EXPECT_EQ(pass(), Xfrm::ok);
    here->book->poll(here->now_s);
    here->book->poll(here->now_s);
    EXPECT_EQ(here->take_events(), "soft to-b\n");
    EXPECT_TRUE(contains(here->answer("sa show to-b"), "  soft reached\n"));
    EXPECT_EQ(pass(), Xfrm::ok);
    EXPECT_EQ(pass(), Xfrm::out_expired);
    here->book->poll(here->now_s);
    here->book->poll(here->now_s + Book::kKeep_s - 1);
    EXPECT_EQ(here->take_events(), "hard to-b\n");
    EXPECT_TRUE(contains(here->answer("sa show to-b"), "  state expired\n"));
    EXPECT_EQ(pass(), Xfrm::out_expired);
    here->book->poll(here->now_s + Book::kKeep_s);
    EXPECT_EQ(here->take_events(), "gone to-b\n");
    EXPECT_EQ(pass(), Xfrm::out_no_states);
    // By the clock, idle or not.
    here->answer(sa_line("timed", "b", false, 0x1000, 5, "soft-seconds 10 hard-seconds 20"));
    for (const uint64_t age : {9u, 10u, 19u, 20u}) {
        here->book->poll(here->now_s + age);
        EXPECT_EQ(here->take_events(), age == 10 ? "soft timed\n" : age == 20 ? "hard timed\n" : "") << age;
    }
}

TEST_F(BookTest, IdleIsTheTimeSinceAPacketPassed) {
    tunnel();
    EXPECT_TRUE(contains(here->answer("sa show to-b"), "  age 0\n  idle never\n"));
    EXPECT_EQ(pass(), Xfrm::ok);
    here->book->poll(here->now_s += 3);
    here->book->poll(here->now_s += 4);
    EXPECT_TRUE(contains(here->answer("sa show to-b"), "  age 7\n  idle 4\n")) << here->said;
}

TEST_F(BookTest, PoliciesAreAskedByPriorityAndThenAsTheyWereAdded) {
    EXPECT_EQ(here->answer("policy add name last out priority 9 action discard"), "policy 1\n");
    EXPECT_EQ(here->answer("policy add out src 10.0.0.0/8 protocol udp dport 2222 action bypass"), "policy 2\n");
    EXPECT_EQ(here->answer("policy add out action protect child b"), "policy 3\n");
    EXPECT_EQ(here->answer("policy list"),
              "policy 2 out priority 0 src 10.0.0.0-10.255.255.255 protocol 17 dport 2222 action bypass from command\n"
              "policy 3 out priority 0 action protect child b from command\n"
              "policy 1 name last out priority 9 action discard from command\n");
    const auto way = [&] {
        Mbuf* m = clustered(packet_);
        IpsecFate fate;
        ipsec_out(*here->db, lane(), &m, &fate, 1);
        m_freem(m);
        return fate.way == IpsecWay::bypass ? Xfrm::ok : fate.esp.why;
    };
    EXPECT_EQ(way(), Xfrm::ok);
    here->answer("policy delete 2");
    EXPECT_EQ(way(), Xfrm::out_no_states);
    here->answer("policy delete 3");
    EXPECT_EQ(way(), Xfrm::out_blocked);
    EXPECT_EQ(here->error("policy delete 3"), "there is no policy 3");
    EXPECT_EQ(here->error("policy add name last in action discard"), "there is a policy \"last\"");
    here->answer("policy delete last");
    EXPECT_EQ(here->error("policy delete last"), "there is no policy \"last\"");
    EXPECT_EQ(here->answer("policy add in action discard"), "policy 4\n") << "no number is used again";
}

// ---- words

TEST_F(BookTest, WordsThatAreWrongChangeNothingAndAreNamed) {
    tunnel();
    const std::string before = here->all();
    const std::string good = "x child c out spi 0x2000 alg aes-gcm-128 key " + hex_key(5) + " src 172.16.0.1 dst 172.16.0.2 seq-floor 0";
    struct Row {
        std::string line;
        const char* expected;
    };
    const Row rows[] = {
        {"sa add " + good + " colour blue", "\"colour blue\" is not understood here"},
        {"sa add " + good + " esn esn", "\"esn\" is there twice"},
        {"sa add " + good + " window 64", "\"window\" is out of place: an outbound SA receives nothing"},
        {"sa add " + good + " keep 3", "\"keep 3\" is not understood here"},
        {"sa add " + good + " keyfile /nonexistent", "/nonexistent"},
        {"sa add to-b child c in spi 0x2000 alg aes-gcm-128 key " + hex_key(5) + " src 172.16.0.1 dst 172.16.0.2", "there is an SA \"to-b\""},
        {"sa add to/b child c out", "\"to/b\": expected a name"},
        {"sa add all child c out", "\"all\": expected a name"},
        {"sa add x out spi 0x2000", "expected child"},
        {"sa add x child c spi 0x2000", "expected in or out"},
        {"sa add x child c out alg aes-gcm-128", "expected spi"},
        {"sa add x child c out spi 255", "256 to 4294967295"},
        {"sa add x child c out spi 0x2000", "expected alg"},
        {"sa add x child c out spi 0x2000 alg rot13", "chacha20-poly1305"},
        {"sa add x child c out spi 0x2000 alg aes-gcm-128", "expected key"},
        {"sa add x child c out spi 0x2000 alg aes-gcm-128 key 0011", "a key of 2 bytes: expected 20"},
        {"sa add x child c out spi 0x2000 alg aes-gcm-128 key 001", "hexadecimal digits are no bytes"},
        {"sa add x child c out spi 0x2000 alg aes-gcm-128 key " + hex_key(5), "expected src and dst"},
        {"sa add x child c out spi 0x2000 alg aes-gcm-128 mode transport src 10.0.0.1 dst fd00::1 key " + hex_key(5), "one family"},
        {"sa add x child c out spi 0x2000 alg aes-gcm-128 mode transport ttl 3 key " + hex_key(5), "\"ttl\" is out of place: transport mode"},
        {"sa add x child c in spi 0x2000 alg aes-gcm-128 seq-floor 0 mode transport key " + hex_key(5), "\"seq-floor\" is out of place"},
        {"sa add x child c in spi 0x2000 alg aes-gcm-128 nat-oa 10.0.0.1 10.0.0.2 mode transport key " + hex_key(5), "\"nat-oa\" is out of place"},
        {"sa add x child c in spi 0x2000 alg aes-gcm-128 found-by spi-dst mode transport key " + hex_key(5), "expected dst to find the SA by"},
        {"sa add x child c in spi 0x2000 alg aes-gcm-128 found-by name mode transport key " + hex_key(5), "\"found-by name\": expected spi, spi-dst or spi-dst-src"},
        {"sa rekey to-b spi 0x2000 key " + hex_key(5) + " child c", "\"child c\" is not understood here"},
        {"sa rekey nobody spi 0x2000 key " + hex_key(5), "there is no SA \"nobody\""},
        {"policy add in", "expected action"},
        {"policy add action bypass", "expected in or out"},
        {"policy add in action protect", "expected child"},
        {"policy add in action bypass child c", "\"child\" is out of place"},
        {"policy add in action maybe", "\"action maybe\": expected protect, bypass or discard"},
        {"policy add in src 10.1.0.1/16 action bypass", "\"src 10.1.0.1/16\": expected any, a network"},
        {"policy add in src 10.0.0.0/8 dst fd00::/8 action bypass", ""},
        {"policy add in dport 1-2 action bypass", ""},
        {"policy add in protocol udp type 8 action bypass", "icmp"},
        {"policy add in protocol icmp type 8-9 code 1 action bypass", "one type"},
        {"reload", "no configuration file"},
    };
    for (const Row& row : rows) {
        const std::string error = here->error(row.line);
        EXPECT_NE(error, "") << row.line;
        EXPECT_TRUE(contains(error, row.expected)) << row.line << "\n" << error;
        EXPECT_FALSE(contains(error, "0102030405")) << "no key in an error: " << error;
    }
    EXPECT_EQ(here->all(), before);
    EXPECT_EQ(here->error("sa add " + good), "") << "the row they are made of is right";
}

TEST_F(BookTest, AnSaAndAPolicyAreSaidAgainInTheSameWords) {
    for (const char* words : {"child c in spi 0x100 alg aes-gcm-256 mode transport udp 4500 4501 nat-oa 10.0.0.1 10.0.0.2 window 128",
                              "child c in spi 0x100 alg aes-gcm-256 mode tunnel src fd00::1 dst fd00::2 esn df set soft-packets 5 found-by spi-dst-src",
                              "child c in spi 0x100 alg aes-gcm-256 mode tunnel src 10.0.0.1 dst 10.0.0.2 found-by spi"}) {
        here->answer(fmt::format("sa add s {} key {}", words, std::string(72, 'a')));
        EXPECT_TRUE(contains(here->answer("sa show s"), fmt::format("sa s {}\n", words))) << here->said;
        here->answer("sa delete s");
    }
    for (const char* words : {"in priority 3 src 10.0.0.1 dst 10.0.0.2-10.0.0.9 protocol 6 sport 1-2 dport 3 action discard",
                              "out priority 0 protocol 1 type 8 code 0 action bypass", "out priority 0 protocol 58 type 128-129 action bypass",
                              "out priority 1 protocol 17 sport opaque dport opaque action discard", "name n in priority 0 src ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff action protect child c", "in priority 0 protocol opaque action discard"}) {
        const std::string number = here->answer(fmt::format("policy add {}", words));
        EXPECT_EQ(here->answer("policy list"), number.substr(0, number.size() - 1) + fmt::format(" {} from command\n", words));
        here->answer("policy delete all");
    }
}

TEST(LiftKey, AKeyIsTakenOutOfALineAndStarsStay) {
    const auto lifted = [](std::string line, Secret* key = nullptr) {
        EXPECT_TRUE(lift_key(line, key).ok());
        return line;
    };
    Secret key;
    EXPECT_EQ(lifted("sa add x child c key 00ff11 src 1.2.3.4", &key), "sa add x child c key ****** src 1.2.3.4");
    EXPECT_EQ(text_of(key.data(), key.size()), "00ff11");
    EXPECT_EQ(lifted("  sa\trekey x key\t12"), "  sa\trekey x key\t**");
    EXPECT_EQ(lifted("sa rekey x key 12 key 34", &key), "sa rekey x key ** key **");
    EXPECT_EQ(lifted("sa rekey x key"), "sa rekey x key");
    EXPECT_EQ(lifted("sa rekey x keyfile secret"), "sa rekey x keyfile secret");
    EXPECT_EQ(lifted("show key port"), "show key port");
    EXPECT_EQ(lifted(""), "");
}

// ---- a file

std::string sa_table(const std::string& name, const std::string& child, bool in, uint32_t spi, uint32_t key, const std::string& more = "") {
    return fmt::format("[[sa]]\nname = \"{}\"\nchild = \"{}\"\ndirection = \"{}\"\nspi = {}\nalg = \"aes-gcm-128\"\nkey = \"{}\"\nsrc = \"172.16.0.1\"\n"
                       "dst = \"172.16.0.2\"\n{}{}\n",
                       name, child, in ? "in" : "out", spi, hex_key(key), in ? "" : "seq_floor = 0\n", more);
}
std::string policy_table(const char* direction, const std::string& child) {
    return fmt::format("[[policy]]\ndirection = \"{}\"\naction = \"protect\"\nchild = \"{}\"\n", direction, child);
}

class BookFile : public BookTest {
  protected:
    void write(const std::string& text) {
        FILE* file = fopen(file_.path().c_str(), "w");
        ASSERT_NE(file, nullptr);
        fwrite(text.data(), 1, text.size(), file);
        fclose(file);
    }
    std::string load(const std::string& text) {
        write(text);
        const ConfRead read = file_.read();
        EXPECT_NE(read.conf, nullptr) << (read.errors.empty() ? "" : read.errors.front());
        const Status loaded = here->book->load(read.conf, here->now_s);
        return loaded ? "" : loaded.error().text;
    }
    // reload - as a person asks for it.
    std::string reload(const std::string& text) {
        write(text);
        const std::string error = here->error("reload");
        return here->said + error;
    }
    void far_end() {
        there->answer(sa_line("from-a", "a", true, 0x1000, 1));
        there->answer("policy add in action protect child a");
    }
    const std::string base_ = sa_table("to-b", "b", false, 0x1000, 1) + sa_table("from-b", "b", true, 0x1001, 2) + policy_table("out", "b") + policy_table("in", "b");
    ConfFile file_{""};
};

// N4
TEST_F(BookFile, N4_WhatIsSaidAgainGoesOnAsItIs) {
    EXPECT_EQ(load(base_), "");
    far_end();
    EXPECT_EQ(pass(), Xfrm::ok);
    const SaId out = here->sa("to-b").id, in = here->sa("from-b").id;
    EXPECT_EQ(reload("# the same, elsewhere\n\n" + base_), "");
    EXPECT_EQ(here->sa("to-b").id, out);
    EXPECT_EQ(here->sa("from-b").id, in);
    EXPECT_EQ(pass(), Xfrm::ok);
    EXPECT_TRUE(contains(here->answer("sa show to-b"), "  from file\n"));
    EXPECT_TRUE(contains(here->said, "  sequence 2\n"));
    EXPECT_EQ(here->take_events(), "");
    EXPECT_EQ(here->book->policies().size(), 2u);
}

TEST_F(BookFile, AReloadAddsRemovesAndRekeys) {
    EXPECT_EQ(load(base_), "");
    far_end();
    there->answer("sa rekey from-a spi 0x2000 key " + hex_key(11));
    EXPECT_EQ(pass(), Xfrm::ok);
    EXPECT_EQ(reload(sa_table("to-b", "b", false, 0x2000, 11) + sa_table("new", "c", true, 0x3000, 3) + policy_table("out", "b")), "");
    EXPECT_EQ(pass(), Xfrm::ok) << "by the new key";
    here->book->poll(here->now_s);
    EXPECT_EQ(here->take_events(), "gone from-b\ngone to-b/0x1000\n");
    EXPECT_EQ(here->sa("new").said.child, "c");
    EXPECT_EQ(here->book->policies().size(), 1u);
    EXPECT_EQ(reload("[ipsec]\nsas = 64\n"), "");
    EXPECT_EQ(here->all(), "");
}

TEST_F(BookFile, WhatCommandsHaveMadeStaysBesideTheFile) {
    EXPECT_EQ(load(base_), "");
    far_end();
    here->answer(sa_line("by-hand", "d", false, 0x4000, 4));
    here->answer("policy add name hand out priority 7 action protect child d");
    here->answer("sa rekey to-b spi 0x2000 key " + hex_key(12) + " seq-floor 0");
    EXPECT_EQ(reload(base_ + sa_table("new", "c", true, 0x3000, 3)), "");
    EXPECT_EQ(here->sa("by-hand").said.child, "d");
    EXPECT_EQ(here->sa("to-b").said.terms.spi, 0x2000u) << "the file says the same, so the rekeyed one stays";
    EXPECT_TRUE(contains(here->answer("policy list"), "name hand out priority 7 action protect child d from command\n"));
    EXPECT_TRUE(contains(reload(base_ + sa_table("by-hand", "d", false, 0x4000, 44)), "sa \"by-hand\": a command has made an SA of this name"));
    // A key that was used here does not begin again because a file says so.
    EXPECT_EQ(reload(base_), "");
    here->answer("sa delete from-b");
    EXPECT_EQ(reload(base_), "") << "an inbound one may";
    here->answer("sa rekey to-b spi 0x2001 key " + hex_key(13) + " seq-floor 0");
    here->answer("sa delete to-b");
    here->book->poll(here->now_s);
    EXPECT_EQ(reload(base_), "") << "nothing was sent with it";
    EXPECT_EQ(pass(), Xfrm::ok);
    here->answer("sa delete to-b");
    EXPECT_TRUE(contains(reload(base_), "sa \"to-b\": this key has sent the numbers up to 1 here"));
}

// N2
TEST_F(BookFile, N2_AFileWithAnErrorChangesNothing) {
    EXPECT_EQ(load(base_), "");
    far_end();
    EXPECT_EQ(pass(), Xfrm::ok);
    here->answer(sa_line("by-hand", "d", true, 0x4000, 4));
    const std::string before = here->all();
    const uint32_t children = here->db->children.has({0, 1}) ? 1 : 0;
    const std::string fresh = sa_table("fresh-in", "e", true, 0x5000, 50) + sa_table("fresh-out", "e", false, 0x5001, 51);
    std::string many;
    for (int i = 0; i < 70; ++i) many += sa_table(fmt::format("n{}", i), "e", true, 0x6000 + static_cast<uint32_t>(i), 600 + static_cast<uint32_t>(i));
    struct Row {
        std::string text, expected;
    };
    const Row rows[] = {
        {base_ + fresh + "[[sa]]\nspy = 1\n", "has "},                                                                       // no TOML that we know
        {base_ + fresh + "[[", "this is no TOML"},
        {base_ + fresh + sa_table("again", "e", true, 0x5000, 52), "expected another SPI"},                                  // checked as a file
        {fresh + base_ + sa_table("thief", "e", true, 0x4000, 53), "sa \"thief\": expected another SPI than 0x4000"},        // only the database knows
        {fresh + sa_table("to-b", "b", false, 0x1000, 1, "esn = true\n"), "sa \"to-b\": it has changed: expected another key"},
        {fresh + sa_table("from-b", "b", true, 0x1001, 22), "sa \"from-b\": its key has changed: expected another SPI"},
        {"[ipsec]\nsas = 100\n" + base_ + many, "all 64 SAs are in use"},
        {fresh + base_ + "[[policy]]\ndirection = \"out\"\naction = \"discard\"\nsrc = \"10.0.0.1-10.255.255.254\"\ndst = \"10.0.0.1-10.255.255.254\"\n"
                         "[[policy]]\ndirection = \"out\"\naction = \"discard\"\nsrc = \"fd00::1-fdff:ffff:ffff:ffff:ffff:ffff:ffff:fffe\"\n"
                         "dst = \"fd00::1-fdff:ffff:ffff:ffff:ffff:ffff:ffff:fffe\"\n",
         "at most 4096 are taken"},
    };
    for (const Row& row : rows) {
        const std::string error = reload(row.text);
        EXPECT_TRUE(contains(error, row.expected)) << row.expected << "\n" << error;
        EXPECT_EQ(here->all(), before) << row.expected;
        EXPECT_EQ(here->db->sad().sas().size(), 3u) << row.expected;
        EXPECT_EQ(here->db->spd.policies().size(), 4u) << row.expected << ": two, of both families";
    }
    EXPECT_EQ(here->db->children.has({0, 1}) ? 1u : 0u, children);
    EXPECT_EQ(pass(), Xfrm::ok);
    EXPECT_EQ(here->take_events(), "");
    EXPECT_EQ(reload(base_ + fresh), "") << "and what was wrong before can be right now";
}

// ---- under load

// Goal: rekeying by commands under load loses, doubles and reorders nothing.
// Method: a lane encrypts numbered packets of many flows here, in an order by chance, and opens there what it sent a
// few bursts ago, as if it had been on the wire. Meanwhile the control thread rekeys child after child: inbound there,
// outbound here, and deletes the old inbound one when the wire is empty of it. Each flow's numbers come out one by one.
TEST_F(BookTest, RekeysByCommandsUnderLoadLoseNothing) {
    constexpr uint32_t kFlows = 100, kRounds = 2, kWire = 4;
    const uint32_t seed = std::random_device()();
    SCOPED_TRACE("seed " + std::to_string(seed));
    here = std::make_unique<Office>(readers_.get(), IpsecConfig{.sas = 4 * kFlows, .children = kFlows});
    there = std::make_unique<Office>(readers_.get(), IpsecConfig{.sas = 4 * kFlows, .children = kFlows});
    uint32_t spi = 0x1000;
    for (uint32_t f = 0; f < kFlows; ++f, ++spi) {
        there->answer(sa_line(fmt::format("in{}", f), fmt::format("c{}", f), true, spi, spi));
        here->answer(sa_line(fmt::format("out{}", f), fmt::format("c{}", f), false, spi, spi));
    }
    for (uint32_t f = 0; f < kFlows; ++f)
        for (const bool in : {true, false}) (in ? there : here)->answer(fmt::format("policy add {} protocol udp dport {} action protect child c{}", in ? "in" : "out", 1000 + f, f));
    std::atomic<bool> end{false};
    std::atomic<uint64_t> rounds{0};
    uint64_t sent = 0, lost = 0, misordered = 0, opened = 0;
    std::jthread traffic([&] {
        ASSERT_EQ(rte_thread_register(), 0);
        readers_.enter(0);
        std::mt19937 chance(seed);
        std::vector<uint32_t> next(kFlows), expected(kFlows);
        std::deque<std::vector<Mbuf*>> wire;
        const auto open_one = [&] {
            std::vector<Mbuf*> burst = std::move(wire.front());
            wire.pop_front();
            IpsecFate fates[kEspBurst];
            ipsec_in(*there->db, lane(), burst.data(), fates, static_cast<uint16_t>(burst.size()));
            for (size_t i = 0; i < burst.size(); ++i) {
                std::byte head[12];
                if (fates[i].way != IpsecWay::esp || m_copydata(burst[i], 20, 12, head) != 0) {
                    ++lost;
                } else {
                    const uint32_t flow = load16(head + 2) - 1000u;
                    if (load32(head + 8) != expected[flow]++) ++misordered;
                    ++opened;
                }
                m_freem(burst[i]);
            }
        };
        while (!end.load()) {
            std::vector<Mbuf*> burst(16);
            IpsecFate fates[16];
            for (Mbuf*& m : burst) {
                const auto flow = static_cast<uint32_t>(chance() % kFlows);
                m = clustered(ip_packet({}, be16(1) + be16(1000 + flow) + be16(40) + be16(0) + be32(next[flow]++) + pattern(28)));
            }
            ipsec_out(*here->db, lane(), burst.data(), fates, 16);
            for (const IpsecFate& fate : fates)
                if (fate.way != IpsecWay::esp) ++lost;
            sent += 16;
            wire.push_back(std::move(burst));
            if (wire.size() > kWire) open_one();
            readers_.quiescent(0);
            rounds.fetch_add(1);
            sched_yield();
        }
        while (!wire.empty()) open_one();
        readers_.leave(0);
        rte_thread_unregister();
    });
    uint64_t rekeyed = 0;
    for (uint32_t round = 0; round < kRounds; ++round)
        for (uint32_t f = 0; f < kFlows; ++f, ++spi, ++rekeyed) {
            const std::string words = fmt::format("spi {:#x} key {} src 172.16.0.1", spi, hex_key(spi)), old = fmt::format("in{}/{:#x}", f, there->sa(fmt::format("in{}", f)).said.terms.spi);
            there->answer(fmt::format("sa rekey in{} {}", f, words));
            here->answer(fmt::format("sa rekey out{} {} seq-floor 0", f, words));
            const uint64_t then = rounds.load();
            while (rounds.load() < then + kWire + 3) sched_yield();
            there->answer("sa delete " + old);
            here->book->poll(here->now_s);
            there->book->poll(there->now_s);
        }
    end.store(true);
    traffic.join();
    EXPECT_EQ(rekeyed, uint64_t{kFlows} * kRounds);
    EXPECT_EQ(lost, 0u);
    EXPECT_EQ(misordered, 0u);
    EXPECT_EQ(opened, sent);
    EXPECT_EQ(there->book->sas().size(), kFlows);
    EXPECT_EQ(here->book->sas().size(), kFlows);
}

}  // namespace
}  // namespace umbuf::test
