// SPDX-License-Identifier: BSD-2-Clause
// read_ipsec.cc - [ipsec], [[sa]] and [[policy]].
#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "app/umfwd/conf/read.h"
#include "app/umfwd/conf/words.h"
#include "app/umfwd/nearest.h"
#include "drivers/crypto/engines.h"
#include "lib/ipsec/sa_text.h"

namespace umbuf::fwd {
namespace {

constexpr uint64_t kMostNumber = INT64_MAX;  // TOML has no greater ones

// name_in - false: it is there, and is none.
bool name_in(Keys& keys, const char* key, std::string& name) {
    return keys.word(key, kNameText, [&name](const std::string& said) { return name = said, is_name(said); });
}

// name_of - one that has none is known again by what it is, wherever in the file it stands.
std::string name_of(const ConfSa& sa) { return fmt::format("{}-{}-{:#x}", sa.child, sa.direction == Direction::in ? "in" : "out", sa.terms.spi); }

// SaReader - one [[sa]].
class SaReader {
  public:
    SaReader(Keys& keys, Conf& conf, const Source& source, const std::string& folder)
        : keys_(keys), conf_(conf), source_(source), folder_(folder) {}

    void read() {
        sa_.at = keys_.place();
        name_in(keys_, "name", sa_.name);
        if (!name_in(keys_, "child", sa_.child) && !keys_.has("child")) keys_.missing("child", "the name by which policies protect, such as \"office\"");
        direction_known_ = keys_.choice("direction", sa_.direction, {{"in", Direction::in}, {"out", Direction::out}});
        if (!keys_.has("direction")) keys_.missing("direction", "in or out");
        const bool spi = keys_.number("spi", sa_.terms.spi, 256, UINT32_MAX);
        if (!keys_.has("spi")) keys_.missing("spi", "a number from 256 to 4294967295");
        read_algorithm();
        read_key_material();
        read_mode();
        keys_.flag("esn", sa_.terms.esn);
        read_udp();
        read_lifetime("soft", sa_.terms.soft);
        read_lifetime("hard", sa_.terms.hard);
        if (direction_known_) read_what_the_direction_has();
        else know_what_a_direction_has();
        if (!keys_.has("name")) sa_.name = name_of(sa_);
        if (spi && direction_known_) conf_.sas.push_back(std::move(sa_));
    }

  private:
    void read_algorithm() {
        const toml::node* value = keys_.know("alg");
        if (value == nullptr) return keys_.missing("alg", "an algorithm, such as \"aes-gcm-128\" or \"aes-cbc-256+hmac-sha256\"");
        const auto* name = value->as_string();
        if (name == nullptr) return keys_.wrong("alg", *value, "the name of an algorithm, such as \"aes-gcm-128\"");
        const Result<Algorithm> found = find_algorithm(name->get());
        if (!found) return keys_.wrong("alg", *value, "an algorithm: " + found.error().text);
        sa_.terms.algorithm = found.value();
    }

    void read_key_material() {
        const toml::node* here = keys_.know("key");
        std::string file;
        const bool elsewhere = keys_.text("key_file", file);
        if (here != nullptr && keys_.has("key_file")) return keys_.complain("key_file", "expected key or key_file, and both are there");
        if (here == nullptr && !keys_.has("key_file")) return keys_.missing("key", "hexadecimal digits, or key_file with the name of a file that has them");
        if (here == nullptr && !elsewhere) return;
        if (here != nullptr && conf_.first_key.line == 0) conf_.first_key = Keys::place(*here);
        Result<Secret> key = here != nullptr ? source_.key_at(Keys::place(*here)) : read_key(beside(file));
        const char* which = here != nullptr ? "key" : "key_file";
        if (!key) return keys_.complain(which, here != nullptr && !here->is_string() ? "expected hexadecimal digits in quotes" : key.error().text);
        sa_.key = std::move(key.value());
        if (const Algorithm& a = sa_.terms.algorithm; a.cipher != nullptr && sa_.key.size() != a.key_bytes())
            keys_.complain(which, fmt::format("{} bytes: expected {}: {} for {}'s key, {} of salt, {} for the integrity's key", sa_.key.size(), a.key_bytes(),
                                              a.cipher->key, a.cipher->name, a.cipher->salt, a.aead() ? 0 : a.integrity->key));
    }

