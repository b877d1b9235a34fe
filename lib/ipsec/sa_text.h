// SPDX-License-Identifier: BSD-2-Clause
// sa_text.h - an SA in words, and its key from a file.
//
//      spi 0x1000 alg aes-gcm-128 key /etc/umbuf/one.key mode tunnel src 172.16.0.1 dst 172.16.0.2
//
//      spi N             256 and more; 0x for hexadecimal
//      alg NAME          aes-gcm-128, aes-cbc-256+hmac-sha256 ... (algorithm.h)
//      key FILE          hexadecimal digits: cipher, salt, integrity; blanks and line ends do not count.
//                        Nobody but its owner and group may have access to it
//      mode tunnel | transport
//      src A, dst A      of a tunnel; both IPv4, or both IPv6
//      esn               extended sequence numbers
//      window N          of numbers, against replays: 32 to 4096
//      udp SRC DST       in UDP (RFC 3948), from and to these ports
//      nat-oa SRC DST    in UDP, transport mode: the addresses that the sender's packets had before a NAT
//      fragment before | after   outbound: who cuts what is too long for the way (path.h)
//      df copy | set | clear,  dscp N | copy,  ttl N,  no-ecn,  flow N | copy,  decap-dscp
//      soft-bytes N  soft-packets N  soft-seconds N  hard-bytes N  hard-packets N  hard-seconds N
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "lib/base/result.h"
#include "lib/ipsec/sa.h"

namespace umbuf {

struct SaText {
    SaTerms terms;
    std::string key_file;
};
// parse_sa - Error: which word is wrong, or missing.
[[nodiscard]] Result<SaText> parse_sa(std::string_view text);

// take_sa_words - what it knows from the front of `words`, which are not empty: all words above but `key`. How
// many they were; 0: it knows none. Error: there is no such algorithm.
[[nodiscard]] Result<size_t> take_sa_words(std::span<const std::string> words, SaTerms& terms);
// sa_text - the terms in these words, in one order, without `key`, and without what is as it is when nobody
// says it: of two SAs with one text the terms are the same, id, generation, seq_floor and name aside.
[[nodiscard]] std::string sa_text(const SaTerms& terms);

// read_key - Error: why the file cannot be read, who else could read it, or what in it is no hexadecimal
// digit, by its place; never what the file says.
[[nodiscard]] Result<Secret> read_key(const std::string& path);
// secret_of_hex - the same of digits that are there already; the caller wipes his.
[[nodiscard]] Result<Secret> secret_of_hex(std::span<const std::byte> text);

}  // namespace umbuf
