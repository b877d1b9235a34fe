// SPDX-License-Identifier: BSD-2-Clause
// sa_commands.cc - SAs and policies at the prompt and by the control socket (docs/gateway-control.md).
#include "app/umfwd/prompt/sa_commands.h"

#include <fmt/format.h>

#include "app/umfwd/gateway/book.h"
#include "app/umfwd/gateway/gateway.h"
#include "app/umfwd/gateway/sa_words.h"
#include "app/umfwd/machine/forwarder.h"

namespace umbuf::fwd {
namespace {

Result<Book*> book_of(const Session& session) {
    if (session.book != nullptr) return session.book;
    if (Gateway* gateway = session.forwarder != nullptr ? session.forwarder->gateway() : nullptr; gateway != nullptr) return &gateway->book();
    return Error{ENOENT, "there are no SAs and policies yet: set fwd esp, start"};
}

uint64_t now_of(const Session& session) {
    return session.now_s ? session.now_s() : ipsec_clock_s();
}

// ---- sa

Status sa_add(Session& session, const Args& args) {
    const Result<Book*> book = book_of(session);
    if (!book) return book.error();
    Result<ConfSa> said = sa_of_words(args.text("words"), session.key);
    if (!said) return said.error();
    return book.value()->add_sa(std::move(said.value()), now_of(session));
}

Status sa_rekey(Session& session, const Args& args) {
    const Result<Book*> book = book_of(session);
    if (!book) return book.error();
    const NamedSa* old = book.value()->find(args.text("name"));
    if (old == nullptr) return Error{ENOENT, fmt::format("there is no SA \"{}\"", args.text("name"))};
    Result<Rekey> said = rekey_of_words(args.text("words"), session.key, old->said);
    if (!said) return said.error();
    return book.value()->rekey_sa(std::move(said.value().sa), said.value().keep_s.value_or(Book::kKeep_s), now_of(session));
}

Status sa_delete(Session& session, const Args& args) {
    const Result<Book*> book = book_of(session);
    if (!book) return book.error();
    const std::string& name = args.text("name");
    return name == "all" ? book.value()->delete_all_sas() : book.value()->delete_sa(name);
}

std::string idle_text(const NamedSa& sa, uint64_t now_s) { return sa.packets == 0 ? "never" : fmt::format("{}", now_s - std::min(now_s, sa.used_s)); }

std::string line_of(const Book& book, const NamedSa& named, uint64_t now_s) {
    const Sa& sa = book.sa_of(named);
    return fmt::format("sa {} child {} {} spi {:#x} alg {} state {} packets {} bytes {} age {} idle {}\n", named.said.name, named.said.child,
                       named.said.direction == Direction::in ? "in" : "out", sa.terms.spi, sa.terms.algorithm.name(), name_of(named.state),
                       sa.counters.packets.read(), sa.counters.bytes.read(), now_s - sa.born_s(), idle_text(named, now_s));
}

std::string counters_of(const Sa& sa) {
    std::string text;
    const auto add = [&text](const char* word, uint64_t n) {
        if (n != 0) text += fmt::format("  {} {}\n", word, n);
    };
    add("replayed", sa.counters.replayed.read());
    add("bad-icv", sa.counters.bad_icv.read());
    add("bad-padding", sa.counters.bad_padding.read());
    for (size_t i = 1; i < kXfrms; ++i) add(name_of(static_cast<Xfrm>(i)), sa.counters.refused.of(static_cast<Xfrm>(i)));
    return text;
}

std::string text_of(const Book& book, const NamedSa& named, uint64_t now_s) {
    const Sa& sa = book.sa_of(named);
    std::string text = fmt::format("sa {} {}\n  state {}\n  from {}\n  age {}\n  idle {}\n  packets {}\n  bytes {}\n", named.said.name, words_of(named.said),
                                   name_of(named.state), named.from_file ? "file" : "command", now_s - sa.born_s(), idle_text(named, now_s),
                                   sa.counters.packets.read(), sa.counters.bytes.read());
    if (named.said.direction == Direction::out) text += fmt::format("  sequence {}\n", sa.sequence.last());
    if (const uint32_t mtu = sa.path.mtu(); mtu != 0) text += fmt::format("  path-mtu {}\n", mtu);
    if (sa.counters.soft_expired.read() != 0 || named.told_soft) text += "  soft reached\n";
    return text + counters_of(sa);
}

Status sa_list(Session& session, const Args&) {
    const Result<Book*> book = book_of(session);
    if (!book) return book.error();
    std::string text;
    const uint64_t now_s = now_of(session);
    for (const NamedSa* sa : book.value()->sas()) text += line_of(*book.value(), *sa, now_s);
    session.print(text);
    return {};
}

Status sa_show(Session& session, const Args& args) {
    const Result<Book*> book = book_of(session);
    if (!book) return book.error();
    const std::string& name = args.text("name");
    const uint64_t now_s = now_of(session);
    std::string text;
    bool there = name == "all";
    for (const NamedSa* sa : book.value()->sas()) {
        if (name != "all" && name != sa->said.name) continue;
        text += text_of(*book.value(), *sa, now_s);
        there = true;
    }
    if (!there) return Error{ENOENT, fmt::format("there is no SA \"{}\"", name)};
    session.print(text);
    return {};
}

// ---- policy

Status policy_add(Session& session, const Args& args) {
    const Result<Book*> book = book_of(session);
    if (!book) return book.error();
    Result<ConfPolicy> said = policy_of_words(args.text("words"));
    if (!said) return said.error();
    const Result<uint32_t> number = book.value()->add_policy(std::move(said.value()));
    if (!number) return number.error();
    session.print(fmt::format("policy {}\n", number.value()));
    return {};
}

Status policy_list(Session& session, const Args&) {
    const Result<Book*> book = book_of(session);
    if (!book) return book.error();
    std::string text;
    for (const NamedPolicy* policy : book.value()->policies())
        text += fmt::format("policy {} {} from {}\n", policy->number, words_of(policy->said), policy->from_file ? "file" : "command");
    session.print(text);
    return {};
}

Status policy_delete(Session& session, const Args& args) {
    const Result<Book*> book = book_of(session);
    if (!book) return book.error();
    const std::string& which = args.text("which");
    return which == "all" ? book.value()->delete_all_policies() : book.value()->delete_policy(which);
}

// ---- reload

Status reload(Session& session, const Args&) {
    const Result<Book*> book = book_of(session);
    if (!book) return book.error();
    const Conf* before = book.value()->conf();
    if (before == nullptr) return Error{ENOENT, "reload: no configuration file was given: --conf FILE"};
    ConfRead read = read_conf(before->file, before->readable);
    for (const std::string& error : read.errors) session.print(error + "\n");
    if (read.conf == nullptr) return Error{EINVAL, fmt::format("{} has {} errors; nothing has changed", before->file, read.errors.size())};
    return book.value()->load(std::move(read.conf), now_of(session));
}

constexpr Command kCommands[] = {
    {"sa add <words:rest>", "an SA: NAME child CHILD in|out spi N alg ALG keyfile FILE src A dst A ...", &sa_add},
    {"sa rekey <name:str> <words:rest>", "another one in its place, make before break: spi N keyfile FILE [keep SECONDS]", &sa_rekey},
    {"sa delete <name:str>", "one, or all", &sa_delete},
    {"sa list", "a line for each SA", &sa_list},
    {"sa show <name:str>", "terms, counters, numbers of one, or of all", &sa_show},
    {"policy add <words:rest>", "[name N] in|out [priority N] [src R] [dst R] [protocol P] [sport R] [dport R] action A [child C]", &policy_add},
    {"policy list", "as they are asked", &policy_list},
    {"policy delete <which:str>", "by number or name, or all", &policy_delete},
    {"reload", "SAs and policies of --conf again, whole or not at all", &reload},
};

}  // namespace

std::span<const Command> sa_commands() noexcept { return kCommands; }

}  // namespace umbuf::fwd