    // beside - a name that is not absolute is one in the configuration's folder.
    [[nodiscard]] std::string beside(const std::string& file) const { return (std::filesystem::path(folder_) / file).string(); }

    void read_mode() {
        keys_.choice("mode", sa_.terms.mode, {{"tunnel", SaMode::tunnel}, {"transport", SaMode::transport}});
        const bool tunnel = sa_.terms.mode == SaMode::tunnel;
        const bool src = read_end("src", sa_.terms.src), dst = read_end("dst", sa_.terms.dst);
        dst_known_ = dst;
        if (tunnel && !keys_.has("src")) keys_.missing("src", "the address of this end of the tunnel, or of the other for an inbound SA");
        if (tunnel && !keys_.has("dst")) keys_.missing("dst", "the address where the tunnel ends");
        if (src && dst && sa_.terms.src.v6 != sa_.terms.dst.v6) keys_.complain("dst", "expected an address of the same family as src");
        if (tunnel) return read_outer();
        for (const char* key : {"df", "dscp", "ecn", "flow_label", "ttl", "decap_dscp"}) keys_.out_of_place(key, "transport mode has no outer header");
    }

    bool read_end(const char* key, IpAddress& end) {
        return keys_.word(key, "an IP address", [&](const std::string& said) { return to_address(said, &end); });
    }

    void read_outer() {
        OuterRules& outer = sa_.terms.outer;
        keys_.choice("df", outer.df, {{"copy", DfRule::copy}, {"set", DfRule::set}, {"clear", DfRule::clear}});
        keys_.number("ttl", outer.ttl, 1, UINT8_MAX);
        keys_.flag("ecn", outer.ecn);
        keys_.flag("decap_dscp", outer.decap_dscp);
        copy_or_number("dscp", 63, outer.copy_dscp, outer.dscp);
        copy_or_number("flow_label", 0xfffff, outer.copy_flow_label, outer.flow_label);
    }

    template <class T>
    void copy_or_number(const char* key, uint64_t most, bool& copy, T& field) {
        keys_.word_or_number(key, fmt::format("\"copy\", or a number from 0 to {}", most), [&](const std::string& said) {
            uint64_t n = 0;
            copy = said == "copy";
            if (!copy && !to_number(said, most, &n)) return false;
            field = static_cast<T>(n);
            return true;
        });
    }

    void read_udp() {
        const toml::node* value = keys_.know("udp");
        if (value == nullptr) return;
        if (const auto* yes = value->as_boolean()) return static_cast<void>(sa_.terms.udp = yes->get());
        if (!value->is_table()) return keys_.wrong("udp", *value, "true, or ports, such as { src = 4500, dst = 4500 }");
        sa_.terms.udp = true;
        keys_.table("udp", [&](Keys& k) {
            k.number("src", sa_.terms.udp_src, 1, UINT16_MAX);
            k.number("dst", sa_.terms.udp_dst, 1, UINT16_MAX);
        });
    }

    void read_lifetime(const char* key, Lifetime& lifetime) {
        keys_.table(key, [&](Keys& k) {
            k.number("bytes", lifetime.bytes, 1, kMostNumber);
            k.number("packets", lifetime.packets, 1, kMostNumber);
            k.number("seconds", lifetime.seconds, 1, kMostNumber);
        });
    }

    void read_what_the_direction_has() {
        if (sa_.direction == Direction::in) read_inbound();
        else read_outbound();
    }
    void know_what_a_direction_has() {
        for (const char* key : {"window", "found_by", "nat_oa", "seq_floor", "seq_file", "fragment"}) keys_.know(key);
    }

