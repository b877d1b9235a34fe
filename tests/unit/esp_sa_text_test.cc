// SPDX-License-Identifier: BSD-2-Clause
// esp_sa_text_test.cc - an SA in words, and what is said when they are wrong; a key in a file.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "lib/ipsec/sa_text.h"
#include "tests/unit/esp_fixture.h"

namespace umbuf::test {
namespace {

constexpr const char* kTunnel = "spi 0x1000 alg aes-gcm-128 key K mode tunnel src 172.16.0.1 dst 172.16.0.2";

TEST(EspSaText, EveryWordIsUnderstood) {
    const Result<SaText> sa = parse_sa("spi 4096 alg aes-cbc-256+hmac-sha512 key /a/b mode transport esn window 512 udp 4500 31000 nat-oa 10.1.2.3 10.1.2.4 df set dscp 46 "
                                       "ttl 9 no-ecn flow 0x12345 decap-dscp soft-bytes 1 soft-packets 2 soft-seconds 3 hard-bytes 4 "
                                       "hard-packets 5 hard-seconds 6");
    ASSERT_TRUE(sa.ok()) << sa.error().text;
    const SaTerms& t = sa.value().terms;
    EXPECT_EQ(t.spi, 4096u);
    EXPECT_EQ(t.algorithm.name(), "aes-cbc-256+hmac-sha512");
    EXPECT_EQ(sa.value().key_file, "/a/b");
    EXPECT_EQ(t.mode, SaMode::transport);
    EXPECT_TRUE(t.esn && t.udp && t.outer.decap_dscp && !t.outer.ecn && !t.outer.copy_dscp);
    EXPECT_EQ(t.window, 512u);
    EXPECT_EQ(t.udp_src, 4500);
    EXPECT_EQ(t.udp_dst, 31000);
    EXPECT_TRUE(t.oa.known);
    EXPECT_EQ(t.oa.dst.bytes[3], 4);
    EXPECT_EQ(t.outer.df, DfRule::set);
    EXPECT_EQ(t.outer.dscp, 46);
    EXPECT_EQ(t.outer.ttl, 9);
    EXPECT_EQ(t.outer.flow_label, 0x12345u);
    EXPECT_EQ(t.soft.bytes + 10 * t.soft.packets + 100 * t.soft.seconds, 321u);
    EXPECT_EQ(t.hard.bytes + 10 * t.hard.packets + 100 * t.hard.seconds, 654u);
}

// sa_text says all that makes two SAs differ, and no more: reload compares by it.
TEST(EspSaText, ATextSaysItsTermsAgain) {
    for (const char* words : {"spi 0x1000 alg aes-gcm-128 mode tunnel src 172.16.0.1 dst 172.16.0.2",
                              "spi 0xffffffff alg aes-cbc-256+hmac-sha512 mode transport src fd00::1 dst fd00::2 udp 4500 31000 nat-oa 10.1.2.3 10.1.2.4 esn window 512",
                              "spi 0x100 alg chacha20-poly1305 mode tunnel src 1.2.3.4 dst 1.2.3.5 fragment before df set dscp 0 ttl 9 no-ecn flow copy decap-dscp",
                              "spi 0x100 alg null+hmac-sha1 mode tunnel src 1.2.3.4 dst 1.2.3.5 df clear flow 74565 soft-bytes 1 soft-packets 2 soft-seconds 3 "
                              "hard-bytes 4 hard-packets 5 hard-seconds 18446744073709551615"}) {
        Result<SaText> sa = parse_sa(std::string(words) + " key K");
        ASSERT_TRUE(sa.ok()) << sa.error().text;
        EXPECT_EQ(sa_text(sa.value().terms), words);
        sa.value().terms.id = sa.value().terms.generation = 7;
        sa.value().terms.seq_floor = 9;
        EXPECT_EQ(sa_text(sa.value().terms), words);
    }
}

TEST(EspSaText, AddressesAreOfEitherFamily) {
    const Result<SaText> four = parse_sa(kTunnel);
    ASSERT_TRUE(four.ok()) << four.error().text;
    EXPECT_EQ(four.value().terms.dst, end_of_tunnel(false, 2));
    const Result<SaText> six = parse_sa("spi 0x1000 alg aes-gcm-128 key K src fd00::1 dst fd00::2");
    ASSERT_TRUE(six.ok()) << six.error().text;
    EXPECT_EQ(six.value().terms.src, end_of_tunnel(true, 1));
}

TEST(EspSaText, WhatIsWrongOrMissingIsNamed) {
    const auto said = [](const std::string& text) {
        const Result<SaText> sa = parse_sa(text);
        return sa.ok() ? std::string("understood") : sa.error().text;
    };
    EXPECT_NE(said("").find("'spi'"), std::string::npos);
    EXPECT_NE(said("spi 0x1000").find("'alg'"), std::string::npos);
    EXPECT_NE(said("spi 0x1000 alg aes-gcm-128").find("'key'"), std::string::npos);
    EXPECT_NE(said("spi 0x1000 alg aes-gcm-128 key K").find("'src'"), std::string::npos);
    for (const char* more : {"colour blue", "window 4097", "udp 4500", "udp 4500 65536", "nat-oa 10.1.2.3", "nat-oa 10.1.2.3 fd00::1", "dscp 64", "df maybe", "src 1.2.3", "ttl 256", "alg", "key", "spi 0x1g", "spi 4294967296"})
        EXPECT_NE(said(std::string(kTunnel) + " " + more), "understood") << more;
    EXPECT_NE(said(std::string(kTunnel) + " colour blue").find("'colour blue'"), std::string::npos);
    EXPECT_NE(said(std::string(kTunnel) + " alg rot13").find("chacha20-poly1305"), std::string::npos);
}

class KeyFile {
  public:
    explicit KeyFile(const std::string& text, mode_t rights = 0600) {
        const int fd = mkstemp(path_);
        EXPECT_GE(fd, 0);
        EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
        EXPECT_EQ(fchmod(fd, rights), 0);
        close(fd);
    }
    ~KeyFile() { unlink(path_); }
    [[nodiscard]] Result<Secret> read() const { return read_key(path_); }

  private:
    char path_[32] = "/tmp/um_key_XXXXXX";
};

TEST(EspSaText, AKeyIsHexadecimalDigitsInAFileThatIsNotOpenToEverybody) {
    const Result<Secret> key = KeyFile("00 01\nfFaB 7e\n").read();
    ASSERT_TRUE(key.ok()) << key.error().text;
    EXPECT_EQ(text_of(key.value().data(), key.value().size()), std::string("\x00\x01\xff\xab\x7e", 5));
    EXPECT_TRUE(KeyFile("00", 0640).read().ok());
    for (const mode_t rights : {0604, 0602, 0601})
        EXPECT_NE(KeyFile("00", rights).read().error().text.find("chmod o="), std::string::npos);
    EXPECT_FALSE(KeyFile("").read().ok());
    EXPECT_FALSE(KeyFile("001").read().ok());
    EXPECT_FALSE(read_key("/nonexistent/key").ok());
    const Result<Secret> bad = KeyFile("secret").read();
    ASSERT_FALSE(bad.ok());
    EXPECT_EQ(bad.error().text.find("secret"), std::string::npos) << "never what the file says";
    EXPECT_NE(bad.error().text.find("character 1"), std::string::npos);
}

}  // namespace
}  // namespace umbuf::test
