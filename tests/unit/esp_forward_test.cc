// SPDX-License-Identifier: BSD-2-Clause
// esp_forward_test.cc - whole paths through modes: a file into ESP, and a packet that goes two ways.
//
//      mode sendfile --ring--> [looked at, held] --ring--> mode esp-enc --ring--> opened, compared
//      a packet --> mode tee --ring--> mode esp-enc --ring--> opened
//                            `-ring--> in the clear
#include <rte_byteorder.h>

#include "app/umfwd/engines/engine.h"
#include "app/umfwd/engines/sendfile.h"
#include "app/umfwd/settings.h"
#include "tests/unit/esp_fixture.h"
#include "tests/unit/file_fixture.h"
#include "tests/unit/port_fixture.h"

namespace umbuf::test {
namespace {

using fwd::Stream;

constexpr size_t kEther = 14;

std::string hex_of(const std::string& bytes) {
    std::string hex;
    for (const char c : bytes) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", static_cast<unsigned>(static_cast<uint8_t>(c)));
        hex += two;
    }
    return hex;
}

// WireEnd - a port of one ring each way, both in our hands.
struct WireEnd {
    Ring in = make_ring(256), out = make_ring(256);
    std::unique_ptr<Port> port;
    explicit WireEnd(bool unmapped) {
        PortConfig wanted = config_with_zone();
        wanted.unmapped = unmapped;  // the other end is this test, which looks through windows
        port = configured(ring_device({in.get()}, {out.get()}), wanted);
        test::open(*port);
    }
    ~WireEnd() { gone(std::move(port)); }
    WireEnd(const WireEnd&) = delete;
    WireEnd& operator=(const WireEnd&) = delete;
};
Mbuf* take(const Ring& ring) {
    void* p = nullptr;
    return rte_ring_dequeue(ring.get(), &p) == 0 ? Mbuf::of(static_cast<rte_mbuf*>(p)) : nullptr;
}
void give(const Ring& ring, Mbuf* m) { ASSERT_EQ(rte_ring_enqueue(ring.get(), &m->rte), 0); }

class EspForward : public EspTest {
  protected:
    void SetUp() override {
        ArenaConfig c = config();
        c.cache = {64, 8192};
        PageTest::open(c);
        make_lane();
        file_ = std::make_unique<WireEnd>(true);
        esp_ = std::make_unique<WireEnd>(false);
    }
    void TearDown() override {
        for (Stream* s : {&sender_, &encrypter_}) end(*s);
        peer_.reset();
        file_.reset();
        esp_.reset();
        EspTest::TearDown();
    }
    static void end(Stream& s) {
        if (s.state == nullptr) return;
        fwd::find_engine(s.settings->mode)->end(s);
        s.state.reset();
    }
    // encrypt_by - mode esp-enc between the rings of esp_, and who opens what comes out.
    void encrypt_by(const std::string& algorithm) {
        static uint32_t spi = 0x5000;  // a new SA each time: the program keeps the old one
        SaTerms terms = terms_of(algorithm);
        terms.spi = ++spi;
        key_file_ = std::make_unique<NamelessFile>(hex_of(key_for(terms.algorithm)));
        settings_.mode = "esp-enc";
        settings_.esp_seq_floor = 0;
        settings_.esp_sa = "spi " + std::to_string(spi) + " alg " + algorithm + " key " + key_file_->path() + " mode tunnel src 172.16.0.1 dst 172.16.0.2";
        peer_ = sa_of(terms);
        encrypter_.rx_port = encrypter_.tx_port = esp_->port.get();
        begin(encrypter_, settings_);
    }
    static void begin(Stream& s, fwd::Settings& settings) {
        s.burst = 16;
        s.settings = &settings;
        const Status begun = fwd::find_engine(settings.mode)->begin(s);
        ASSERT_TRUE(begun.ok()) << begun.error().text;
    }
    // opened - the IP packet in an ESP frame, opened by the other end. The frame is freed.
    std::string opened(Mbuf* frame) {
        EXPECT_FALSE(m_has_unmapped(frame));
        EXPECT_EQ(frame->rte.ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK, 0u) << "nothing is left to the device";
        m_adj(frame, kEther);
        EXPECT_TRUE(in(*peer_, frame).ok());
        std::string packet = bytes_of(frame);
        m_freem(frame);
        return packet;
    }