    void read_inbound() {
        keys_.number("window", sa_.terms.window, kReplayMin, kReplayMax);
        for (const char* key : {"seq_floor", "seq_file", "fragment"}) keys_.out_of_place(key, "an inbound SA sends nothing");
        read_nat_oa();
        sa_.found_by = dst_known_ ? SadKey::spi_dst : SadKey::spi;
        if (!keys_.choice("found_by", sa_.found_by, {{"spi", SadKey::spi}, {"spi_dst", SadKey::spi_dst}, {"spi_dst_src", SadKey::spi_dst_src}})) return;
        if (sa_.found_by != SadKey::spi && !keys_.has("dst")) keys_.missing("dst", "an address to find the SA by, or found_by = \"spi\"");
        if (sa_.found_by == SadKey::spi_dst_src && !keys_.has("src")) keys_.missing("src", "an address to find the SA by");
    }

    // RFC 3948, 3.1.2: what the checksums of what is inside were made with.
    void read_nat_oa() {
        if (sa_.terms.mode != SaMode::transport || !sa_.terms.udp) return keys_.out_of_place("nat_oa", "expected with mode \"transport\" and udp only");
        NatOa& oa = sa_.terms.oa;
        keys_.table("nat_oa", [&](Keys& k) {
            const bool src = k.word("src", "an IP address", [&](const std::string& said) { return to_address(said, &oa.src); });
            const bool dst = k.word("dst", "an address of the same family as src", [&](const std::string& said) {
                return to_address(said, &oa.dst) && (!src || oa.dst.v6 == oa.src.v6);
            });
            for (const char* end : {"src", "dst"})
                if (!k.has(end)) k.missing(end, "the address that the sender's packets had before a NAT");
            oa.known = src && dst;
        });
    }

    void read_outbound() {
        for (const char* key : {"window", "found_by", "nat_oa"}) keys_.out_of_place(key, "an outbound SA receives nothing");
        read_fragment();
        const bool floor = sa_.floor_known = keys_.number("seq_floor", sa_.terms.seq_floor, 0, kMostNumber);
        std::string file;
        if (keys_.text("seq_file", file)) sa_.seq_file = beside(file);
        if (!floor && !keys_.has("seq_floor") && !keys_.has("seq_file") && counts_nonces(sa_.terms.algorithm))
            keys_.missing("seq_floor", fmt::format("the last number that this key of {} has sent, 0 for a key that was never used: none may be sent twice. "
                                                   "Or seq_file, a file in which umfwd remembers it",
                                                   sa_.terms.algorithm.name()));
    }

    void read_fragment() {
        if (!keys_.choice("fragment", sa_.terms.fragment, {{"after", FragmentRule::after}, {"before", FragmentRule::before}})) return;
        if (sa_.terms.mode != SaMode::transport || sa_.terms.fragment == FragmentRule::after) return;
        sa_.terms.fragment = FragmentRule::after;
        keys_.complain("fragment", "expected \"after\": transport mode protects whole packets");
    }

    Keys& keys_;
    Conf& conf_;
    const Source& source_;
    const std::string& folder_;
    ConfSa sa_;
    bool direction_known_ = false, dst_known_ = false;
};

// PolicyReader - one [[policy]].
class PolicyReader {
  public:
    PolicyReader(Keys& keys, Conf& conf) : keys_(keys), conf_(conf) {}

    void read() {
        out_.at = keys_.place();
        if (!name_in(keys_, "name", out_.name) && !keys_.has("name")) out_.name = fmt::format("line-{}", out_.at.line);
        Policy& p = out_.policy;
        keys_.choice("direction", p.direction, {{"in", Direction::in}, {"out", Direction::out}});
        if (!keys_.has("direction")) keys_.missing("direction", "in or out");
        uint32_t priority = 0;
        if (keys_.number("priority", priority, 0, INT32_MAX)) p.priority = static_cast<int32_t>(priority);
        read_action();
        read_protocol();
        read_addresses();
        if (!read_upper()) return;
        if (const Status fits = check_selector(p.selector); !fits && right_) return keys_.complain(fits.error().text);
        conf_.policies.push_back(std::move(out_));
    }

