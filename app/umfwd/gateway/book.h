// SPDX-License-Identifier: BSD-2-Clause
// book.h - SAs and policies by their names, and how they come and go.
//
//      file      --load()--+
//      prompt    ----------+--> Book --> IpsecDb: children, SAD, SPD --> lanes
//      --control ----------+
//
// N1  Make before break: who is replaced is found until the other is, and what has begun with an SA ends with it.
// N2  A configuration is taken whole, or nothing changes.
// N3  No number is sent twice with a key, as far as this process, a floor and a sequence file can know.
// N4  What is said again as it was goes on as it is: numbers, window, counters.
//
// Thread: control. Lanes see what the database shows them.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "app/umfwd/conf/conf.h"
#include "app/umfwd/gateway/used_keys.h"
#include "lib/ipsec/ipsec_db.h"
#include "lib/ipsec/seq_file.h"

namespace umbuf::fwd {

enum class SaState : uint8_t {
    current,
    old,      // another one has replaced it
    expired,  // past a hard limit
};
[[nodiscard]] const char* name_of(SaState state) noexcept;

enum class SaEvent : uint8_t { soft, hard, gone };
[[nodiscard]] const char* name_of(SaEvent event) noexcept;

// NamedSa - one of the book.
struct NamedSa {
    ConfSa said;  // its name now; the key, too
    bool from_file = false;
    SaId id;
    SaState state = SaState::current;
    uint64_t goes_s = UINT64_MAX;  // when it is removed, if nobody does before
    uint64_t used_s = 0;           // when `packets` was seen to have changed
    uint64_t packets = 0;          // 0: it was never used
    bool told_soft = false;
    std::unique_ptr<SeqFile> file;      // outbound, by seq-file
    std::unique_ptr<SeqKeeper> keeper;  // goes before the file and the SA do
};

struct NamedPolicy {
    uint32_t number = 0;  // its own for ever
    bool from_file = false;
    ConfPolicy said;
};

class Book {
  public:
    static constexpr uint64_t kKeep_s = 30;  // old inbound SAs, expired ones

    // `db` lives longer, and is empty. Nobody else changes it.
    explicit Book(IpsecDb& db) : db_(db) {}
    // Lanes are quiet: sequence files get their last numbers. SAs and policies stay in the database.
    ~Book();
    Book(const Book&) = delete;
    Book& operator=(const Book&) = delete;

    // tell - from now on, what happens to SAs. It may look at the book, and not change it.
    void tell(std::function<void(SaEvent, const std::string& name)> told) { told_ = std::move(told); }

    // load - what this configuration says, in place of what the one before said. Error, by FILE:LINE where it has
    // one: nothing has changed (N2).
    [[nodiscard]] Status load(std::shared_ptr<const Conf> conf, uint64_t now_s);
    [[nodiscard]] const Conf* conf() const noexcept { return conf_.get(); }  // null: none was loaded

    // add_sa - outbound: packets go by it from now on, and the one before is old. Error: EEXIST, the name, the SPI or
    // the key is another's; EINVAL, the key could send a number twice; or what the database and the file say.
    [[nodiscard]] Status add_sa(ConfSa said, uint64_t now_s);
    // rekey_sa - `fresh` in place of the current SA of its name, which is NAME/SPI from then on, and goes after
    // keep_s seconds; an outbound one when nothing is in flight. Error: ENOENT, or as add_sa; nothing has changed.
    [[nodiscard]] Status rekey_sa(ConfSa fresh, uint64_t keep_s, uint64_t now_s);
    // delete_sa - Error: ENOENT.
    [[nodiscard]] Status delete_sa(const std::string& name);
    [[nodiscard]] Status delete_all_sas();

    // add_policy - its number. Error: EEXIST, the name is another's; or what the database says.
    [[nodiscard]] Result<uint32_t> add_policy(ConfPolicy said);
    // delete_policy - by its number or its name. Error: ENOENT.
    [[nodiscard]] Status delete_policy(const std::string& which);
    [[nodiscard]] Status delete_all_policies();

    // ---- what there is
    [[nodiscard]] const NamedSa* find(const std::string& name) const;
    [[nodiscard]] std::vector<const NamedSa*> sas() const;           // by name
    [[nodiscard]] std::vector<const NamedPolicy*> policies() const;  // as they are asked
    [[nodiscard]] const Sa& sa_of(const NamedSa& sa) const;
    // leaving - outbound SAs without a name, with packets in flight.
    [[nodiscard]] size_t leaving() const noexcept { return leaving_.size(); }

    // poll - limits, what has had its time, memory. Ten times a second.
    void poll(uint64_t now_s);

  private:
    friend class BookLoad;
    using Sas = std::map<std::string, std::unique_ptr<NamedSa>>;
    struct Child {
        ChildId id;
        uint32_t users = 0;  // SAs and policies that name it
    };
    // Leaving - an outbound SA that no packet begins with, when the token has passed.
    struct Leaving {
        std::unique_ptr<NamedSa> sa;
        uint64_t token;
    };

    [[nodiscard]] Result<ChildId> use_child(const std::string& name);
    void unuse_child(const std::string& name);
    [[nodiscard]] Status check_name(const std::string& name) const;
    [[nodiscard]] Status check_key(const ConfSa& said);
    void let_leave(const ConfSa& said);
    [[nodiscard]] Status check_engine(const Algorithm& algorithm);
    [[nodiscard]] Result<std::unique_ptr<SeqFile>> number(ConfSa& said) const;
    [[nodiscard]] Result<std::unique_ptr<NamedSa>> make(ConfSa said, uint64_t now_s);
    [[nodiscard]] Result<SaId> enter(const ConfSa& said, ChildId child, uint64_t now_s);
    void unmake(std::unique_ptr<NamedSa> sa);
    void put(std::unique_ptr<NamedSa> sa);
    void set_current(NamedSa& sa);
    void set_aside(const std::string& name, uint64_t keep_s, uint64_t now_s);
    [[nodiscard]] Status drop(const std::string& name);
    [[nodiscard]] NamedSa* named(SaId id) const;
    [[nodiscard]] Sa* resolve(SaId id) const { return db_.sad().resolve(id.id, id.generation); }
    [[nodiscard]] Status publish(const std::vector<NamedPolicy>& policies);
    void note_use(uint64_t now_s);
    void look_at_limits(uint64_t now_s);
    void drop_what_has_had_its_time(uint64_t now_s);
    void collect();
    void finish(NamedSa& sa);
    void say(SaEvent event, const std::string& name) const {
        if (told_) told_(event, name);
    }

    IpsecDb& db_;
    std::function<void(SaEvent, const std::string&)> told_;
    std::shared_ptr<const Conf> conf_;
    Sas sas_;
    std::unordered_map<uint32_t, NamedSa*> by_id_;
    std::map<std::string, Child> children_;
    std::vector<NamedPolicy> policies_;  // the file's, then those of commands
    uint32_t last_policy_ = 0;
    std::vector<Leaving> leaving_;
    UsedKeys used_;
    std::set<std::string> tried_;  // algorithms
};

// ipsec_config - how large the database must be.
[[nodiscard]] IpsecConfig ipsec_config(const Conf& conf, int socket);

}  // namespace umbuf::fwd