    std::unique_ptr<WireEnd> file_, esp_;
    std::unique_ptr<NamelessFile> key_file_;
    std::unique_ptr<Sa> peer_;
    fwd::Settings settings_, file_settings_;
    Stream sender_{}, encrypter_{};
};

// Moved - a packet of the file on its way, held, so that its pages stay where they are.
struct Moved {
    Mbuf* held;
    std::string packet;  // IP, its checksums right
    std::vector<const Page*> pages;
    std::vector<std::string> content;
};

// What a device would be asked for: the fields are anything, and right in what is sent.
void leave_checksums_to_the_device(Mbuf* m) {
    store16(m->data() + kEther + 10, 0xdead);
    store16(m->data() + kEther + 20 + 6, 0xbeef);
    m->rte.ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
}

// Seed 000, pfSense 13938: nginx' sendfile into an IPsec tunnel.
TEST_F(EspForward, R01_AFileThatIsSentIntoEspArrivesAndItsPagesAreAsTheyWere) {
    const std::string bytes = pattern(40 * 8192 + 77, 3);
    const NamelessFile file(bytes);
    for (const std::string& algorithm : {std::string("aes-gcm-128"), std::string("chacha20-poly1305"), std::string("aes-cbc-256+hmac-sha256")})
        for (const bool offload : {false, true}) {
            encrypt_by(algorithm);
            file_settings_.mode = "sendfile";
            file_settings_.sendfile = file.path();
            file_settings_.sendfile_ahead = 4;
            file_settings_.sendfile_checksum = true;
            sender_.rx_port = sender_.tx_port = file_->port.get();
            begin(sender_, file_settings_);
            const WindowCounters was = window_counters();
            const uint64_t faults = faults_caught();
            uint64_t arrived = 0, unmapped = 0;
            while (arrived < bytes.size() && !HasFailure()) {
                fwd::find_engine("sendfile")->burst(sender_);
                std::vector<Moved> moved;
                while (Mbuf* m = take(file_->out)) {
                    Moved one{nullptr, bytes_of(m).substr(kEther), {}, {}};
                    if (offload) leave_checksums_to_the_device(m);
                    one.held = m_copypacket(m, M_NOWAIT);
                    for (const Mbuf* s = m; s != nullptr; s = s->next())
                        if (m_unmapped(s)) one.pages.push_back(page_of(s)), one.content.push_back(page_bytes(page_of(s)));
                    unmapped += one.pages.empty() ? 0 : 1;
                    moved.push_back(one);
                    give(esp_->in, m);
                }
                while (fwd::find_engine("esp-enc")->burst(encrypter_) > 0) {}
                for (const Moved& one : moved) {
                    Mbuf* esp = take(esp_->out);
                    ASSERT_NE(esp, nullptr) << algorithm;
                    EXPECT_EQ(opened(esp), one.packet) << algorithm << (offload ? ", checksums left to the device" : "");
                    for (size_t i = 0; i < one.pages.size(); ++i) EXPECT_EQ(page_bytes(one.pages[i]), one.content[i]) << "a page was written";
                    const std::string payload = one.packet.substr(28 + 16);
                    EXPECT_EQ(payload, bytes.substr(arrived, payload.size()));
                    arrived += payload.size();
                    m_freem(one.held);
                }
            }
            EXPECT_EQ(take(esp_->out), nullptr);
            EXPECT_EQ(arrived, bytes.size());
            EXPECT_GT(unmapped, 200u) << "pages of the file, as they lie";
            const WindowCounters is = window_counters();
            // bytes_of() of this test is a verb, and charged as one: all that the modes did is in the others.
            for (const CopiedFor why : {CopiedFor::ext_pgs_off, CopiedFor::nic, CopiedFor::capture})
                EXPECT_EQ(is.copied_bytes[static_cast<size_t>(why)], was.copied_bytes[static_cast<size_t>(why)]) << name_of(why);
            EXPECT_EQ(faults_caught(), faults);
            end(sender_);
            end(encrypter_);
        }
}

// The copy budget of the same path, with nobody looking on the way: not a byte of the file is copied.
TEST_F(EspForward, R01_OnItsWayIntoEspNoByteOfAFileIsCopied) {
    const std::string bytes = pattern(20 * 8192 + 5, 4);
    const NamelessFile file(bytes);
    for (const bool offload : {false, true}) {
        encrypt_by("aes-gcm-256");
        file_settings_.mode = "sendfile";
        file_settings_.sendfile = file.path();
        sender_.rx_port = sender_.tx_port = file_->port.get();
        begin(sender_, file_settings_);
        const WindowCounters was = window_counters();
        const uint64_t faults = faults_caught();
        std::vector<Mbuf*> frames;
        const size_t packets = (bytes.size() + 1407) / 1408;
        while (frames.size() < packets && !HasFailure()) {
            fwd::find_engine("sendfile")->burst(sender_);
            refs_flush();  // pages go back to the cache
            while (Mbuf* m = take(file_->out)) {
                if (offload) leave_checksums_to_the_device(m);
                give(esp_->in, m);
            }
            fwd::find_engine("esp-enc")->burst(encrypter_);
            while (Mbuf* m = take(esp_->out)) frames.push_back(m);
        }
        const WindowCounters is = window_counters();
        for (const CopiedFor why : {CopiedFor::verb, CopiedFor::ext_pgs_off, CopiedFor::nic, CopiedFor::capture})
            EXPECT_EQ(is.copied_bytes[static_cast<size_t>(why)], was.copied_bytes[static_cast<size_t>(why)]) << name_of(why);
        EXPECT_EQ(faults_caught(), faults);
        std::string arrived;
        for (Mbuf* m : frames) arrived += opened(m).substr(28 + 16);
        EXPECT_EQ(differs(arrived, bytes), std::string::npos);
        end(sender_);
        end(encrypter_);
    }
}

TEST_F(EspForward, R17_TeeIntoEspOnOneBranchAndInTheClearOnTheOtherBothAreRight) {
    for (const bool original_is_encrypted : {false, true}) {
        encrypt_by("aes-gcm-128");
        WireEnd one(false), other(false);
        Stream tee{};
        tee.burst = 16;
        tee.settings = &settings_;
        tee.rx_port = tee.tx_port = one.port.get();
        tee.tee.emplace_back(other.port.get(), "to=1");
        std::vector<std::string> sent, right;
        for (uint32_t i = 0; i < 16; ++i) {
            const std::string packet = udp_packet({.v6 = i % 2 == 0}, 50 + 83 * i, i);
            right.push_back(packet);
            sent.push_back(std::string(12, '\x02') + be16(i % 2 == 0 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4) + packet);
            if (i % 2 != 0) sent.back().replace(kEther + 10, 2, be16(0xdead));  // the device was to make it
            give(one.in, i % 3 == 0 ? clustered(sent.back()) : received(sent.back()));
        }
        ASSERT_EQ(fwd::find_engine("tee")->burst(tee), 16u);
        WireEnd& encrypted = original_is_encrypted ? one : other;
        WireEnd& plain = original_is_encrypted ? other : one;
        while (Mbuf* m = take(encrypted.out)) {
            if (rte_ring_count(esp_->in.get()) % 2 != 0) m->rte.ol_flags |= RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_IPV4;
            give(esp_->in, m);
        }
        ASSERT_EQ(fwd::find_engine("esp-enc")->burst(encrypter_), 16u);
        for (size_t i = 0; i < sent.size(); ++i) {
            Mbuf* clear = take(plain.out);
            Mbuf* esp = take(esp_->out);
            ASSERT_TRUE(clear != nullptr && esp != nullptr);
            EXPECT_EQ(bytes_of(clear), sent[i]) << "the other branch's header was written";
            EXPECT_EQ(opened(esp), right[i]);
            m_freem(clear);
        }
        end(encrypter_);
    }
}

}  // namespace
}  // namespace umbuf::test
