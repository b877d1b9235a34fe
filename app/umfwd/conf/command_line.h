// SPDX-License-Identifier: BSD-2-Clause
// command_line.h - a configuration file and the command line, as one: who says it on the command line wins.
//
//      umfwd [EAL options] --conf FILE [-- options]
//      umfwd --check-conf FILE
//
// The file's options are the settings that the command line is laid over. EAL gets the file's arguments
// first, without those that the command line has, too.
#pragma once
#include <string>
#include <vector>

#include "app/umfwd/settings.h"

namespace umbuf::fwd {

struct Beginning {
    bool end = false;  // everything is said; end with `status`
    int status = 0;
    std::vector<std::string> argv;  // program, EAL's arguments, and if there was one "--", and ours
    Settings base;
};
// begin - take --conf, --check-conf and --conf-readable out of the command line, and do what they say. Prints
// a good file's summary on standard output, a bad one's errors on standard error. Before EAL.
[[nodiscard]] Beginning begin(int argc, char** argv);

// eal_arguments - the file's and the command line's; `given` begins with the program's name.
[[nodiscard]] std::vector<std::string> eal_arguments(const Conf& conf, std::vector<std::string> given);

// settings_of - the file's options, the mode that it needs, its ports' MTUs. Error: FILE:LINE: what.
[[nodiscard]] Result<Settings> settings_of(const std::shared_ptr<const Conf>& conf);

}  // namespace umbuf::fwd