  private:
    void read_action() {
        Policy& p = out_.policy;
        const bool known = keys_.choice("action", p.action, {{"protect", Action::protect}, {"bypass", Action::bypass}, {"discard", Action::discard}});
        if (!keys_.has("action")) keys_.missing("action", "protect, bypass or discard");
        if (known && p.action != Action::protect) return keys_.out_of_place("child", "only what is protected has one");
        if (!name_in(keys_, "child", out_.child) && !keys_.has("child") && known) keys_.missing("child", "the name that its SAs have as their child");
    }

    void read_protocol() {
        Selector& s = out_.policy.selector;
        keys_.word_or_number("protocol", fmt::format("\"any\", \"opaque\", one of {}, or a number from 0 to 255", protocol_names()), [&](const std::string& said) {
            s.protocol = said == "any" ? Look::any : said == "opaque" ? Look::opaque : Look::value;
            return s.protocol != Look::value || to_protocol(said, &s.proto);
        });
    }

    // One address that is given decides the family, then ICMP does; else the policy is of both.
    void read_addresses() {
        Selector& s = out_.policy.selector;
        const bool src = read_range("src", s.src), dst = read_range("dst", s.dst);
        right_ = right_ && (src || dst || (!keys_.has("src") && !keys_.has("dst")) || any_[0] || any_[1]);
        const bool icmp = s.protocol == Look::value && s.proto == kProtoIcmp, icmp6 = s.protocol == Look::value && s.proto == kProtoIcmpv6;
        const bool v6 = src ? s.src.from.v6 : dst ? s.dst.from.v6 : icmp6;
        out_.both_families = !src && !dst && !icmp && !icmp6;
        if (!src) s.src = all_addresses(v6);
        if (!dst) s.dst = all_addresses(v6);
    }

    // read_range - true: it is a range, and not "any".
    bool read_range(const char* key, IpRange& range) {
        bool any = false;
        const bool taken = keys_.word(key, "\"any\", a network such as \"10.1.0.0/16\" (no bit set behind it), an address, or FROM-TO", [&](const std::string& said) {
            any = said == "any";
            return any || to_range(said, &range);
        });
        any_[key[0] == 'd'] = any;
        return taken && !any;
    }

    bool read_ports(const char* key, Ports& ports) {
        return keys_.word_or_number(key, "\"any\", \"opaque\", a port, or FROM-TO", [&](const std::string& said) {
            uint64_t from = 0, to = 0;
            if (said == "any") return ports = Ports{}, true;
            if (said == "opaque") return ports = opaque_ports(), true;
            if (!to_span(said, UINT16_MAX, &from, &to)) return false;
            return ports = umbuf::ports(static_cast<uint16_t>(from), static_cast<uint16_t>(to)), true;
        });
    }

    // read_upper - ports, or ICMP's type and code. False: nothing more can be said of the selector.
    bool read_upper() {
        Selector& s = out_.policy.selector;
        const bool typed = s.protocol == Look::value && (s.proto == kProtoIcmp || s.proto == kProtoIcmpv6 || s.proto == kProtoMobility);
        if (typed) {
            for (const char* key : {"src_port", "dst_port"}) keys_.out_of_place(key, "this protocol has types, and no ports");
            return read_types();
        }
        for (const char* key : {"icmp_type", "icmp_code"}) keys_.out_of_place(key, "expected with protocol icmp or icmpv6 only");
        const bool first = read_ports("src_port", s.first), second = read_ports("dst_port", s.second);
        return (first || !keys_.has("src_port")) && (second || !keys_.has("dst_port"));
    }

