// SPDX-License-Identifier: BSD-2-Clause
// sa_words.cc - words to SAs and policies, and back.
#include "app/umfwd/gateway/sa_words.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <vector>

#include <fmt/format.h>

#include "app/umfwd/conf/words.h"
#include "lib/ipsec/sa_text.h"

namespace umbuf::fwd {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::vector<std::string> split(std::string_view text) {
    std::istringstream in{std::string(text)};
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    return words;
}

Error wrong(const std::string& text) { return {EINVAL, text}; }

const char* name_of(Direction direction) { return direction == Direction::in ? "in" : "out"; }

constexpr std::pair<const char*, SadKey> kFoundBy[] = {{"spi", SadKey::spi}, {"spi-dst", SadKey::spi_dst}, {"spi-dst-src", SadKey::spi_dst_src}};

// Line - words that are taken from the front, each kind once.
class Line {
  public:
    explicit Line(std::string_view text) : all_(split(text)), rest_(all_) {}

    [[nodiscard]] bool empty() const { return rest_.empty(); }
    [[nodiscard]] std::span<const std::string> rest() const { return rest_; }
    [[nodiscard]] bool is(const char* word) const { return !rest_.empty() && rest_[0] == word; }
    [[nodiscard]] const std::string& word() const { return rest_[0]; }
    // has_value - there is a word behind this one.
    [[nodiscard]] bool has_value() const { return rest_.size() > 1; }
    [[nodiscard]] const std::string& value() const { return rest_[1]; }
    // take - n words, known by the first. Error: it was there before.
    [[nodiscard]] Status take(size_t n, const std::string& as) {
        const bool fresh = given_.insert(as).second;
        rest_ = rest_.subspan(n);
        return fresh ? Status() : wrong(fmt::format("\"{}\" is there twice", as));
    }
    [[nodiscard]] Status take(size_t n) { return take(n, rest_[0]); }
    [[nodiscard]] bool given(const std::string& word) const { return given_.contains(word); }
    [[nodiscard]] Error not_understood() const {
        return wrong(fmt::format("\"{}{}\" is not understood here: expected words of docs/gateway-control.md", rest_[0], has_value() ? " " + rest_[1] : ""));
    }
    [[nodiscard]] Error expected(const std::string& what) const {
        return wrong(fmt::format("\"{}{}\": expected {}", rest_[0], has_value() ? " " + rest_[1] : "", what));
    }

  private:
    const std::vector<std::string> all_;
    std::span<const std::string> rest_;
    std::set<std::string> given_;
};

// SaLine - `sa add` and `sa rekey`, word by word.
class SaLine {
  public:
    SaLine(std::string_view text, const Secret& typed, ConfSa sa, bool rekey) : line_(text), typed_(typed), sa_(std::move(sa)), rekey_(rekey) {}

    Result<Rekey> read() {
        while (!line_.empty())
            if (const Status taken = take(); !taken) return taken.error();
        if (const Status whole = check(); !whole) return whole.error();
        return Rekey{std::move(sa_), keep_s_};
    }

  private:
    Status take() {
        if (!rekey_ && (line_.is("in") || line_.is("out"))) {
            sa_.direction = line_.is("in") ? Direction::in : Direction::out;
            return line_.take(1, "in, out");
        }
        const Result<size_t> terms = take_sa_words(line_.rest(), sa_.terms);
        if (!terms) return terms.error();
        if (terms.value() != 0) return line_.take(terms.value());
        return line_.has_value() ? take_pair() : line_.not_understood();
    }

    Status take_pair() {
        if (line_.is("child") && !rekey_) return take_child();
        if (line_.is("keep") && rekey_) return take_keep();
        if (line_.is("key")) return take_key(secret_of_hex(typed_.bytes()));
        if (line_.is("keyfile")) return take_key(read_key(line_.value()));
        if (line_.is("found-by")) return take_found_by();
        if (line_.is("seq-floor")) return take_floor();
        if (!line_.is("seq-file")) return line_.not_understood();
        sa_.seq_file = line_.value();
        return line_.take(2);
    }

