// SPDX-License-Identifier: BSD-2-Clause
// sa_text.cc - words to terms.
#include "lib/ipsec/sa_text.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <span>
#include <vector>

namespace umbuf {
namespace {

Error wrong(const std::string& text) { return Error{EINVAL, "an SA: " + text}; }

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    for (size_t at = 0; at < text.size();) {
        const size_t from = text.find_first_not_of(" \t\n", at);
        if (from == std::string_view::npos) break;
        const size_t to = std::min(text.find_first_of(" \t\n", from), text.size());
        words.emplace_back(text.substr(from, to - from));
        at = to;
    }
    return words;
}

bool number(const std::string& text, uint64_t most, uint64_t* n) {
    const bool hex = text.starts_with("0x");
    const char* from = text.data() + (hex ? 2 : 0);
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(from, end, *n, hex ? 16 : 10);
    return error == std::errc{} && at == end && from != end && *n <= most;
}

bool address(const std::string& text, IpAddress* to) {
    *to = IpAddress{};
    if (inet_pton(AF_INET, text.c_str(), to->bytes.data()) == 1) return true;
    to->v6 = true;
    return inet_pton(AF_INET6, text.c_str(), to->bytes.data()) == 1;
}

// A word that is followed by one number.
struct Number {
    const char* word;
    uint64_t most;
    void (*set)(SaTerms& t, uint64_t n);
};
constexpr Number kNumbers[] = {
    {"spi", UINT32_MAX, [](SaTerms& t, uint64_t n) { t.spi = static_cast<uint32_t>(n); }},
    {"window", kReplayMax, [](SaTerms& t, uint64_t n) { t.window = static_cast<uint32_t>(n); }},
    {"ttl", UINT8_MAX, [](SaTerms& t, uint64_t n) { t.outer.ttl = static_cast<uint8_t>(n); }},
    {"dscp", 63, [](SaTerms& t, uint64_t n) { t.outer.copy_dscp = false, t.outer.dscp = static_cast<uint8_t>(n); }},
    {"flow", 0xfffff, [](SaTerms& t, uint64_t n) { t.outer.copy_flow_label = false, t.outer.flow_label = static_cast<uint32_t>(n); }},
    {"soft-bytes", UINT64_MAX, [](SaTerms& t, uint64_t n) { t.soft.bytes = n; }},
    {"soft-packets", UINT64_MAX, [](SaTerms& t, uint64_t n) { t.soft.packets = n; }},
    {"soft-seconds", UINT64_MAX, [](SaTerms& t, uint64_t n) { t.soft.seconds = n; }},
    {"hard-bytes", UINT64_MAX, [](SaTerms& t, uint64_t n) { t.hard.bytes = n; }},
    {"hard-packets", UINT64_MAX, [](SaTerms& t, uint64_t n) { t.hard.packets = n; }},
    {"hard-seconds", UINT64_MAX, [](SaTerms& t, uint64_t n) { t.hard.seconds = n; }},
};
// A word that stands alone, or with one of a few others.
struct Choice {
    const char* word;
    const char* value;  // "": none
    void (*set)(SaTerms& t);
};
constexpr Choice kChoices[] = {
    {"mode", "tunnel", [](SaTerms& t) { t.mode = SaMode::tunnel; }},
    {"mode", "transport", [](SaTerms& t) { t.mode = SaMode::transport; }},
    {"fragment", "before", [](SaTerms& t) { t.fragment = FragmentRule::before; }},
    {"fragment", "after", [](SaTerms& t) { t.fragment = FragmentRule::after; }},
    {"df", "copy", [](SaTerms& t) { t.outer.df = DfRule::copy; }},
    {"df", "set", [](SaTerms& t) { t.outer.df = DfRule::set; }},
    {"df", "clear", [](SaTerms& t) { t.outer.df = DfRule::clear; }},
    {"dscp", "copy", [](SaTerms& t) { t.outer.copy_dscp = true; }},
    {"flow", "copy", [](SaTerms& t) { t.outer.copy_flow_label = true; }},
    {"esn", "", [](SaTerms& t) { t.esn = true; }},
    {"no-ecn", "", [](SaTerms& t) { t.outer.ecn = false; }},
    {"decap-dscp", "", [](SaTerms& t) { t.outer.decap_dscp = true; }},
};

using Words = std::span<const std::string>;

// Each takes what it knows from the front of `words`: how many words, 0 if it knows none.
size_t take_choice(Words words, SaTerms& terms) {
    for (const Choice& c : kChoices) {
        if (words[0] != c.word) continue;
        if (*c.value == '\0') return c.set(terms), 1;
        if (words.size() > 1 && words[1] == c.value) return c.set(terms), 2;
    }
    return 0;
}

size_t take_number(Words words, SaTerms& terms) {
    uint64_t n = 0;
    for (const Number& known : kNumbers)
        if (words[0] == known.word && words.size() > 1 && number(words[1], known.most, &n)) return known.set(terms, n), 2;
    return 0;
}

size_t take_text(Words words, SaTerms& terms) {
    if (words.size() < 2) return 0;
    if (words[0] == "src" && address(words[1], &terms.src)) return 2;
    if (words[0] == "dst" && address(words[1], &terms.dst)) return 2;
    NatOa oa{.known = true, .src = {}, .dst = {}};
    if (words[0] == "nat-oa" && words.size() > 2 && address(words[1], &oa.src) && address(words[2], &oa.dst) && oa.src.v6 == oa.dst.v6)
        return terms.oa = oa, 3;
    uint64_t from = 0, to = 0;
    if (words[0] != "udp" || words.size() < 3 || !number(words[1], UINT16_MAX, &from) || !number(words[2], UINT16_MAX, &to)) return 0;
    terms.udp = true;
    terms.udp_src = static_cast<uint16_t>(from);
    terms.udp_dst = static_cast<uint16_t>(to);
    return 3;
}

std::string text_of(const IpAddress& a) {
    char text[INET6_ADDRSTRLEN];
    return inet_ntop(a.v6 ? AF_INET6 : AF_INET, a.bytes.data(), text, sizeof(text)) == nullptr ? "?" : text;
}

std::string hex(uint64_t n) {
    char text[16];
    return "0x" + std::string(text, std::to_chars(text, text + sizeof(text), n, 16).ptr);
}

// Text - words with blanks between them.
class Text {
  public:
    void add(const std::string& words) { said += (said.empty() ? "" : " ") + words; }
    void add(const std::string& word, uint64_t n, uint64_t usual) {
        if (n != usual) add(word + " " + std::to_string(n));
    }
    void add(const std::string& word, const Lifetime& limit) {
        add(word + "-bytes", limit.bytes, 0);
        add(word + "-packets", limit.packets, 0);
        add(word + "-seconds", limit.seconds, 0);
    }
    std::string said;
};

void add_ends(Text& text, const SaTerms& t) {
    if (t.src != IpAddress{}) text.add("src " + text_of(t.src));
    if (t.dst != IpAddress{}) text.add("dst " + text_of(t.dst));
    if (t.udp) text.add("udp " + std::to_string(t.udp_src) + " " + std::to_string(t.udp_dst));
    if (t.oa.known) text.add("nat-oa " + text_of(t.oa.src) + " " + text_of(t.oa.dst));
}

void add_outer(Text& text, const OuterRules& outer) {
    const OuterRules usual;
    if (outer.df == DfRule::set) text.add("df set");
    if (outer.df == DfRule::clear) text.add("df clear");
    if (!outer.copy_dscp) text.add("dscp " + std::to_string(outer.dscp));
    text.add("ttl", outer.ttl, usual.ttl);
    if (!outer.ecn) text.add("no-ecn");
    if (outer.copy_flow_label) text.add("flow copy");
    if (!outer.copy_flow_label) text.add("flow", outer.flow_label, usual.flow_label);
    if (outer.decap_dscp) text.add("decap-dscp");
}

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// decode - the digits in `text`, over themselves. Returns how many bytes.
Result<size_t> decode(std::byte* text, size_t size) {
    size_t digits = 0;
    for (size_t i = 0; i < size; ++i) {
        const char c = static_cast<char>(text[i]);
        if (c == ' ' || c == '\n' || c == '\t' || c == '\r') continue;
        const int value = digit(c);
        if (value < 0) return Error{EINVAL, "character " + std::to_string(i + 1) + " is no hexadecimal digit"};
        std::byte& to = text[digits / 2];
        to = digits % 2 == 0 ? static_cast<std::byte>(value << 4) : to | static_cast<std::byte>(value);
        ++digits;
    }
    if (digits % 2 != 0 || digits == 0) return Error{EINVAL, std::to_string(digits) + " hexadecimal digits are no bytes"};
    return digits / 2;
}

struct File {
    int fd;
    ~File() {
        if (fd >= 0) close(fd);
    }
};

}  // namespace

