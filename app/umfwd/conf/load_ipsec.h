// SPDX-License-Identifier: BSD-2-Clause
// load_ipsec.h - the SAs and policies of a configuration, into a database.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "app/umfwd/conf/conf.h"
#include "lib/ipsec/ipsec_db.h"

namespace umbuf::fwd {

struct LoadedIpsec {
    std::map<std::string, ChildId> children;  // by name
    std::vector<SaId> sas;                    // as Conf::sas
};
// load_ipsec - policies last, and at once: until then the database discards everything. On error what was
// made is taken back. Error: FILE:LINE: which SA or policy, and what the database says. Control thread.
[[nodiscard]] Result<LoadedIpsec> load_ipsec(const Conf& conf, IpsecDb& db, uint64_t now_s);

// ipsec_config - how large the database must be.
[[nodiscard]] IpsecConfig ipsec_config(const Conf& conf, int socket);

}  // namespace umbuf::fwd