    Status take_child() {
        if (!is_name(line_.value())) return line_.expected(kNameText);
        sa_.child = line_.value();
        return line_.take(2);
    }
    Status take_keep() {
        uint64_t seconds = 0;
        if (!to_number(line_.value(), UINT32_MAX, &seconds)) return line_.expected("seconds");
        keep_s_ = seconds;
        return line_.take(2);
    }
    Status take_key(Result<Secret> key) {
        if (!key) return Error{key.error().code, "\"" + line_.word() + "\": " + key.error().text};
        sa_.key = std::move(key.value());
        return line_.take(2, "key, keyfile");
    }
    Status take_found_by() {
        for (const auto& [word, kind] : kFoundBy)
            if (line_.value() == word) return sa_.found_by = kind, line_.take(2);
        return line_.expected("spi, spi-dst or spi-dst-src");
    }
    Status take_floor() {
        if (!to_number(line_.value(), UINT64_MAX, &sa_.terms.seq_floor)) return line_.expected("a number");
        sa_.floor_known = true;
        return line_.take(2);
    }

    // check - what is missing, and what has no meaning here.
    Status check() {
        const SaTerms& t = sa_.terms;
        if (!rekey_ && !line_.given("in, out")) return wrong("expected in or out");
        if (sa_.child.empty()) return wrong("expected child and its name, by which policies protect");
        if (!line_.given("spi")) return wrong("expected spi and a number from 256 to 4294967295");
        if (t.spi < 256) return wrong("\"spi\": expected a number from 256 to 4294967295: those below are reserved (RFC 4303, 2.1)");
        if (t.algorithm.cipher == nullptr) return wrong("expected alg and an algorithm, such as aes-gcm-128");
        if (!line_.given("key, keyfile")) return wrong("expected key and hexadecimal digits, or keyfile and a file that has them");
        if (const Algorithm& a = t.algorithm; sa_.key.size() != a.key_bytes())
            return wrong(fmt::format("a key of {} bytes: expected {}: {} for {}'s key, {} of salt, {} for the integrity's key", sa_.key.size(), a.key_bytes(),
                                     a.cipher->key, a.cipher->name, a.cipher->salt, a.aead() ? 0 : a.integrity->key));
        if (t.mode == SaMode::tunnel && (t.src == IpAddress{} || t.dst == IpAddress{})) return wrong("expected src and dst, the two ends of a tunnel");
        if (t.src.v6 != t.dst.v6) return wrong("src and dst: expected addresses of one family");
        return check_mode_and_direction();
    }

    Status none_of(std::initializer_list<const char*> words, const char* why) {
        for (const char* word : words)
            if (line_.given(word)) return wrong(fmt::format("\"{}\" is out of place: {}", word, why));
        return {};
    }

    Status check_mode_and_direction() {
        const bool in = sa_.direction == Direction::in, transport = sa_.terms.mode == SaMode::transport;
        const Status fits = in ? none_of({"seq-floor", "seq-file", "fragment"}, "an inbound SA sends nothing") : none_of({"window", "found-by", "nat-oa"}, "an outbound SA receives nothing");
        if (!fits) return fits;
        if (transport)
            if (const Status plain = none_of({"df", "dscp", "ttl", "no-ecn", "flow", "decap-dscp"}, "transport mode has no outer header"); !plain) return plain;
        if (sa_.terms.oa.known && (!transport || !sa_.terms.udp)) return wrong("\"nat-oa\" is out of place: expected with mode transport and udp only");
        if (!in) return {};
        const bool dst = sa_.terms.dst != IpAddress{};
        if (!rekey_ && !line_.given("found-by")) sa_.found_by = dst ? SadKey::spi_dst : SadKey::spi;
        if (sa_.found_by != SadKey::spi && !dst) return wrong("expected dst to find the SA by, or found-by spi");
        if (sa_.found_by == SadKey::spi_dst_src && sa_.terms.src == IpAddress{}) return wrong("expected src to find the SA by");
        return {};
    }

