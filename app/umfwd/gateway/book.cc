// SPDX-License-Identifier: BSD-2-Clause
// book.cc - names, and what is done by them.
#include "app/umfwd/gateway/book.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "app/umfwd/say.h"

namespace umbuf::fwd {
namespace {

Error no_sa(const std::string& name) { return {ENOENT, fmt::format("there is no SA \"{}\"", name)}; }

// aside_name - what an SA is called when another has its name: no name of a person's has a slash.
std::string aside_name(const NamedSa& sa) { return fmt::format("{}/{:#x}", sa.said.name, sa.said.terms.spi); }

bool by_priority(const NamedPolicy* a, const NamedPolicy* b) { return a->said.policy.priority < b->said.policy.priority; }

}  // namespace

const char* name_of(SaState state) noexcept {
    switch (state) {
        case SaState::current: return "current";
        case SaState::old: return "old";
        case SaState::expired: return "expired";
    }
    return "?";
}

const char* name_of(SaEvent event) noexcept {
    switch (event) {
        case SaEvent::soft: return "soft";
        case SaEvent::hard: return "hard";
        case SaEvent::gone: return "gone";
    }
    return "?";
}

Book::~Book() {
    for (auto& [name, sa] : sas_) finish(*sa);
    for (Leaving& leaving : leaving_) finish(*leaving.sa);
}

// ---- SAs

Status Book::add_sa(ConfSa said, uint64_t now_s) {
    if (const Status free = check_name(said.name); !free) return free;
    if (const Status fresh = check_key(said); !fresh) return fresh;
    Result<std::unique_ptr<NamedSa>> made = make(std::move(said), now_s);
    if (!made) return made.error();
    put(std::move(made.value()));
    return {};
}

Status Book::rekey_sa(ConfSa fresh, uint64_t keep_s, uint64_t now_s) {
    const std::string name = fresh.name;
    const NamedSa* old = find(name);
    if (old == nullptr) return no_sa(name);
    if (old->state == SaState::old) return Error{EINVAL, fmt::format("SA \"{}\" is old: expected the one that packets go by", name)};
    if (const Status free = check_name(aside_name(*old)); !free) return free;
    if (const Status unused = check_key(fresh); !unused) return unused;
    Result<std::unique_ptr<NamedSa>> made = make(std::move(fresh), now_s);
    if (!made) return made.error();
    made.value()->from_file = old->from_file;
    set_aside(name, keep_s, now_s);
    put(std::move(made.value()));
    return {};
}

Status Book::delete_sa(const std::string& name) {
    const Status dropped = drop(name);
    collect();
    return dropped;
}

Status Book::delete_all_sas() {
    Status first;
    for (const NamedSa* sa : sas()) {
        Status dropped = drop(std::string(sa->said.name));
        if (first && !dropped) first = std::move(dropped);
    }
    collect();
    return first;
}

// ---- making one

Status Book::check_name(const std::string& name) const {
    if (!sas_.contains(name)) return {};
    return Error{EEXIST, fmt::format("there is an SA \"{}\"", name)};
}

// check_key - N3. The same key in the other direction is the other end of the same SA: for tests.
Status Book::check_key(const ConfSa& said) {
    let_leave(said);
    if (!counts_nonces(said.terms.algorithm)) return {};
    for (const auto& [name, sa] : sas_)
        if (same_key(said.key, sa->said.key) && !ends_of_one(said, sa->said))
            return Error{EEXIST, fmt::format("expected another key, or nonces would be used twice, than that of SA \"{}\"", name)};
    return {};
}

// let_leave - an SA that had this key or this file is out of the lanes, and its numbers are known. They turn in no time.
void Book::let_leave(const ConfSa& said) {
    for (const Leaving& leaving : leaving_)
        if (const ConfSa& had = leaving.sa->said; same_key(said.key, had.key) || (!said.seq_file.empty() && said.seq_file == had.seq_file))
            db_.grace.wait(leaving.token);
    collect();
}

// check_engine - an algorithm is tried with published examples before it is used for the first time.
Status Book::check_engine(const Algorithm& algorithm) {
    const std::string name = algorithm.name();
    if (tried_.contains(name)) return {};
    const Status tested = engine_selftest(db_.engine, algorithm);
    if (tested) tried_.insert(name);
    return tested;
}

// number - where the numbers of an outbound SA begin, and the file that remembers them; null: none does.
Result<std::unique_ptr<SeqFile>> Book::number(ConfSa& said) const {
    std::unique_ptr<SeqFile> file;
    if (said.direction == Direction::in) return file;
    const Algorithm& algorithm = said.terms.algorithm;
    if (!said.seq_file.empty()) {
        const std::optional<uint64_t> floor = said.floor_known ? std::optional(said.terms.seq_floor) : std::nullopt;
        Result<std::unique_ptr<SeqFile>> opened = SeqFile::open(said.seq_file, said.terms.spi, algorithm.name(), floor);
        if (!opened) return opened.error();
        file = std::move(opened.value());
        said.terms.seq_floor = file->floor();
    }
    if (!counts_nonces(algorithm)) return file;
    if (file == nullptr && !said.floor_known)
        return Error{EINVAL, fmt::format("a key of {} must never see a sequence number twice: expected seq-floor and the last number that it has sent, 0 for a "
                                         "key that was never used, or seq-file and the file that remembers it",
                                         algorithm.name())};
    if (const std::optional<uint64_t> last = used_.last(algorithm, said.key); last && *last > said.terms.seq_floor)
        return Error{EINVAL, fmt::format("this key has sent the numbers up to {} here: expected another key, or seq-floor {}", *last, *last)};
    return file;
}

Result<SaId> Book::enter(const ConfSa& said, ChildId child, uint64_t now_s) {
    NewSa wanted{.terms = said.terms, .found_by = said.found_by, .child = child, .key = said.key.bytes(), .engine = &db_.engine, .now_s = now_s};
    wanted.terms.name = said.name;
    const Result<SaId> id = said.direction == Direction::in ? db_.sad().add_in(wanted) : db_.sad().add_out(wanted);
    if (!id && id.error().code == EEXIST) return Error{EEXIST, fmt::format("expected another SPI than {:#x}: an inbound SA that is found by the same has it", said.terms.spi)};
    return id;
}

// make - an SA that no packet goes by yet, if it is outbound. It has no name yet. Error: all is as it was.
Result<std::unique_ptr<NamedSa>> Book::make(ConfSa said, uint64_t now_s) {
    if (const Status able = check_engine(said.terms.algorithm); !able) return able.error();
    Result<std::unique_ptr<SeqFile>> file = number(said);
    if (!file) return file.error();
    const Result<ChildId> child = use_child(said.child);
    if (!child) return child.error();
    const Result<SaId> id = enter(said, child.value(), now_s);
    if (!id) {
        unuse_child(said.child);
        return id.error();
    }
    auto sa = std::make_unique<NamedSa>();
    sa->said = std::move(said);
    sa->id = id.value();
    sa->file = std::move(file.value());
    if (sa->file == nullptr) return sa;
    if (const Status covered = sa->file->cover(resolve(sa->id)->sequence); !covered) {
        unmake(std::move(sa));
        return covered.error();
    }
    sa->keeper = std::make_unique<SeqKeeper>(*sa->file, resolve(sa->id)->sequence);
    return sa;
}

// unmake - one that was made, and never put.
void Book::unmake(std::unique_ptr<NamedSa> sa) {
    finish(*sa);
    if (const Status removed = db_.sad().remove(sa->id); !removed) fwd::say(removed.error().text + "\n");
    unuse_child(sa->said.child);
}

// put - its name is free. An outbound one is its child's from now on.
void Book::put(std::unique_ptr<NamedSa> sa) {
    if (sa->said.direction == Direction::out) set_current(*sa);
    by_id_[sa->id.id] = sa.get();
    const std::string name = sa->said.name;
    sas_[name] = std::move(sa);
}

void Book::set_current(NamedSa& sa) {
    const ChildId child = children_.at(sa.said.child).id;
    Sa* before = nullptr;
    const bool there = db_.children.out(child, &before);
    UM_ASSERT(there);  // the SA uses it
    if (before != nullptr && before->terms.dst == sa.said.terms.dst) resolve(sa.id)->path.inherit(before->path);
    if (before != nullptr)
        if (NamedSa* old = named(id_of(*before)); old != nullptr && old->state == SaState::current) old->state = SaState::old;
    const Status set = db_.children.set_out(child, resolve(sa.id));
    UM_ASSERT(set.ok());
}

// set_aside - the SA gives its name away.
void Book::set_aside(const std::string& name, uint64_t keep_s, uint64_t now_s) {
    Sas::node_type node = sas_.extract(name);
    NamedSa& sa = *node.mapped();
    sa.said.name = node.key() = aside_name(sa);
    sa.state = SaState::old;
    sa.goes_s = sa.said.direction == Direction::out ? now_s : now_s + keep_s;
    sas_.insert(std::move(node));
}

// ---- taking one away

// drop - a packet that begins from now on does not find it. An outbound one leaves when those that have begun
// are done.
Status Book::drop(const std::string& name) {
    const auto at = sas_.find(name);
    if (at == sas_.end()) return no_sa(name);
    NamedSa& sa = *at->second;
    const std::string child = sa.said.child, gone = name;
    if (sa.said.direction == Direction::in) {
        if (const Status removed = db_.remove_sa(sa.id); !removed) return removed;
    } else {
        const ChildId id = children_.at(child).id;
        if (Sa* current = nullptr; db_.children.out(id, &current) && current == resolve(sa.id))
            if (const Status unset = db_.children.set_out(id, nullptr); !unset) return unset;
    }
    by_id_.erase(sa.id.id);
    if (sa.said.direction == Direction::out) leaving_.push_back({std::move(at->second), db_.grace.start()});
    sas_.erase(at);
    unuse_child(child);
    say(SaEvent::gone, gone);
    return {};
}

// collect - who has left the lanes has used its last number.
void Book::collect() {
    std::erase_if(leaving_, [this](Leaving& leaving) {
        if (!db_.grace.passed(leaving.token)) return false;
        finish(*leaving.sa);
        db_.retire(leaving.sa->id);
        return true;
    });
    (void)db_.collect();
}

// finish - exactly how far the key has come: no lane uses the SA any more. What the disk does not take is not
// lost, for the file says more, but somebody should know.
void Book::finish(NamedSa& sa) {
    if (sa.said.direction == Direction::in) return;
    SendSequence& sequence = resolve(sa.id)->sequence;
    if (counts_nonces(sa.said.terms.algorithm))
        if (const Status noted = used_.note(sa.said.terms.algorithm, sa.said.key, sequence.last()); !noted) fwd::say(noted.error().text + "\n");
    if (sa.file == nullptr) return;
    const Status covered = sa.keeper != nullptr ? sa.keeper->stop() : Status(), finished = sa.file->finish(sequence);
    sa.keeper.reset();
    sa.file.reset();
    for (const Status& status : {covered, finished})
        if (!status) fwd::say(fmt::format("SA \"{}\": {}\n", sa.said.name, status.error().text));
}

// ---- children

Result<ChildId> Book::use_child(const std::string& name) {
    const auto known = children_.find(name);
    if (known != children_.end()) {
        ++known->second.users;
        return known->second.id;
    }
    const Result<ChildId> made = db_.children.add();
    if (made) children_[name] = {made.value(), 1};
    return made;
}

void Book::unuse_child(const std::string& name) {
    const auto known = children_.find(name);
    UM_ASSERT(known != children_.end());
    if (--known->second.users > 0) return;
    const Status removed = db_.children.remove(known->second.id);
    UM_ASSERT(removed.ok());
    children_.erase(known);
}

// ---- policies

Status Book::publish(const std::vector<NamedPolicy>& policies) {
    std::vector<Policy> all;
    for (const NamedPolicy& named : policies) {
        Policy p = named.said.policy;
        if (p.action == Action::protect) p.child = children_.at(named.said.child).id;
        all.push_back(p);
        if (!named.said.both_families) continue;
        p.selector.src = p.selector.dst = all_addresses(!p.selector.src.from.v6);
        all.push_back(p);
    }
    return db_.spd.publish(all);
}

Result<uint32_t> Book::add_policy(ConfPolicy said) {
    for (const NamedPolicy& policy : policies_)
        if (!said.name.empty() && policy.said.name == said.name) return Error{EEXIST, fmt::format("there is a policy \"{}\"", said.name)};
    const bool protects = said.policy.action == Action::protect;
    if (protects)
        if (const Result<ChildId> child = use_child(said.child); !child) return child.error();
    std::vector<NamedPolicy> wanted = policies_;
    wanted.push_back({.number = last_policy_ + 1, .from_file = false, .said = said});
    if (const Status published = publish(wanted); !published) {
        if (protects) unuse_child(said.child);
        return published.error();
    }
    policies_ = std::move(wanted);
    return ++last_policy_;
}

Status Book::delete_policy(const std::string& which) {
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(which.data(), which.data() + which.size(), number);
    const bool numbered = error == std::errc{} && end == which.data() + which.size();
    const auto is = [&](const NamedPolicy& p) { return numbered ? p.number == number : p.said.name == which; };
    const auto at = std::ranges::find_if(policies_, is);
    if (at == policies_.end()) return Error{ENOENT, fmt::format("there is no policy {}{}{}", numbered ? "" : "\"", which, numbered ? "" : "\"")};
    std::vector<NamedPolicy> wanted = policies_;
    wanted.erase(wanted.begin() + (at - policies_.begin()));
    if (const Status published = publish(wanted); !published) return published;
    const ConfPolicy gone = at->said;
    policies_ = std::move(wanted);
    if (gone.policy.action == Action::protect) unuse_child(gone.child);
    return {};
}

Status Book::delete_all_policies() {
    if (const Status published = publish({}); !published) return published;
    for (const NamedPolicy& policy : std::exchange(policies_, {}))
        if (policy.said.policy.action == Action::protect) unuse_child(policy.said.child);
    return {};
}

// ---- looking

const NamedSa* Book::find(const std::string& name) const {
    const auto at = sas_.find(name);
    return at == sas_.end() ? nullptr : at->second.get();
}

std::vector<const NamedSa*> Book::sas() const {
    std::vector<const NamedSa*> all;
    for (const auto& [name, sa] : sas_) all.push_back(sa.get());
    return all;
}

std::vector<const NamedPolicy*> Book::policies() const {
    std::vector<const NamedPolicy*> all;
    for (const NamedPolicy& policy : policies_) all.push_back(&policy);
    std::ranges::stable_sort(all, by_priority);
    return all;
}

const Sa& Book::sa_of(const NamedSa& sa) const { return *resolve(sa.id); }

NamedSa* Book::named(SaId id) const {
    const auto at = by_id_.find(id.id);
    return at == by_id_.end() || at->second->id != id ? nullptr : at->second;
}

// ---- time

void Book::poll(uint64_t now_s) {
    note_use(now_s);
    look_at_limits(now_s);
    drop_what_has_had_its_time(now_s);
    collect();
}

void Book::note_use(uint64_t now_s) {
    for (auto& [name, sa] : sas_) {
        const uint64_t packets = resolve(sa->id)->counters.packets.read();
        if (packets == sa->packets) continue;
        sa->packets = packets;
        sa->used_s = now_s;
    }
}

void Book::look_at_limits(uint64_t now_s) {
    const IpsecDb::Due due = db_.due(now_s);
    for (const SaId id : due.soft) {
        NamedSa* sa = named(id);
        if (sa == nullptr || sa->told_soft || sa->state != SaState::current) continue;
        sa->told_soft = true;
        say(SaEvent::soft, sa->said.name);
    }
    for (const SaId id : due.hard) {
        NamedSa* sa = named(id);
        if (sa == nullptr || sa->state == SaState::expired) continue;
        sa->state = SaState::expired;
        sa->goes_s = std::min(sa->goes_s, now_s + kKeep_s);
        say(SaEvent::hard, sa->said.name);
    }
}

void Book::drop_what_has_had_its_time(uint64_t now_s) {
    std::vector<std::string> gone;
    for (const auto& [name, sa] : sas_)
        if (sa->goes_s <= now_s) gone.push_back(name);
    for (const std::string& name : gone)
        if (const Status dropped = drop(name); !dropped) fwd::say(fmt::format("SA \"{}\": {}\n", name, dropped.error().text));
}

}  // namespace umbuf::fwd
