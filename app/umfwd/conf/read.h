// SPDX-License-Identifier: BSD-2-Clause
// read.h - the tables of a configuration file, one function for each kind.
#pragma once
#include "app/umfwd/conf/conf.h"
#include "app/umfwd/conf/keys.h"
#include "app/umfwd/conf/source.h"

namespace umbuf::fwd {

void read_eal(Keys& keys, Conf& conf);                            // [eal]
void read_options(Keys& keys, Conf& conf);                        // [options]
void read_port(Keys& keys, Conf& conf);                           // [[port]]
void read_route(Keys& keys, Conf& conf);                          // [[route]], when all ports are read
void read_neighbour(Keys& keys, Conf& conf);                      // [[neighbour]], likewise
void read_ipsec(Keys& keys, Conf& conf);                          // [ipsec]
// [[sa]]; `folder`: where key_file and seq_file are looked for.
void read_sa(Keys& keys, Conf& conf, const Source& source, const std::string& folder);
void read_policy(Keys& keys, Conf& conf);                         // [[policy]]

// What cannot be seen in one table.
void check_ports(const Conf& conf, Problems& problems);
void check_sas(const Conf& conf, Problems& problems);
void check_policies(const Conf& conf, Problems& problems);        // when all SAs are read

}  // namespace umbuf::fwd
