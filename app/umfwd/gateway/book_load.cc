// SPDX-License-Identifier: BSD-2-Clause
// book_load.cc - a configuration in place of the one before.
//
// All that can fail comes first, and can be taken back: new SAs are made beside the old ones, outbound ones
// without a packet that goes by them. Then the policies change, in one step. What is left cannot fail.
#include <algorithm>

#include <fmt/format.h>

#include "app/umfwd/gateway/book.h"
#include "app/umfwd/gateway/sa_words.h"
#include "app/umfwd/say.h"

namespace umbuf::fwd {
namespace {

// same - is it what it was? Where its numbers began does not matter any more.
bool same(const ConfSa& a, const ConfSa& b) { return words_of(a) == words_of(b) && a.key.size() == b.key.size() && same_key(a.key, b.key); }

Result<ConfSa> copy_of(const ConfSa& sa) {
    Result<Secret> key = Secret::copy(sa.key.bytes());
    if (!key) return key.error();
    return ConfSa{.at = sa.at, .name = sa.name, .child = sa.child, .direction = sa.direction, .terms = sa.terms, .found_by = sa.found_by, .floor_known = sa.floor_known, .seq_file = sa.seq_file, .key = std::move(key.value())};
}

const ConfSa* find_in(const Conf* conf, const std::string& name) {
    if (conf == nullptr) return nullptr;
    const auto at = std::ranges::find(conf->sas, name, &ConfSa::name);
    return at == conf->sas.end() ? nullptr : &*at;
}

}  // namespace

class BookLoad {
  public:
    BookLoad(Book& book, std::shared_ptr<const Conf> conf, uint64_t now_s) : book_(book), conf_(std::move(conf)), now_s_(now_s) {}

    Status run() {
        Status done = make_sas();
        if (done) done = make_policies();
        if (done) done = publish();
        if (done) commit();
        else undo();
        return done;
    }

  private:
    Status make_sas() {
        for (const ConfSa& sa : conf_->sas)
            if (const Status made = make(sa); !made)
                return Error{made.error().code, fmt::format("{}:{}: sa \"{}\": {}", conf_->file, sa.at.line, sa.name, made.error().text)};
        return {};
    }

    Status make(const ConfSa& sa) {
        const NamedSa* there = book_.find(sa.name);
        const ConfSa* before = find_in(book_.conf_.get(), sa.name);
        if (there != nullptr && !there->from_file) return Error{EEXIST, "a command has made an SA of this name"};
        if (there != nullptr && before != nullptr && same(*before, sa)) return {};
        if (there != nullptr)
            if (const Status other = is_another(sa, there->said); !other) return other;
        if (const Status unused = book_.check_key(sa); !unused) return unused;
        Result<ConfSa> copy = copy_of(sa);
        if (!copy) return copy.error();
        Result<std::unique_ptr<NamedSa>> made = book_.make(std::move(copy.value()), now_s_);
        if (!made) return made.error();
        made.value()->from_file = true;
        made_.push_back(std::move(made.value()));
        return {};
    }

    // is_another - numbers and a window belong to a key, and two keys under one SPI cannot be told apart.
    static Status is_another(const ConfSa& sa, const ConfSa& there) {
        if (same_key(sa.key, there.key)) return Error{EINVAL, "it has changed: expected another key, too, for the numbers that were used belong to this one"};
        if (sa.direction == Direction::in && sa.terms.spi == there.terms.spi)
            return Error{EINVAL, "its key has changed: expected another SPI, too, by which packets of the new key are known from those of the old one"};
        return {};
    }

    Status make_policies() {
        uint32_t number = book_.last_policy_;
        for (const ConfPolicy& policy : conf_->policies) {
            if (const Status made = use(policy); !made)
                return Error{made.error().code, fmt::format("{}:{}: policy \"{}\": {}", conf_->file, policy.at.line, policy.name, made.error().text)};
            wanted_.push_back({.number = ++number, .from_file = true, .said = policy});
        }
        last_policy_ = number;
        return {};
    }

    Status use(const ConfPolicy& policy) {
        for (const NamedPolicy& there : book_.policies_)
            if (!there.from_file && there.said.name == policy.name) return Error{EEXIST, "a command has made a policy of this name"};
        if (policy.policy.action != Action::protect) return {};
        const Result<ChildId> child = book_.use_child(policy.child);
        if (!child) return child.error();
        used_.push_back(policy.child);
        return {};
    }

    Status publish() {
        for (const NamedPolicy& there : book_.policies_)
            if (!there.from_file) wanted_.push_back(there);
        const Status published = book_.publish(wanted_);
        if (published) return {};
        return Error{published.error().code, fmt::format("{}: {}", conf_->file, published.error().text)};
    }

    void undo() {
        for (std::unique_ptr<NamedSa>& sa : made_) book_.unmake(std::move(sa));
        for (const std::string& child : used_) book_.unuse_child(child);
        book_.collect();
    }

    void commit() {
        for (std::unique_ptr<NamedSa>& sa : made_) {
            if (book_.find(sa->said.name) != nullptr) book_.set_aside(sa->said.name, Book::kKeep_s, now_s_);
            book_.put(std::move(sa));
        }
        drop_what_is_not_said();
        for (const NamedPolicy& old : std::exchange(book_.policies_, std::move(wanted_)))
            if (old.from_file && old.said.policy.action == Action::protect) book_.unuse_child(old.said.child);
        book_.last_policy_ = last_policy_;
        book_.conf_ = conf_;
        book_.collect();
    }

    void drop_what_is_not_said() {
        for (const NamedSa* sa : book_.sas()) {
            const std::string name = sa->said.name;
            if (!sa->from_file || sa->goes_s != UINT64_MAX || find_in(conf_.get(), name) != nullptr) continue;
            if (const Status dropped = book_.drop(name); !dropped) say(fmt::format("SA \"{}\": {}\n", name, dropped.error().text));
        }
    }

    Book& book_;
    const std::shared_ptr<const Conf> conf_;
    const uint64_t now_s_;
    std::vector<std::unique_ptr<NamedSa>> made_;
    std::vector<NamedPolicy> wanted_;
    std::vector<std::string> used_;  // children, once for each policy
    uint32_t last_policy_ = 0;
};

IpsecConfig ipsec_config(const Conf& conf, int socket) {
    return {.sas = conf.ipsec.sas, .children = conf.ipsec.children, .udp_port = conf.ipsec.udp_port, .socket = socket};
}

Status Book::load(std::shared_ptr<const Conf> conf, uint64_t now_s) {
    collect();
    return BookLoad(*this, std::move(conf), now_s).run();
}

}  // namespace umbuf::fwd
