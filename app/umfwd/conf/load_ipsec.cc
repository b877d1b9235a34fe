// SPDX-License-Identifier: BSD-2-Clause
// load_ipsec.cc - children, then SAs, then policies.
#include "app/umfwd/conf/load_ipsec.h"

#include <fmt/format.h>

namespace umbuf::fwd {
namespace {

class Loader {
  public:
    Loader(const Conf& conf, IpsecDb& db, uint64_t now_s) : conf_(conf), db_(db), now_s_(now_s) {}

    Status load() {
        for (const ConfSa& sa : conf_.sas)
            if (const Status added = add(sa); !added) return failed(sa.at, "sa", sa.name, added);
        std::vector<Policy> policies;
        for (const ConfPolicy& policy : conf_.policies) add(policy, policies);
        if (const Status published = db_.spd.publish(policies); !published)
            return Error{published.error().code, fmt::format("{}: {}", conf_.file, published.error().text)};
        return {};
    }

    void undo() {
        for (const SaId id : loaded.sas) (void)db_.remove_sa(id);
        for (const auto& [name, child] : loaded.children) (void)db_.children.remove(child);
    }

    LoadedIpsec loaded;

  private:
    Status add(const ConfSa& sa) {
        if (!loaded.children.contains(sa.child)) {
            const Result<ChildId> child = db_.children.add();
            if (!child) return child.error();
            loaded.children[sa.child] = child.value();
        }
        NewSa wanted{.terms = sa.terms, .found_by = sa.found_by, .child = loaded.children[sa.child], .key = sa.key.bytes(), .engine = &db_.engine, .now_s = now_s_};
        const Result<SaId> id = sa.direction == Direction::in ? db_.sad().add_in(wanted) : db_.rekey_out(wanted);
        if (!id) return id.error();
        loaded.sas.push_back(id.value());
        return {};
    }

    void add(const ConfPolicy& policy, std::vector<Policy>& to) {
        Policy p = policy.policy;
        if (p.action == Action::protect) p.child = loaded.children.at(policy.child);
        to.push_back(p);
        if (!policy.both_families) return;
        p.selector.src = p.selector.dst = all_addresses(!p.selector.src.from.v6);
        to.push_back(p);
    }

    Error failed(Place at, const char* kind, const std::string& name, const Status& status) {
        return {status.error().code, fmt::format("{}:{}: {} \"{}\": {}", conf_.file, at.line, kind, name, status.error().text)};
    }

    const Conf& conf_;
    IpsecDb& db_;
    const uint64_t now_s_;
};

}  // namespace

Result<LoadedIpsec> load_ipsec(const Conf& conf, IpsecDb& db, uint64_t now_s) {
    Loader loader(conf, db, now_s);
    const Status loaded = loader.load();
    if (loaded) return std::move(loader.loaded);
    loader.undo();
    return loaded.error();
}

IpsecConfig ipsec_config(const Conf& conf, int socket) {
    return {.sas = conf.ipsec.sas, .children = conf.ipsec.children, .udp_port = conf.ipsec.udp_port, .socket = socket};
}

}  // namespace umbuf::fwd