    // RFC 4301, 4.4.1.1: one type with some codes, or some types with all of theirs.
    bool read_types() {
        uint64_t type = 0, last_type = 0, code = 0, last_code = UINT8_MAX;
        const bool types = keys_.word_or_number("icmp_type", "a type, or FROM-TO, up to 255", [&](const std::string& said) { return to_span(said, UINT8_MAX, &type, &last_type); });
        const bool codes = keys_.word_or_number("icmp_code", "a code, or FROM-TO, up to 255", [&](const std::string& said) { return to_span(said, UINT8_MAX, &code, &last_code); });
        if (keys_.has("icmp_code") && !keys_.has("icmp_type")) return keys_.missing("icmp_type", "one type, of which these are the codes"), false;
        if (codes && types && type != last_type) return keys_.complain("icmp_code", "expected one type, of which these are the codes: several types have all of theirs"), false;
        if (!types) return !keys_.has("icmp_type");
        const auto byte = [](uint64_t n) { return static_cast<uint8_t>(n); };
        out_.policy.selector.first = type == last_type ? icmp(byte(type), byte(code), byte(last_code)) : icmp_types(byte(type), byte(last_type));
        return true;
    }

    Keys& keys_;
    Conf& conf_;
    ConfPolicy out_;
    bool any_[2] = {};
    bool right_ = true;
};

// found_alike - would a packet of the one be taken for the other's?
bool found_alike(const ConfSa& a, const ConfSa& b) {
    if (a.direction != Direction::in || b.direction != Direction::in) return false;
    if (a.terms.spi != b.terms.spi || a.found_by != b.found_by) return false;
    if (a.found_by == SadKey::spi) return true;
    return a.terms.dst == b.terms.dst && (a.found_by == SadKey::spi_dst || a.terms.src == b.terms.src);
}

void check_pair(const ConfSa& sa, const ConfSa& before, Problems& problems) {
    const auto complain = [&](const std::string& text) { problems.add(sa.at, fmt::format("{}, of line {}", text, before.at.line)); };
    if (sa.name == before.name) complain(fmt::format("sa.name = \"{}\": expected another name than that of the SA", sa.name));
    if (found_alike(sa, before)) complain(fmt::format("sa.spi = {:#x}: expected another SPI than that of the inbound SA", sa.terms.spi));
    if (sa.direction == Direction::out && before.direction == Direction::out && sa.child == before.child)
        complain(fmt::format("sa.child = \"{}\": expected one outbound SA of a child, and there is that", sa.child));
    if (counts_nonces(sa.terms.algorithm) && same_key(sa.key, before.key) && !ends_of_one(sa, before))
        complain("sa.key: expected another key, or nonces would be used twice, than that of the SA");
}

}  // namespace

void read_ipsec(Keys& keys, Conf& conf) {
    keys.word("engine", "\"ipsec-mb\", \"cryptodev:NAME\" or \"security\"", [&](const std::string& said) {
        conf.options.push_back({keys.place("engine"), "--esp-engine=" + said});
        return check_esp_engine(said).ok();
    });
    keys.number("udp_port", conf.ipsec.udp_port, 0, UINT16_MAX);
    keys.number("sas", conf.ipsec.sas, 2, 1u << 20);
    keys.number("children", conf.ipsec.children, 1, 1u << 20);
}

void read_sa(Keys& keys, Conf& conf, const Source& source, const std::string& folder) { SaReader(keys, conf, source, folder).read(); }
void read_policy(Keys& keys, Conf& conf) { PolicyReader(keys, conf).read(); }

void check_sas(const Conf& conf, Problems& problems) {
    for (size_t i = 0; i < conf.sas.size(); ++i)
        for (size_t j = 0; j < i; ++j) check_pair(conf.sas[i], conf.sas[j], problems);
    if (conf.sas.size() > conf.ipsec.sas)
        problems.add({}, fmt::format("ipsec.sas = {}: expected room for the {} SAs of this file", conf.ipsec.sas, conf.sas.size()));
}

void check_policies(const Conf& conf, Problems& problems) {
    std::vector<std::string> children;
    for (const ConfSa& sa : conf.sas) children.push_back(sa.child);
    for (const ConfPolicy& policy : conf.policies) {
        if (policy.child.empty() || std::ranges::find(children, policy.child) != children.end()) continue;
        const std::string near = children.empty() ? "and there are no SAs" : fmt::format("the nearest is \"{}\"", nearest(policy.child, children));
        problems.add(policy.at, fmt::format("policy.child = \"{}\": expected the child of an SA, {}", policy.child, near));
    }
}

}  // namespace umbuf::fwd
