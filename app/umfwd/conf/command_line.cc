// SPDX-License-Identifier: BSD-2-Clause
// command_line.cc - taking turns: the file, then who types.
#include "app/umfwd/conf/command_line.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>

#include "app/umfwd/conf/conf.h"
#include "app/umfwd/engines/engine.h"
#include "app/umfwd/machine/links.h"
#include "app/umfwd/say.h"

namespace umbuf::fwd {
namespace {

struct Asked {
    std::string conf, check;
    bool readable = false;
    std::vector<std::string> rest;
    std::string missing;  // the option that has no value
};

// take_value - the value of `option` at args[i], with = or in the next one.
bool take_value(const std::vector<std::string>& args, size_t& i, const std::string& option, std::string& value, Asked& asked) {
    const bool joined = args[i].starts_with(option + "=");
    if (!joined && args[i] != option) return false;
    if (joined) value = args[i].substr(option.size() + 1);
    else if (i + 1 < args.size()) value = args[++i];
    if (value.empty() || value == "--") asked.missing = option;
    return true;
}

Asked ask(const std::vector<std::string>& args) {
    Asked asked;
    for (size_t i = 0; i < args.size(); ++i) {
        if (args[i] == "--conf-readable") asked.readable = true;
        else if (!take_value(args, i, "--conf", asked.conf, asked) && !take_value(args, i, "--check-conf", asked.check, asked)) asked.rest.push_back(args[i]);
    }
    return asked;
}

Beginning ended(int status) {
    Beginning b;
    b.end = true;
    b.status = status;
    return b;
}

Beginning complain(const std::vector<std::string>& lines, const std::string& last) {
    std::fflush(stdout);
    for (const std::string& line : lines) std::fprintf(stderr, "%s\n", line.c_str());
    std::fprintf(stderr, "umfwd: %s\n", last.c_str());
    return ended(1);
}

Beginning complain_of(const std::string& file, const std::vector<std::string>& errors) {
    return complain(errors, fmt::format("{}: {}; nothing of it was taken", file, errors.size() == 1 ? "1 error" : fmt::format("{} errors", errors.size())));
}

bool is_pci(const std::string& device) { return !device.empty() && (std::isdigit(static_cast<unsigned char>(device[0])) != 0) && device.find(':') != std::string::npos; }

// kind_of - EAL's options that say the same in another way are one kind.
std::string kind_of(const std::string& argument) {
    static constexpr std::pair<const char*, const char*> kKinds[] = {
        {"--lcores", "lcores"}, {"-l", "lcores"}, {"-c", "lcores"}, {"-m", "memory"}, {"--socket-mem", "memory"}, {"--numa-mem", "memory"},
        {"--no-huge", "pages"}, {"--in-memory", "pages"}, {"--huge-dir", "pages"}, {"--single-file-segments", "pages"},
    };
    for (const auto& [option, kind] : kKinds)
        if (argument.starts_with(option)) return kind;
    return argument.substr(0, argument.find('='));
}

std::string summary(const Conf& conf, const std::string& mode) {
    const auto count = [](size_t n, const char* one, const char* many) { return fmt::format("{} {}", n, n == 1 ? one : many); };
    return fmt::format("{}: good: {}, {}, {}, {}, {}, {}; mode {}", conf.file, count(conf.ports.size(), "port", "ports"), count(conf.sas.size(), "SA", "SAs"),
                       count(conf.policies.size(), "policy", "policies"), count(conf.routes.size(), "route", "routes"),
                       count(conf.neighbours.size(), "neighbour", "neighbours"), count(conf.options.size(), "option", "options"), mode);
}

// at_its_line - an error of the settings as a whole, with the line of the option that it begins with, or else of
// the mode.
std::string at_its_line(const Conf& conf, const std::string& text) {
    const std::string option = text.substr(0, text.find_first_of("=: "));
    for (const std::string& meant : {option, std::string("--forward-mode")})
        for (const ConfOption& o : conf.options)
            if (o.argument.substr(0, o.argument.find('=')) == meant) return fmt::format("{}:{}: {}", conf.file, o.at.line, text);
    return fmt::format("{}: {}", conf.file, text);
}

// has_mode - the file needs a mode that this build may not have: a file can be right and not to be run here.
bool has_mode(const Settings& settings) { return find_engine(settings.mode) != nullptr; }

Beginning check_only(const std::shared_ptr<const Conf>& conf) {
    const Result<Settings> settings = settings_of(conf);
    if (!settings) return complain_of(conf->file, {settings.error().text});
    const bool here = has_mode(settings.value());
    if (const Status together = here ? check(settings.value()) : Status{}; !together) return complain_of(conf->file, {at_its_line(*conf, together.error().text)});
    if (const Status files = check_files(settings.value()); !files) return complain_of(conf->file, {at_its_line(*conf, files.error().text)});
    say(summary(*conf, settings.value().mode) + (here ? "\n" : fmt::format("; this build has no mode {}, and cannot run it\n", settings.value().mode)));
    return ended(0);
}

}  // namespace

std::vector<std::string> eal_arguments(const Conf& conf, std::vector<std::string> given) {
    const auto own = std::ranges::find(given, "--");
    const auto said = [&](const std::string& kind) {
        return std::any_of(given.begin() + 1, own, [&](const std::string& a) { return kind_of(a) == kind; });
    };
    // A device that the command line names, too, is made its way.
    const auto names_device = [&](const std::string& name) {
        return std::any_of(given.begin() + 1, own, [&](const std::string& a) {
            const size_t at = a.starts_with("--vdev=") ? 7 : a.starts_with("-a") && a.size() > 2 ? 2 : a.starts_with("--allow=") ? 8 : 0;
            return a.substr(at, a.find(',', at) - at) == name;
        });
    };
    std::vector<std::string> from_file;
    for (const ConfEal& e : conf.eal) {
        if (said(kind_of(e.option))) continue;
        from_file.push_back(e.option);
        if (!e.value.empty()) from_file.push_back(e.value);
    }
    bool pci = said("-a") || said("--allow") || said("--no-pci") || said("-b") || said("--block");
    for (const ConfPort& port : conf.ports) {
        pci |= is_pci(port.device);
        if (is_link(port.device_name()) || names_device(port.device_name())) continue;  // --links makes those
        from_file.push_back(is_pci(port.device) ? "-a" : "--vdev");
        from_file.push_back(port.device);
    }
    // The ports are those of the file: EAL would take every PCI function that no kernel driver has.
    if (!conf.ports.empty() && !pci) from_file.emplace_back("--no-pci");
    given.insert(given.begin() + 1, from_file.begin(), from_file.end());
    return given;
}

Result<Settings> settings_of(const std::shared_ptr<const Conf>& conf) {
    Settings settings;
    settings.mode = conf->mode();
    settings.conf = conf;
    for (const ConfPort& port : conf->ports)
        if (port.mtu != 0) settings.port_mtus[port.device_name()] = port.mtu;
    std::vector<std::string> arguments;
    for (const ConfOption& option : conf->options) arguments.push_back(option.argument);
    if (const Status taken = take_options(settings, arguments); !taken) return Error{taken.error().code, at_its_line(*conf, taken.error().text)};
    return settings;
}

Beginning begin(int argc, char** argv) {
    Beginning b;
    Asked asked = ask({argv, argv + argc});
    if (!asked.missing.empty()) return complain({}, fmt::format("{}: a value is missing, as in {} FILE", asked.missing, asked.missing));
    const std::string& file = asked.check.empty() ? asked.conf : asked.check;
    b.argv = std::move(asked.rest);
    if (file.empty()) return b;
    const ConfRead read = read_conf(file, asked.readable);
    if (read.conf == nullptr) return complain_of(file, read.errors);
    if (!asked.check.empty()) return check_only(read.conf);
    Result<Settings> settings = settings_of(read.conf);
    if (!settings) return complain_of(file, {settings.error().text});
    b.base = std::move(settings.value());
    b.argv = eal_arguments(*read.conf, std::move(b.argv));
    return b;
}

}  // namespace umbuf::fwd
