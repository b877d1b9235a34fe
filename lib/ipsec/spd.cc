// SPDX-License-Identifier: BSD-2-Clause
// spd.cc - policies to rules of rte_acl.
#include "lib/ipsec/spd.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include <rte_acl.h>
#include <rte_errno.h>

namespace umbuf {
namespace {

__extension__ typedef unsigned __int128 Wide;  // an address, as a number

constexpr uint32_t kCommon = 4, kMostFields = kCommon + 8, kClassify = 32;

struct Rule {
    rte_acl_rule_data data;
    rte_acl_field field[kMostFields];
};
static_assert(offsetof(Rule, field) == offsetof(rte_acl_rule, field) && sizeof(Rule) == RTE_ACL_RULE_SZ(kMostFields));

uint32_t words_of(bool v6) noexcept { return v6 ? 4 : 1; }

Wide number_of(const IpAddress& address) noexcept {
    Wide n = 0;
    for (uint32_t i = 0; i < words_of(address.v6) * 4; ++i) n = n << 8 | address.bytes[i];
    return n;
}

struct Prefix {
    Wide at;
    uint32_t bits;
};

Wide ones(uint32_t n) noexcept { return n == 128 ? ~Wide{0} : (Wide{1} << n) - 1; }

// prefixes_of - the fewest that make the range up, from its lower end.
std::vector<Prefix> prefixes_of(const IpRange& range) {
    const uint32_t width = words_of(range.from.v6) * 32;
    const Wide last = number_of(range.to);
    std::vector<Prefix> all;
    for (Wide at = number_of(range.from);;) {
        uint32_t open = 0;  // bits that the prefix which begins here leaves open
        while (open < width && (at & ones(open + 1)) == 0 && (at | ones(open + 1)) <= last) ++open;
        all.push_back({at, width - open});
        if ((at | ones(open)) == last) return all;
        at = (at | ones(open)) + 1;
    }
}

rte_acl_field_def def(uint8_t type, uint8_t size, uint32_t index, uint32_t input, uint32_t offset) noexcept {
    return {.type = type, .size = size, .field_index = static_cast<uint8_t>(index), .input_index = static_cast<uint8_t>(input), .offset = offset};
}

rte_acl_config config_of(bool v6) noexcept {
    rte_acl_config config{};
    config.num_categories = 1;
    config.defs[0] = def(RTE_ACL_FIELD_TYPE_BITMASK, 1, 0, 0, PacketKey::kProto);
    config.defs[1] = def(RTE_ACL_FIELD_TYPE_RANGE, 2, 1, 1, PacketKey::kFirst);
    config.defs[2] = def(RTE_ACL_FIELD_TYPE_RANGE, 2, 2, 1, PacketKey::kSecond);
    config.defs[3] = def(RTE_ACL_FIELD_TYPE_BITMASK, 4, 3, 2, PacketKey::kUnknown);
    const uint32_t words = 2 * words_of(v6);
    for (uint32_t i = 0; i < words; ++i)
        config.defs[kCommon + i] = def(RTE_ACL_FIELD_TYPE_MASK, 4, kCommon + i, 3 + i, PacketKey::kSrc + 4 * i);
    config.num_fields = kCommon + words;
    return config;
}

rte_acl_field field(uint32_t value, uint32_t mask_or_end) noexcept {
    rte_acl_field f{};
    f.value.u32 = value;
    f.mask_range.u32 = mask_or_end;
    return f;
}
rte_acl_field field16(uint16_t from, uint16_t to) noexcept {
    rte_acl_field f{};
    f.value.u16 = from;
    f.mask_range.u16 = to;
    return f;
}
rte_acl_field field8(uint8_t value, uint8_t mask) noexcept {
    rte_acl_field f{};
    f.value.u8 = value;
    f.mask_range.u8 = mask;
    return f;
}
rte_acl_field field_of(const Ports& p) noexcept { return p.look == Look::value ? field16(p.from, p.to) : field16(0, UINT16_MAX); }

// unknown_of - which of the two bits a packet must have, and must not (selector.h).
rte_acl_field unknown_of(const Selector& s) noexcept {
    uint32_t set = 0, clear = 0;
    for (const Ports& p : {s.first, s.second}) {
        if (p.look == Look::opaque) set |= PacketKey::kPortsUnknown;
        if (p.look == Look::value) clear |= PacketKey::kPortsUnknown;
    }
    if (s.protocol == Look::opaque) set |= PacketKey::kProtoUnknown;
    if (s.protocol == Look::value) clear |= PacketKey::kProtoUnknown;
    return field(set, set | clear);
}

void put_prefix(const Prefix& prefix, bool v6, rte_acl_field* to) noexcept {
    const uint32_t words = words_of(v6);
    for (uint32_t i = 0; i < words; ++i) {
        const uint32_t bits = prefix.bits <= 32 * i ? 0 : std::min<uint32_t>(32, prefix.bits - 32 * i);
        to[i] = field(static_cast<uint32_t>(prefix.at >> 32 * (words - 1 - i)), bits);
    }
}

std::string name_of(size_t index) { return "policy " + std::to_string(index + 1); }

// Names are the process's.
std::string new_name() {
    static uint32_t made = 0;  // control thread
    return "um_spd_" + std::to_string(made++);
}

}  // namespace

struct Spd::Tables {
    std::vector<Policy> policies;  // in order
    rte_acl_ctx* of[2][2] = {};    // [direction][v6]; null: no policy
    Tables() = default;
    Tables(const Tables&) = delete;
    Tables& operator=(const Tables&) = delete;
    ~Tables() {
        for (auto& families : of)
            for (rte_acl_ctx* context : families) rte_acl_free(context);
    }
    // rules - of one context. Error: a policy in too many pieces.
    [[nodiscard]] Result<std::vector<Rule>> rules(Direction direction, bool v6) const {
        std::vector<Rule> all;
        for (size_t i = 0; i < policies.size(); ++i) {
            const Policy& p = policies[i];
            const Selector& s = p.selector;
            if (p.direction != direction || s.src.from.v6 != v6) continue;
            const std::vector<Prefix> src = prefixes_of(s.src), dst = prefixes_of(s.dst);
            if (src.size() * dst.size() > kMostPieces)
                return Error{E2BIG, name_of(i) + ": its addresses are " + std::to_string(src.size()) + " by " + std::to_string(dst.size()) +
                                        " prefixes, and at most " + std::to_string(kMostPieces) + " are taken: use ranges that are nearer to prefixes"};
            Rule rule{};
            rule.data = {.category_mask = 1, .priority = static_cast<int32_t>(policies.size() - i), .userdata = static_cast<uint32_t>(i + 1)};
            rule.field[0] = s.protocol == Look::value ? field8(s.proto, UINT8_MAX) : field8(0, 0);
            rule.field[1] = field_of(s.first);
            rule.field[2] = field_of(s.second);
            rule.field[3] = unknown_of(s);
            for (const Prefix& from : src)
                for (const Prefix& to : dst) {
                    put_prefix(from, v6, rule.field + kCommon);
                    put_prefix(to, v6, rule.field + kCommon + words_of(v6));
                    all.push_back(rule);
                }
        }
        return all;
    }
    [[nodiscard]] Status build(Direction direction, bool v6, int socket) {
        const Result<std::vector<Rule>> made = rules(direction, v6);
        if (!made) return made.error();
        const std::vector<Rule>& all = made.value();
        if (all.empty()) return {};
        const std::string name = new_name();
        const rte_acl_param param{.name = name.c_str(), .socket_id = socket, .rule_size = sizeof(Rule), .max_rule_num = static_cast<uint32_t>(all.size())};
        rte_acl_ctx*& context = of[static_cast<size_t>(direction)][v6];
        context = rte_acl_create(&param);
        if (context == nullptr) return Error{rte_errno, "no memory for " + std::to_string(all.size()) + " rules: " + rte_strerror(rte_errno)};
        const rte_acl_config config = config_of(v6);
        int error = rte_acl_add_rules(context, reinterpret_cast<const rte_acl_rule*>(all.data()), static_cast<uint32_t>(all.size()));
        if (error == 0) error = rte_acl_build(context, &config);
        if (error == 0) return {};
        return Error{-error, std::to_string(all.size()) + " rules could not be built: " + rte_strerror(-error)};
    }
};

Spd::Spd(Grace& grace, int socket) : grace_(grace), socket_(socket), owned_(std::make_unique<Tables>()), active_(owned_.get()) {}

Spd::~Spd() = default;

const std::vector<Policy>& Spd::policies() const noexcept { return owned_->policies; }

Result<std::unique_ptr<Spd::Tables>> Spd::build(std::vector<Policy> policies, int socket) {
    auto tables = std::make_unique<Tables>();
    std::stable_sort(policies.begin(), policies.end(), [](const Policy& a, const Policy& b) { return a.priority < b.priority; });
    tables->policies = std::move(policies);
    for (const Direction direction : {Direction::in, Direction::out})
        for (const bool v6 : {false, true})
            if (const Status built = tables->build(direction, v6, socket); !built) return built.error();
    return tables;
}

void Spd::collect() {
    std::erase_if(dead_, [this](const Dead& dead) { return grace_.passed(dead.token); });
}

Status Spd::publish(std::span<const Policy> policies) {
    collect();
    for (size_t i = 0; i < policies.size(); ++i)
        if (const Status sane = check_selector(policies[i].selector); !sane) return Error{sane.error().code, name_of(i) + ": " + sane.error().text};
    Result<std::unique_ptr<Tables>> made = build({policies.begin(), policies.end()}, socket_);
    if (!made) return made.error();
    active_.store(made.value().get(), sync::release);  // P1; pairs with classify()
    std::swap(owned_, made.value());
    dead_.push_back({std::move(made.value()), grace_.start()});
    return {};
}

void Spd::classify(Direction direction, const PacketKey* keys, const Policy** found, uint16_t n) const noexcept {
    const Tables& tables = *active_.load(sync::acquire);
    for (uint32_t from = 0; from < n; from += kClassify) {
        const uint32_t to = std::min<uint32_t>(n, from + kClassify);
        for (const bool v6 : {false, true}) {
            const uint8_t* data[kClassify];
            uint32_t whose[kClassify], results[kClassify] = {}, k = 0;
            for (uint32_t i = from; i < to; ++i) {
                if (keys[i].v6 != v6) continue;
                data[k] = keys[i].bytes.data();
                whose[k++] = i;
            }
            if (k == 0) continue;
            const rte_acl_ctx* context = tables.of[static_cast<size_t>(direction)][v6];
            if (context != nullptr) {
                const int error = rte_acl_classify(context, data, results, k, 1);
                UM_ASSERT(error == 0);
            }
            for (uint32_t i = 0; i < k; ++i) found[whose[i]] = results[i] == 0 ? nullptr : &tables.policies[results[i] - 1];
        }
    }
}

}  // namespace umbuf