    Line line_;
    const Secret& typed_;
    ConfSa sa_;
    const bool rekey_;
    std::optional<uint64_t> keep_s_;
};

// PolicyLine - `policy add`, word by word.
class PolicyLine {
  public:
    explicit PolicyLine(std::string_view text) : line_(text) {}

    Result<ConfPolicy> read() {
        while (!line_.empty())
            if (const Status taken = take(); !taken) return taken.error();
        if (const Status whole = finish(); !whole) return whole.error();
        return std::move(out_);
    }

  private:
    Status take() {
        Policy& p = out_.policy;
        if (line_.is("in") || line_.is("out")) {
            p.direction = line_.is("in") ? Direction::in : Direction::out;
            return line_.take(1, "in, out");
        }
        if (!line_.has_value()) return line_.not_understood();
        for (const Word& word : kWords) {
            if (!line_.is(word.word)) continue;
            if (!(this->*word.take)(line_.value())) return line_.expected(word.expected);
            return line_.take(2);
        }
        return line_.not_understood();
    }

    bool take_name(const std::string& said) { return is_name(out_.name = said); }
    bool take_child(const std::string& said) { return is_name(out_.child = said); }
    bool take_priority(const std::string& said) {
        uint64_t n = 0;
        if (!to_number(said, INT32_MAX, &n)) return false;
        out_.policy.priority = static_cast<int32_t>(n);
        return true;
    }
    bool take_action(const std::string& said) {
        out_.policy.action = said == "protect" ? Action::protect : said == "bypass" ? Action::bypass : Action::discard;
        return said == "protect" || said == "bypass" || said == "discard";
    }
    bool take_protocol(const std::string& said) {
        Selector& s = out_.policy.selector;
        s.protocol = said == "any" ? Look::any : said == "opaque" ? Look::opaque : Look::value;
        return s.protocol != Look::value || to_protocol(said, &s.proto);
    }
    static bool take_range(const std::string& said, IpRange& range, bool& known) { return said == "any" || (known = to_range(said, &range)); }
    bool take_src(const std::string& said) { return take_range(said, out_.policy.selector.src, src_); }
    bool take_dst(const std::string& said) { return take_range(said, out_.policy.selector.dst, dst_); }
    static bool take_ports(const std::string& said, Ports& to) {
        uint64_t from = 0, last = 0;
        if (said == "any") return to = Ports{}, true;
        if (said == "opaque") return to = opaque_ports(), true;
        if (!to_span(said, UINT16_MAX, &from, &last)) return false;
        to = umbuf::ports(static_cast<uint16_t>(from), static_cast<uint16_t>(last));
        return true;
    }
    bool take_sport(const std::string& said) { return take_ports(said, out_.policy.selector.first); }
    bool take_dport(const std::string& said) { return take_ports(said, out_.policy.selector.second); }
    bool take_type(const std::string& said) { return to_span(said, UINT8_MAX, &type_[0], &type_[1]); }
    bool take_code(const std::string& said) { return to_span(said, UINT8_MAX, &code_[0], &code_[1]); }

    Status finish() {
        const Policy& p = out_.policy;
        if (!line_.given("in, out")) return wrong("expected in or out");
        if (!line_.given("action")) return wrong("expected action protect, bypass or discard");
        if (p.action == Action::protect && out_.child.empty()) return wrong("expected child and the name that its SAs have");
        if (p.action != Action::protect && !out_.child.empty()) return wrong("\"child\" is out of place: only what is protected has one");
        set_families();
        if (const Status upper = set_types(); !upper) return upper;
        return check_selector(p.selector);
    }

