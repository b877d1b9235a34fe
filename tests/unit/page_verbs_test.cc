// SPDX-License-Identifier: BSD-2-Clause
// page_verbs_test.cc - every verb on every kind of storage: the table of docs/unmapped.md, and no faults.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "tests/unit/page_verbs.h"
#include "tests/unit/program.h"

namespace umbuf::test {
namespace {

// storage_of - what two mbufs have in common if one shares the other's bytes.
const void* storage_of(const Mbuf* m) { return (m->flags() & M_EXT) != 0 ? ext_control(m) : static_cast<const void*>(m); }

bool has(const Mbuf* chain, const Mbuf* x) {
    for (; chain != nullptr; chain = chain->next())
        if (chain == x) return true;
    return false;
}
// views_beside - of the storage, in the chain, other than x.
uint32_t views_beside(const Mbuf* chain, const Mbuf* x, const void* storage) {
    uint32_t n = 0;
    for (; chain != nullptr; chain = chain->next()) n += chain != x && storage_of(chain) == storage ? 1 : 0;
    return n;
}

std::string errno_name(int error) {
    static const std::map<int, std::string> kNames = {{EBUSY, "EBUSY"},           {EIO, "EIO"},       {EROFS, "EROFS"},
                                                      {EOPNOTSUPP, "EOPNOTSUPP"}, {EINVAL, "EINVAL"}, {ENOBUFS, "ENOBUFS"},
                                                      {EMSGSIZE, "EMSGSIZE"}};
    const auto found = kNames.find(error);
    return found == kNames.end() ? "errno " + std::to_string(error) : found->second;
}

uint64_t copied() { return window_counters().copied_bytes[static_cast<size_t>(CopiedFor::verb)]; }
uint64_t snapped() { return window_counters().copied_bytes[static_cast<size_t>(CopiedFor::capture)]; }
uint64_t looked() { return window_counters().copied_bytes[static_cast<size_t>(CopiedFor::read)]; }

// Ran - a verb, run once.
struct Ran {
    bool faulted = false;
    int error = 0;
    std::string cell;
};

std::string refusal(const Packet& p, int error, const std::string& before) {
    if (p.m == nullptr) return errno_name(error) + ", frees";
    return errno_name(error) + (look(p.m) == before ? "" : ", CHANGED");
}

std::string success(const Packet& p, const void* storage, uint64_t was_copied, uint64_t was_looked) {
    if (!p.says.empty()) return p.says;
    std::string s;
    const auto add = [&s](const std::string& word) { s += (s.empty() ? "" : ", ") + word; };
    const bool there = p.x != nullptr && (has(p.m, p.x) || has(p.made, p.x));
    if (p.linked && there) add("links");
    const uint32_t views = views_beside(p.m, p.x, storage) + views_beside(p.made, p.x, storage);
    const bool page = p.where != Where::mapped && p.where != Where::shared;
    if (views > 0 && there) add("shares");
    if (was_copied > 0 && page) add("copies " + std::to_string(was_copied));
    if (was_looked > 0 && page) add("reads " + std::to_string(was_looked));
    // The bytes of mapped mbufs are copied uncounted: those that are elsewhere now.
    const bool freed = p.m == nullptr && p.made == nullptr;
    const bool gone = !freed && p.x != nullptr && views == 0 && (!there || (p.made != nullptr && !has(p.made, p.x)));
    if (s.empty() && gone) add("copies");
    return s.empty() ? "works" : s;
}

Ran run(const Verb& verb, Packet& p) {
    if (verb.pages_only && !m_unmapped(p.x)) return {false, 0, "-"};
    const void* const storage = storage_of(p.x);
    const std::string before = look(p.m);
    const uint64_t copied_before = copied() + snapped();
    const uint64_t looked_before = looked();
    Ran ran;
    rte_errno = 0;
    // Not in the function object: what the touch changed counts, whether it came back or not.
    int error = 0;
    ran.faulted = fault_of([&] { error = verb.run(p); }).has_value();
    ran.error = error;
    const uint64_t copied_now = copied() + snapped() - copied_before;
    const uint64_t looked_now = looked() - looked_before;
    if (ran.faulted)
        ran.cell = "FAULTS";
    else
        ran.cell = error != 0 ? refusal(p, error, before) : success(p, storage, copied_now, looked_now);
    for (const Mbuf* chain : {p.m, p.made})
        if (chain != nullptr) verify(chain);
    return ran;
}

// ---- the table, in docs/unmapped.md

constexpr const char* kBegin = "<!-- the table of verbs: written by UM_WRITE_TABLE=1 page_tests -->\n";
constexpr const char* kEnd = "<!-- end of the table -->\n";

std::string document() {
    std::ifstream in(umbuf::test::source_root + "/docs/unmapped.md");
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

std::string row(const std::vector<std::string>& cells) {
    std::string s = "|";
    for (const std::string& cell : cells) s += " " + cell + " |";
    return s + "\n";
}

// Verbs that answer alike share a row, where the first of them stands.
std::string table() {
    std::vector<std::pair<std::string, std::vector<std::string>>> rows;
    for (const Verb& verb : verbs_over_pages()) {
        std::vector<std::string> cells;
        for (const Where where : kWheres) {
            Packet p(where);
            cells.push_back(run(verb, p).cell);
        }
        const std::string name = std::regex_replace(std::string(verb.name), std::regex("^(\\w+)"), "`$1`");
        const auto same = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.second == cells; });
        if (same == rows.end())
            rows.emplace_back(name, cells);
        else
            same->first += ", " + name;
    }
    std::vector<std::string> head = {"verb"};
    for (const Where where : kWheres) head.push_back(name(where));
    std::string s = row(head) + row(std::vector<std::string>(head.size(), "---"));
    for (auto& [verbs, cells] : rows) {
        cells.insert(cells.begin(), verbs);
        s += row(cells);
    }
    return s;
}

TEST_F(PageTest, TheTableInTheManualIsWhatTheVerbsDo) {
    const std::string now = table();
    EXPECT_EQ(now.find("FAULTS"), std::string::npos) << now;
    EXPECT_EQ(now.find("CHANGED"), std::string::npos) << "a refusal changed the chain\n" << now;
    std::string text = document();
    const size_t begin = text.find(kBegin);
    const size_t end = text.find(kEnd);
    ASSERT_TRUE(begin != std::string::npos && end != std::string::npos) << "docs/unmapped.md has no table";
    const size_t from = begin + std::strlen(kBegin);
    if (std::getenv("UM_WRITE_TABLE") != nullptr)
        std::ofstream(umbuf::test::source_root + "/docs/unmapped.md") << text.replace(from, end - from, now);
    else
        EXPECT_EQ(text.substr(from, end - from), now) << "UM_WRITE_TABLE=1 writes it anew";
}

// A verb that is added, and not to the table, is found here.
TEST_F(PageTest, TheManualNamesEveryVerbThatThereIs) {
    const std::string text = document();
    std::ifstream in(umbuf::test::source_root + "/docs/verbs.md");
    std::stringstream verbs;
    verbs << in.rdbuf();
    const std::string all = verbs.str();
    const std::regex verb("`(m_[a-z0-9_]+)`");
    for (std::sregex_iterator i(all.begin(), all.end(), verb), none; i != none; ++i)
        EXPECT_NE(text.find("`" + (*i)[1].str() + "`"), std::string::npos) << (*i)[1].str() << " is not in docs/unmapped.md";
}

// What was refused has its errno in rte_errno, too, and is counted (W3).
TEST_F(PageTest, EveryRefusalIsTypedAndCounted) {
    for (const Verb& verb : verbs_over_pages()) {
        const std::string verb_name = verb.name;
        // These answer a question, or refuse for a reason that is not the page's.
        if (verb_name == "m_readable" || verb_name == "m_notready" || verb_name == "m_extfree") continue;
        for (const Where where : kWheres) {
            Packet p(where);
            const WindowCounters was = window_counters();
            const uint64_t writes = mbuf_traps().refused_writes;
            const Ran ran = run(verb, p);
            if (ran.error == 0) continue;
            const WindowCounters is = window_counters();
            EXPECT_EQ(rte_errno, ran.error) << verb.name << " on " << name(where);
            const uint64_t counted = ran.error == EBUSY        ? is.not_ready - was.not_ready
                                     : ran.error == EIO        ? is.failed - was.failed
                                     : ran.error == EOPNOTSUPP ? is.impossible - was.impossible
                                                               : mbuf_traps().refused_writes - writes;
            EXPECT_GE(counted, 1U) << verb.name << " on " << name(where) << ": " << ran.cell;
        }
    }
}

// R32 (U1, pfSense 13938: m_unshare followed mtod() of a page; m_dup, m_copyback and m_makespace would have).
// The half that must not fault: every verb, on every kind, with windows that stand ...
TEST_F(PageTest, R32_NoVerbTouchesAPage) {
    const uint64_t before = faults_caught();
    for (const Verb& verb : verbs_over_pages())
        for (const Where where : kWheres) {
            Packet p(where);
            EXPECT_FALSE(run(verb, p).faulted) << verb.name << " on " << name(where);
        }
    EXPECT_EQ(faults_caught(), before);
}

// ... and with windows that are taken away behind the verb.
TEST_F(StrictPageTest, R32_NoVerbKeepsAWindow) {
    const uint64_t before = faults_caught();
    for (const Verb& verb : verbs_over_pages())
        for (const Where where : kWheres) {
            Packet p(where);
            EXPECT_FALSE(run(verb, p).faulted) << verb.name << " on " << name(where);
        }
    EXPECT_EQ(faults_caught(), before);
    EXPECT_EQ(page_counters().windows_now, 0U);
}

// R21 (U14, DragonFly DF-0406: the result of m_pullup was not looked at). Each allocation of each verb
// fails in turn: nothing is touched that is not there, nothing leaks, the errno says why.
TEST_F(PageTest, R21_EachAllocationOfEachVerbFailsInTurn) {
    const std::vector<std::string> in_part = {"m_append", "m_append to the mbuf itself", "m_copyback behind the end",
                                              "m_collapse", "m_copy_pkthdr",  // docs/verbs.md says what is left
                                              "m_prepend to the mbuf itself"};  // which was taken off first
    for (const Verb& verb : verbs_over_pages())
        for (const Where where : kWheres) {
            const int usual = [&] {
                Packet p(where);
                return run(verb, p).error;
            }();
            for (uint32_t n = 1; n <= 8; ++n) {
                Packet p(where);
                alloc_faults_arm(n);
                const Ran ran = run(verb, p);
                alloc_faults_arm(0);
                EXPECT_FALSE(ran.faulted) << verb.name << " on " << name(where);
                if (ran.error == usual) continue;
                EXPECT_TRUE(ran.error == ENOBUFS || ran.error == ENOMEM) << verb.name << " on " << name(where) << ": " << ran.cell;
                if (std::find(in_part.begin(), in_part.end(), verb.name) != in_part.end()) continue;
                EXPECT_EQ(ran.cell.find("CHANGED"), std::string::npos) << verb.name << " on " << name(where) << ", allocation " << n;
            }
        }
}

}  // namespace
}  // namespace umbuf::test