Result<size_t> take_sa_words(Words words, SaTerms& terms) {
    size_t taken = take_choice(words, terms);
    if (taken == 0) taken = take_number(words, terms);
    if (taken == 0) taken = take_text(words, terms);
    if (taken != 0 || words[0] != "alg" || words.size() < 2) return taken;
    const Result<Algorithm> found = find_algorithm(words[1]);
    if (!found) return wrong(found.error().text);
    terms.algorithm = found.value();
    return size_t{2};
}

std::string sa_text(const SaTerms& t) {
    Text text;
    text.add("spi " + hex(t.spi));
    if (t.algorithm.cipher != nullptr) text.add("alg " + t.algorithm.name());
    text.add(t.mode == SaMode::tunnel ? "mode tunnel" : "mode transport");
    add_ends(text, t);
    if (t.esn) text.add("esn");
    if (t.fragment == FragmentRule::before) text.add("fragment before");
    text.add("window", t.window, kReplayDefault);
    add_outer(text, t.outer);
    text.add("soft", t.soft);
    text.add("hard", t.hard);
    return text.said;
}

Result<SaText> parse_sa(std::string_view text) {
    SaText sa;
    const std::vector<std::string> all = words_of(text);
    for (Words words = all; !words.empty();) {
        Result<size_t> taken = take_sa_words(words, sa.terms);
        if (!taken) return taken.error();
        if (taken.value() == 0 && words[0] == "key" && words.size() > 1) sa.key_file = words[1], taken = size_t{2};
        if (taken.value() == 0) return wrong("'" + words[0] + (words.size() > 1 ? " " + words[1] : "") + "' is not understood here; the manual has the words");
        words = words.subspan(taken.value());
    }
    if (sa.terms.spi == 0) return wrong("'spi' is missing");
    if (sa.terms.algorithm.cipher == nullptr) return wrong("'alg' is missing");
    if (sa.key_file.empty()) return wrong("'key' is missing");
    const bool ends = sa.terms.src != IpAddress{} && sa.terms.dst != IpAddress{};
    if (sa.terms.mode == SaMode::tunnel && !ends) return wrong("a tunnel has two ends: 'src' and 'dst'");
    return sa;
}

Result<Secret> read_key(const std::string& path) {
    const File file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat about {};
    if (file.fd < 0 || fstat(file.fd, &about) != 0)
        return Error{errno, "the key file " + path + ": " + std::strerror(errno)};
    if ((about.st_mode & S_IRWXO) != 0)
        return Error{EPERM, "the key file " + path + " is open to everybody: chmod o= " + path};
    constexpr size_t kMost = 4096;
    Result<Secret> text = Secret::make(kMost);
    if (!text) return text.error();
    const ssize_t got = read(file.fd, text.value().data(), kMost);
    if (got < 0) return Error{errno, "the key file " + path + ": " + std::strerror(errno)};
    const Result<size_t> bytes = decode(text.value().data(), static_cast<size_t>(got));
    if (!bytes) return Error{bytes.error().code, "the key file " + path + ": " + bytes.error().text};
    return Secret::copy({text.value().data(), bytes.value()});
}

Result<Secret> secret_of_hex(std::span<const std::byte> text) {
    Result<Secret> room = Secret::copy(text);
    if (!room) return room.error();
    const Result<size_t> bytes = decode(room.value().data(), text.size());
    if (!bytes) return bytes.error();
    return Secret::copy({room.value().data(), bytes.value()});
}

}  // namespace umbuf
