// SPDX-License-Identifier: BSD-2-Clause
// ipsec_db.cc - a burst through policies and SAs.
#include "lib/ipsec/ipsec_db.h"

#include <algorithm>
#include <cerrno>

#include "lib/ipsec/esp_batch.h"

namespace umbuf {

IpsecDb::IpsecDb(const IpsecConfig& config, const Engine& e, rte_rcu_qsbr* readers)
    : grace(readers), children(config.children, grace), spd(grace, config.socket), engine(e), udp_port(config.udp_port) {}

Result<std::unique_ptr<IpsecDb>> IpsecDb::make(const IpsecConfig& config, const Engine& engine, rte_rcu_qsbr* readers) {
    std::unique_ptr<IpsecDb> db(new IpsecDb(config, engine, readers));
    Result<std::unique_ptr<Sad>> sad = Sad::make(config.sas, db->grace, config.socket);
    if (!sad) return sad.error();
    db->sad_ = std::move(sad.value());
    return db;
}

Result<SaId> IpsecDb::rekey_out(const NewSa& from) {
    Sa* old = nullptr;
    if (!children.out(from.child, &old)) return Error{ENOENT, "there is no child " + std::to_string(from.child.id)};
    const Result<SaId> made = sad_->add_out(from);
    if (!made) return made;
    Sa* fresh = sad_->resolve(made.value().id, made.value().generation);
    if (old != nullptr && old->terms.dst == from.terms.dst) fresh->path.inherit(old->path);
    const Status set = children.set_out(from.child, fresh);
    UM_ASSERT(set.ok());  // it was there
    if (old != nullptr) retire(id_of(*old));
    return made;
}

uint32_t IpsecDb::collect() {
    std::erase_if(retired_, [this](const Retired& retired) {
        if (!grace.passed(retired.token) || sad_->busy(retired.id)) return false;
        (void)sad_->remove(retired.id);  // ENOENT: somebody did before
        return true;
    });
    return sad_->collect() + static_cast<uint32_t>(retired_.size());
}

Status IpsecDb::remove_sa(SaId id) {
    Sa* sa = sad_->resolve(id.id, id.generation);
    Sa* current = nullptr;
    if (sa != nullptr && children.out(sad_->child_of(*sa), &current) && current == sa)
        if (const Status unset = children.set_out(sad_->child_of(*sa), nullptr); !unset) return unset;
    return sad_->remove(id);
}

uint32_t IpsecDb::lower_path(const TooBig& said, uint64_t now_s) {
    uint32_t lowered = 0;
    for (Sa* sa : sad_->sas()) {
        const SaTerms& t = sa->terms;
        const bool by_udp = t.udp && t.udp_src == said.udp_src && t.udp_dst == said.udp_dst;
        if (t.spi != said.spi || t.dst != said.dst || t.src != said.src || t.udp != said.udp || (t.udp && !by_udp)) continue;
        if (!sad_->inbound(id_of(*sa)) && sa->path.lower(said.mtu, said.dst.v6, now_s)) ++lowered;
    }
    return lowered;
}

IpsecDb::Due IpsecDb::due(uint64_t now_s) const {
    Due due;
    for (const Sa* sa : sad_->sas()) {
        if (std::any_of(retired_.begin(), retired_.end(), [sa](const Retired& r) { return r.id == id_of(*sa); })) continue;
        const uint64_t age = now_s - sa->born_s();
        const auto past = [&](const Lifetime& limit) { return limit.seconds != 0 && age >= limit.seconds; };
        const bool used_up = sa->counters.refused.of(Xfrm::in_expired) + sa->counters.refused.of(Xfrm::out_expired) > 0;
        if (past(sa->terms.hard) || used_up)
            due.hard.push_back(id_of(*sa));
        else if (past(sa->terms.soft) || sa->counters.soft_expired.read() != 0)
            due.soft.push_back(id_of(*sa));
    }
    return due;
}

namespace {

constexpr uint16_t kBurst = kEspBurst;

// Some - packets of a burst that go the same way, in their order.
struct Some {
    uint16_t n = 0;
    uint16_t whose[kBurst];
    Sa* sas[kBurst];
    Mbuf* packets[kBurst];
    EspFate fates[kBurst];
    void add(uint16_t i, Mbuf* m, Sa* sa) noexcept {
        whose[n] = i;
        sas[n] = sa;
        packets[n++] = m;
    }
};

void refuse(EspLane& lane, Sa* sa, IpsecFate& fate, Xfrm why, int error = 0) noexcept {
    fate = {IpsecWay::refused, {why, error}};
    lane.counters.count(why);
    if (sa != nullptr) sa->counters.refused.count(why);
}

constexpr uint16_t kBlock = 32;  // packets that the policies are asked about at once

// classify - the policy of each packet, null: none. n <= kBlock. Packets that have no selectors are refused and
// have none, either: seen[i] is false.
void classify(const IpsecDb& db, EspLane& lane, Direction direction, Mbuf* const* packets, Sa* const* sas, IpsecFate* fates, const Policy** found,
              bool* seen, uint16_t n) noexcept {
    PacketKey keys[kBlock];
    const Policy* policies[kBlock];
    uint16_t of[kBlock], k = 0;
    const bool in = direction == Direction::in;
    for (uint16_t i = 0; i < n; ++i) {
        found[i] = nullptr;
        const int error = selectors_of(packets[i], &keys[k]);
        seen[i] = error == 0;
        Sa* sa = sas == nullptr ? nullptr : sas[i];
        if (__builtin_expect(error == 0, 1))
            of[k++] = i;
        else if (error == EBADMSG)
            refuse(lane, sa, fates[i], in ? Xfrm::in_header : Xfrm::out_header);
        else
            refuse(lane, sa, fates[i], in ? Xfrm::in_error : Xfrm::out_error, error);
    }
    if (k == 0) return;
    db.spd.classify(direction, keys, policies, k);
    for (uint16_t i = 0; i < k; ++i) found[of[i]] = policies[i];
}

// ---- out

// choose - the SA that the policy protects by, or that it is decided: both in the fate.
void choose(const IpsecDb& db, EspLane& lane, const Policy* policy, IpsecFate& fate, Sa*& sa, ChildId& child) noexcept {
    if (policy == nullptr || policy->action == Action::discard) return refuse(lane, nullptr, fate, Xfrm::out_blocked);
    fate = {IpsecWay::bypass, {}};
    if (policy->action == Action::bypass) return;
    child = policy->child;
    sa = ipsec_current(db, lane, child, fate);
}

// deliver - what an ESP function made of `some`, back to the burst.
void deliver(const Some& some, Mbuf** packets, IpsecFate* fates) noexcept {
    for (uint16_t k = 0; k < some.n; ++k) {
        packets[some.whose[k]] = some.packets[k];
        fates[some.whose[k]] = {some.fates[k].ok() ? IpsecWay::esp : IpsecWay::refused, some.fates[k]};
    }
}

void out(const IpsecDb& db, EspLane& lane, Mbuf** packets, IpsecFate* fates, uint16_t n) noexcept {
    Some protect;
    Sa* sas[kBurst];
    ChildId children[kBurst];
    ipsec_choose(db, lane, packets, fates, sas, children, n);
    for (uint16_t i = 0; i < n; ++i)
        if (fates[i].way == IpsecWay::esp) protect.add(i, packets[i], sas[i]);
    esp_output(lane, protect.sas, protect.packets, protect.fates, protect.n);
    deliver(protect, packets, fates);
}

// ---- in

// may_pass - B1, B2. `sa`: that it came through; null: in plaintext.
Xfrm may_pass(const IpsecDb& db, const Policy* policy, const Sa* sa) noexcept {
    if (policy == nullptr) return Xfrm::in_no_policy;
    if (policy->action == Action::discard) return Xfrm::in_blocked;
    if (policy->action == Action::bypass) return sa == nullptr ? Xfrm::ok : Xfrm::in_template;
    return sa != nullptr && policy->child == db.sad().child_of(*sa) ? Xfrm::ok : Xfrm::in_template;
}

// admit - `some` are what they will be if they pass.
void admit(const IpsecDb& db, EspLane& lane, const Some& some, IpsecFate* fates) noexcept {
    IpsecFate admitted[kBurst];
    ipsec_admit(db, lane, some.packets, some.sas, admitted, some.n);
    for (uint16_t k = 0; k < some.n; ++k) fates[some.whose[k]] = admitted[k];
}

// is_udp_fragment - esp_wire() wants whole datagrams; what is none may still pass by a policy.
bool is_udp_fragment(const EspWire& wire) noexcept { return wire.kind == EspWireKind::malformed && wire.ip.fragment && wire.ip.proto == kProtoUdp; }

// sort - what is ESP, to `esp` with its query; what is plaintext; the rest is decided.
void sort(const IpsecDb& db, EspLane& lane, Mbuf** packets, IpsecFate* fates, uint16_t n, Some& esp, SadQuery* queries, Some& plain) noexcept {
    for (uint16_t i = 0; i < n; ++i) {
        Mbuf* m = packets[i];
        if (const int error = esp::readable(m); error != 0) {
            refuse(lane, nullptr, fates[i], Xfrm::in_error, error);
            continue;
        }
        const EspWire wire = esp_wire(m, db.udp_port);
        if (wire.kind == EspWireKind::esp) {
            queries[esp.n] = ipsec_query(m, wire);
            esp.add(i, m, nullptr);
        } else if (wire.kind == EspWireKind::none || wire.kind == EspWireKind::non_esp || is_udp_fragment(wire)) {
            plain.add(i, m, nullptr);  // IKE is plaintext, too, and wants its policy
        } else if (wire.kind == EspWireKind::keepalive) {
            fates[i] = {IpsecWay::keepalive, {}};
        } else {
            refuse(lane, nullptr, fates[i], Xfrm::in_header);
        }
    }
}

void in(const IpsecDb& db, EspLane& lane, Mbuf** packets, IpsecFate* fates, uint16_t n) noexcept {
    Some esp, plain, opened;
    SadQuery queries[kBurst];
    sort(db, lane, packets, fates, n, esp, queries, plain);
    db.sad().lookup(queries, esp.sas, esp.n);
    esp_input(lane, esp.sas, esp.packets, esp.fates, esp.n);
    deliver(esp, packets, fates);
    for (uint16_t k = 0; k < esp.n; ++k)
        if (esp.fates[k].ok()) opened.add(esp.whose[k], esp.packets[k], esp.sas[k]);
    admit(db, lane, opened, fates);
    admit(db, lane, plain, fates);
}

template <class Pass>
void in_bursts(Pass pass, const IpsecDb& db, EspLane& lane, Mbuf** packets, IpsecFate* fates, uint16_t n) noexcept {
    UM_ASSERT(&db.engine == &lane.engine);
    for (uint32_t from = 0; from < n; from += kBurst)
        pass(db, lane, packets + from, fates + from, static_cast<uint16_t>(std::min<uint32_t>(kBurst, n - from)));
}

}  // namespace

void ipsec_choose(const IpsecDb& db, EspLane& lane, Mbuf* const* packets, IpsecFate* fates, Sa** sas, ChildId* children, uint16_t n) noexcept {
    for (uint32_t from = 0; from < n; from += kBlock) {
        const Policy* policies[kBlock];
        bool seen[kBlock];
        const uint16_t some = static_cast<uint16_t>(std::min<uint32_t>(kBlock, n - from));
        classify(db, lane, Direction::out, packets + from, nullptr, fates + from, policies, seen, some);
        const Policy* last = nullptr;  // packets of one policy come in runs, and go by one SA
        Sa* its = nullptr;
        for (uint32_t i = 0; i < some; ++i) {
            const uint32_t at = from + i;
            if (!seen[i]) continue;
            if (policies[i] != nullptr && policies[i] == last) {
                fates[at] = {IpsecWay::esp, {}};
                sas[at] = its;
                children[at] = last->child;
                continue;
            }
            choose(db, lane, policies[i], fates[at], sas[at], children[at]);
            last = fates[at].way == IpsecWay::esp ? policies[i] : nullptr;
            its = last == nullptr ? nullptr : sas[at];
        }
    }
}

Sa* ipsec_current(const IpsecDb& db, EspLane& lane, ChildId child, IpsecFate& fate) noexcept {
    Sa* sa = nullptr;
    if (!db.children.out(child, &sa)) refuse(lane, nullptr, fate, Xfrm::out_bundle);
    else if (sa == nullptr) refuse(lane, nullptr, fate, Xfrm::out_no_states);
    else fate = {IpsecWay::esp, {}};
    return sa;
}

SadQuery ipsec_query(const Mbuf* m, const EspWire& wire) noexcept {
    const bool v6 = wire.ip.v6;
    const uint32_t size = v6 ? 16 : 4;
    SadQuery query{};
    query.spi = wire.spi;
    query.dst.v6 = query.src.v6 = v6;
    esp::peek(m, v6 ? 8 : 12, size, reinterpret_cast<std::byte*>(query.src.bytes.data()));
    esp::peek(m, v6 ? 24 : 16, size, reinterpret_cast<std::byte*>(query.dst.bytes.data()));
    return query;
}

void ipsec_admit(const IpsecDb& db, EspLane& lane, Mbuf* const* packets, Sa* const* sas, IpsecFate* fates, uint16_t n) noexcept {
    for (uint32_t from = 0; from < n; from += kBlock) {
        const Policy* policies[kBlock];
        bool seen[kBlock];
        const uint16_t some = static_cast<uint16_t>(std::min<uint32_t>(kBlock, n - from));
        classify(db, lane, Direction::in, packets + from, sas + from, fates + from, policies, seen, some);
        for (uint32_t i = 0; i < some; ++i) {
            if (!seen[i]) continue;
            Sa* sa = sas[from + i];
            if (const Xfrm why = may_pass(db, policies[i], sa); why != Xfrm::ok)
                refuse(lane, sa, fates[from + i], why);
            else
                fates[from + i] = {sa != nullptr ? IpsecWay::esp : IpsecWay::bypass, {}};
        }
    }
}

void ipsec_out(const IpsecDb& db, EspLane& lane, Mbuf** packets, IpsecFate* fates, uint16_t n) noexcept {
    in_bursts(out, db, lane, packets, fates, n);
}

void ipsec_in(const IpsecDb& db, EspLane& lane, Mbuf** packets, IpsecFate* fates, uint16_t n) noexcept {
    in_bursts(in, db, lane, packets, fates, n);
}

}  // namespace umbuf
