// SPDX-License-Identifier: BSD-2-Clause
// eal_args.cc - reading EAL's options without being EAL: unknown ones are left to it.
#include "drivers/net/eal_args.h"

#include <cstdlib>
#include <string_view>

namespace umbuf {

namespace {

// value_of - the value of option `name` at args[i], given as "--name value", "--name=value", "-x
// value" or "-xvalue"; moves i on to the value's place. False: another option.
bool value_of(const std::vector<std::string_view>& args, size_t& i, std::string_view name,
              std::string& value) {
    const std::string_view arg = args[i];
    if (arg == name) {
        if (i + 1 == args.size()) return false;
        value = args[++i];
        return true;
    }
    if (!arg.starts_with(name)) return false;
    const bool is_long = name.starts_with("--");
    if (is_long && arg[name.size()] != '=') return false;
    value = arg.substr(name.size() + (is_long ? 1 : 0));
    return true;
}

}  // namespace

EalArgs EalArgs::of(int argc, char** argv) {
    std::vector<std::string_view> args;
    for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i)
        args.emplace_back(argv[i]);
    EalArgs out;
    std::string value;
    for (size_t i = 0; i < args.size(); ++i) {
        const std::string_view arg = args[i];
        out.no_huge |= arg == "--no-huge";
        out.in_memory |= arg == "--in-memory";
        out.help |= arg == "-h" || arg == "--help" || arg == "-v" || arg == "--version";
        if (value_of(args, i, "--vdev", value))
            out.vdevs.push_back(value);
        else if (value_of(args, i, "--allow", value))
            out.allowed.push_back(value);
        else if (value_of(args, i, "-a", value))
            out.allowed.push_back(value);
        else if (value_of(args, i, "-d", value))
            out.plugins.push_back(value);
        else if (value_of(args, i, "--huge-dir", value))
            out.huge_dir = value;
        else if (value_of(args, i, "--file-prefix", value))
            out.file_prefix = value;
        else if (value_of(args, i, "--log-level", value))
            out.log_level = true;
        else if (value_of(args, i, "-m", value))
            out.memory_mb = std::strtoull(value.c_str(), nullptr, 10);
    }
    return out;
}

}  // namespace umbuf