    // One address that is given decides the family, then ICMP does; else the policy is of both.
    void set_families() {
        Selector& s = out_.policy.selector;
        const bool icmp = is(kProtoIcmp), icmp6 = is(kProtoIcmpv6);
        const bool v6 = src_ ? s.src.from.v6 : dst_ ? s.dst.from.v6 : icmp6;
        out_.both_families = !src_ && !dst_ && !icmp && !icmp6;
        if (!src_) s.src = all_addresses(v6);
        if (!dst_) s.dst = all_addresses(v6);
    }
    [[nodiscard]] bool is(uint8_t proto) const { return out_.policy.selector.protocol == Look::value && out_.policy.selector.proto == proto; }

    // RFC 4301, 4.4.1.1: one type with some codes, or some types with all of theirs.
    Status set_types() {
        if (!line_.given("type") && !line_.given("code")) return {};
        if (!is(kProtoIcmp) && !is(kProtoIcmpv6) && !is(kProtoMobility)) return wrong("\"type\" and \"code\": expected with protocol icmp or icmpv6 only");
        if (!line_.given("type") || (line_.given("code") && type_[0] != type_[1])) return wrong("\"code\": expected one type, of which these are the codes");
        const auto byte = [](uint64_t n) { return static_cast<uint8_t>(n); };
        out_.policy.selector.first = type_[0] == type_[1] ? icmp(byte(type_[0]), byte(code_[0]), byte(code_[1])) : icmp_types(byte(type_[0]), byte(type_[1]));
        return {};
    }

    struct Word {
        const char* word;
        bool (PolicyLine::*take)(const std::string& said);
        const char* expected;
    };
    static constexpr Word kWords[] = {
        {"name", &PolicyLine::take_name, kNameText},
        {"priority", &PolicyLine::take_priority, "a number from 0 to 2147483647"},
        {"src", &PolicyLine::take_src, "any, a network such as 10.1.0.0/16 (no bit set behind it), an address, or FROM-TO"},
        {"dst", &PolicyLine::take_dst, "any, a network such as 10.1.0.0/16 (no bit set behind it), an address, or FROM-TO"},
        {"protocol", &PolicyLine::take_protocol, "any, opaque, the name of a protocol, or a number from 0 to 255"},
        {"sport", &PolicyLine::take_sport, "any, opaque, a port, or FROM-TO"},
        {"dport", &PolicyLine::take_dport, "any, opaque, a port, or FROM-TO"},
        {"type", &PolicyLine::take_type, "a type, or FROM-TO, up to 255"},
        {"code", &PolicyLine::take_code, "a code, or FROM-TO, up to 255"},
        {"action", &PolicyLine::take_action, "protect, bypass or discard"},
        {"child", &PolicyLine::take_child, kNameText},
    };

    Line line_;
    ConfPolicy out_;
    bool src_ = false, dst_ = false;
    uint64_t type_[2] = {0, 0}, code_[2] = {0, UINT8_MAX};
};

std::string range_text(const IpRange& range) {
    if (range.from == range.to) return address_text(range.from);
    return address_text(range.from) + "-" + address_text(range.to);
}

bool is_all(const IpRange& range) {
    const IpRange all = all_addresses(range.from.v6);
    return range.from == all.from && range.to == all.to;
}

std::string span_text(uint32_t from, uint32_t to) { return from == to ? fmt::format("{}", from) : fmt::format("{}-{}", from, to); }

std::string ports_text(const char* word, const Ports& ports) {
    if (ports.look == Look::any) return "";
    return fmt::format(" {} {}", word, ports.look == Look::opaque ? "opaque" : span_text(ports.from, ports.to));
}

// types_text - of ICMP: the port is type * 256 + code.
std::string types_text(const Ports& ports) {
    if (ports.look != Look::value) return ports_text("type", ports);
    const uint32_t from = ports.from >> 8, to = ports.to >> 8;
    std::string text = " type " + span_text(from, to);
    if (from == to && ((ports.from & 255) != 0 || (ports.to & 255) != 255)) text += " code " + span_text(ports.from & 255, ports.to & 255);
    return text;
}

}  // namespace

