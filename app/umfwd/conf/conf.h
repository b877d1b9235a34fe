// SPDX-License-Identifier: BSD-2-Clause
// conf.h - what a configuration file says, in plain structs: ports, policies, SAs, routes, options.
//
//      FILE --read_conf()--> Conf --> EAL's arguments     command_line.h
//                                 --> Settings            command_line.h
//                                 --> Book                app/umfwd/gateway/book.h
//                                 --> routes, addresses   mode route
//
// C1  All of the file is understood, or none of it is taken: a key that nobody knows is an error.
// C2  A key (of an SA) is in memory of its own from the first byte on (secret.h), and in no message.
// C3  Each thing knows its place in the file, for who finds out later that it cannot be done.
//
// Threads: made by the control thread, and read only from then on.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <rte_ether.h>

#include "app/umfwd/conf/problems.h"
#include "lib/ipsec/sad.h"
#include "lib/ipsec/secret.h"
#include "lib/ipsec/spd.h"

namespace umbuf::fwd {

// IpPrefix - an address with its network (10.1.0.1/24), or a network (10.1.0.0/24).
struct IpPrefix {
    IpAddress address;
    uint32_t bits = 0;
    bool operator==(const IpPrefix&) const = default;
};

struct ConfPort {
    Place at;
    std::string name;    // the file's own
    std::string device;  // as behind --vdev or -a; what is before the first comma is DPDK's name of the port
    uint32_t mtu = 0;    // 0: the device's
    bool inside = false; // mode esp: what comes in and goes out here crosses no boundary (RFC 4301, 2.1: protected)
    std::vector<IpPrefix> addresses;
    [[nodiscard]] std::string device_name() const { return device.substr(0, device.find(',')); }
};

struct ConfSa {
    Place at;
    std::string name, child;  // words.h: is_name()
    Direction direction = Direction::out;
    SaTerms terms;
    SadKey found_by = SadKey::spi;  // inbound
    bool floor_known = false;       // outbound: somebody has said terms.seq_floor
    std::string seq_file;           // outbound; "": none. A path that can be opened from where umfwd runs
    Secret key;
};

// ConfPolicy - one of the file: where the selector names no address, it is of both families.
struct ConfPolicy {
    Place at;
    std::string name, child;  // child: of Action::protect
    Policy policy;            // without its child's id
    bool both_families = false;
};

struct ConfRoute {
    Place at;
    IpPrefix to;
    std::optional<IpAddress> via;  // none: what is there is on the link
    std::string port;              // ConfPort::name
};

struct ConfNeighbour {
    Place at;
    std::string port;  // ConfPort::name
    IpAddress address;
    rte_ether_addr mac{};
};

// ConfIpsec - the engine is an option (--esp-engine), wherever the file says it.
struct ConfIpsec {
    uint16_t udp_port = 4500;  // RFC 3948; 0: none
    uint32_t sas = 1024, children = 512;
};

// ConfEal - one option of EAL, and its value; "": none.
struct ConfEal {
    Place at;
    std::string option, value;
};

// ConfOption - one argument of umfwd's own: "--burst=64".
struct ConfOption {
    Place at;
    std::string argument;
};

struct Conf {
    std::string file;
    bool readable = false;  // keys may be in it though others can read it
    std::vector<ConfEal> eal;
    std::vector<ConfOption> options;
    std::vector<ConfPort> ports;
    ConfIpsec ipsec;
    std::vector<ConfSa> sas;
    std::vector<ConfPolicy> policies;
    std::vector<ConfRoute> routes;
    std::vector<ConfNeighbour> neighbours;
    Place first_key;  // of an SA, written in the file itself; line 0: there is none

    [[nodiscard]] const ConfPort* port_named(std::string_view name) const noexcept;
    // mode - what the file needs, if it does not say: esp, route, or io.
    [[nodiscard]] const char* mode() const noexcept;
    // served_by - what mode() does is done by this mode, too. Error: what would be left out.
    [[nodiscard]] Status served_by(std::string_view mode) const;
};

struct ConfRead {
    std::shared_ptr<const Conf> conf;  // null: there are errors
    std::vector<std::string> errors;   // a line each: FILE:LINE: key = value: what was expected
};
// counts_nonces - a number that is used twice under one key gives the key's secrets away.
[[nodiscard]] inline bool counts_nonces(const Algorithm& algorithm) { return algorithm.cipher != nullptr && algorithm.cipher->iv == 8; }
// same_key - both have one, and it is the same. Takes as long wherever they differ.
[[nodiscard]] bool same_key(const Secret& a, const Secret& b);
// ends_of_one - the two ends of one SA, in a program that is both: for tests.
[[nodiscard]] inline bool ends_of_one(const ConfSa& a, const ConfSa& b) { return a.direction != b.direction && a.terms.spi == b.terms.spi; }

// read_conf - needs no EAL. `readable`: keys may be in a file that others can read.
[[nodiscard]] ConfRead read_conf(const std::string& path, bool readable = false);

}  // namespace umbuf::fwd