Status lift_key(std::string& line, Secret* key) {
    size_t at = 0;
    bool command = true, behind_key = false;
    while (at < line.size()) {
        const size_t from = line.find_first_not_of(kBlanks, at);
        if (from == std::string::npos) break;
        const size_t to = std::min(line.find_first_of(kBlanks, from), line.size());
        const std::string_view word = std::string_view(line).substr(from, to - from);
        if (command && word != "sa") return {};
        if (behind_key) {
            if (key != nullptr) {
                Result<Secret> lifted = Secret::copy(std::as_bytes(std::span(word)));
                if (!lifted) return lifted.error();
                *key = std::move(lifted.value());
            }
            std::fill_n(line.data() + from, to - from, '*');
        }
        behind_key = !command && !behind_key && word == "key";
        command = false;
        at = to;
    }
    return {};
}

Result<ConfSa> sa_of_words(std::string_view words, const Secret& key) {
    const size_t from = std::min(words.find_first_not_of(kBlanks), words.size());
    const size_t to = std::min(words.find_first_of(kBlanks, from), words.size());
    ConfSa sa;
    sa.name = words.substr(from, to - from);
    if (!is_name(sa.name)) return wrong(fmt::format("\"{}\": expected {}", sa.name, kNameText));
    Result<Rekey> made = SaLine(words.substr(to), key, std::move(sa), false).read();
    if (!made) return made.error();
    return std::move(made.value().sa);
}

Result<Rekey> rekey_of_words(std::string_view words, const Secret& key, const ConfSa& old) {
    ConfSa sa{.at = {}, .name = old.name, .child = old.child, .direction = old.direction, .terms = old.terms, .found_by = old.found_by, .floor_known = false, .seq_file = {}, .key = {}};
    sa.terms.seq_floor = 0;
    return SaLine(words, key, std::move(sa), true).read();
}

Result<ConfPolicy> policy_of_words(std::string_view words) { return PolicyLine(words).read(); }

std::string words_of(const ConfSa& sa) {
    std::string text = fmt::format("child {} {} {}", sa.child, name_of(sa.direction), sa_text(sa.terms));
    const SadKey usual = sa.terms.dst == IpAddress{} ? SadKey::spi : SadKey::spi_dst;
    if (sa.direction == Direction::in && sa.found_by != usual)
        for (const auto& [word, kind] : kFoundBy)
            if (kind == sa.found_by) text += fmt::format(" found-by {}", word);
    if (!sa.seq_file.empty()) text += " seq-file " + sa.seq_file;
    return text;
}

std::string words_of(const ConfPolicy& policy) {
    const Policy& p = policy.policy;
    const Selector& s = p.selector;
    std::string text = policy.name.empty() ? "" : "name " + policy.name + " ";
    text += fmt::format("{} priority {}", name_of(p.direction), p.priority);
    const bool both_any = is_all(s.src) && is_all(s.dst);
    const bool icmp = s.protocol == Look::value && (s.proto == kProtoIcmp || s.proto == kProtoIcmpv6);
    const bool typed = icmp || (s.protocol == Look::value && s.proto == kProtoMobility);
    // All addresses of one family, where the words alone would mean both.
    if (!is_all(s.src) || (both_any && !policy.both_families && !icmp)) text += " src " + range_text(s.src);
    if (!is_all(s.dst)) text += " dst " + range_text(s.dst);
    if (s.protocol == Look::opaque) text += " protocol opaque";
    if (s.protocol == Look::value) text += fmt::format(" protocol {}", s.proto);
    text += typed ? types_text(s.first) : ports_text("sport", s.first);
    text += ports_text("dport", s.second);
    text += fmt::format(" action {}", p.action == Action::protect ? "protect" : p.action == Action::bypass ? "bypass" : "discard");
    return p.action == Action::protect ? text + " child " + policy.child : text;
}

}  // namespace umbuf::fwd
