// SPDX-License-Identifier: BSD-2-Clause
// read_start.cc - [eal] and [options]: what EAL and umfwd are started with.
#include <algorithm>

#include <fmt/format.h>

#include "app/umfwd/conf/read.h"
#include "app/umfwd/engines/engine.h"
#include "app/umfwd/settings.h"

namespace umbuf::fwd {
namespace {

// Those that are about the file, or that a file cannot be asked.
constexpr const char* kNotInAFile[] = {"conf", "check-conf", "conf-readable"};

std::string dashed(std::string name) {
    std::replace(name.begin(), name.end(), '_', '-');
    return name;
}

std::vector<std::string> names_of(const std::vector<OptionName>& options) {
    std::vector<std::string> names;
    for (const OptionName& option : options) {
        names.push_back(option.name);
        std::replace(names.back().begin(), names.back().end(), '-', '_');
    }
    return names;
}

const std::vector<OptionName>& options_for_files() {
    static const std::vector<OptionName> names = [] {
        std::vector<OptionName> all = option_names();
        std::erase_if(all, [](const OptionName& o) { return std::ranges::find(kNotInAFile, o.name) != std::end(kNotInAFile); });
        return all;
    }();
    return names;
}

// as_argument - the value of an option, in the words of the command line. False: it cannot be one.
bool as_argument(const toml::node& value, std::string* text) {
    if (const auto* s = value.as_string()) return *text = s->get(), !s->get().empty();
    if (const auto* n = value.as_integer()) return *text = std::to_string(n->get()), true;
    if (const auto* d = value.as_floating_point()) return *text = fmt::format("{}", d->get()), true;
    if (const auto* b = value.as_boolean()) return *text = b->get() ? "on" : "off", true;
    return false;
}

// behind - what the command line would say of it, without the option and the value that it begins with.
std::string behind(const std::string& said, const std::string& argument) {
    for (const std::string& front : {argument + ": ", argument.substr(0, argument.find('=')) + ": "})
        if (said.starts_with(front)) return said.substr(front.size());
    return said;
}

class OptionReader {
  public:
    OptionReader(Keys& keys, Conf& conf) : keys_(keys), conf_(conf) {}

    void read(const std::string& key, const toml::node& value) {
        const std::vector<OptionName>& all = options_for_files();
        const auto option = std::ranges::find(all, key.find('-') == std::string::npos ? dashed(key) : "", &OptionName::name);
        if (option == all.end()) return keys_.unknown(key, Keys::place(value), names_of(all));
        if (!option->takes_value) return flag(key, *option, value);
        const toml::array* list = option->repeats ? value.as_array() : nullptr;
        if (list == nullptr) return one(key, *option, value);
        for (const toml::node& element : *list) one(key, *option, element);
    }

  private:
    void flag(const std::string& key, const OptionName& option, const toml::node& value) {
        const auto* b = value.as_boolean();
        if (b == nullptr) return keys_.wrong(key, value, "true or false");
        if (b->get()) return take(key, value, "--" + option.name);
        // As if it was not there, unless there is a word for it.
        const bool no = option.name.starts_with("no-");
        const std::string opposite = no ? option.name.substr(3) : "no-" + option.name;
        if (std::ranges::find(options_for_files(), opposite, &OptionName::name) != options_for_files().end()) take(key, value, "--" + opposite);
    }
    void one(const std::string& key, const OptionName& option, const toml::node& value) {
        std::string text;
        if (!as_argument(value, &text)) return keys_.wrong(key, value, option.repeats ? "one value, or a list of them" : "one value");
        if (option.name == "forward-mode" && find_engine(text) == nullptr) return keys_.wrong(key, value, "one of " + engine_names());
        take(key, value, fmt::format("--{}={}", option.name, text));
    }
    void take(const std::string& key, const toml::node& value, const std::string& argument) {
        Settings scratch;
        if (const Status taken = take_options(scratch, {argument}); !taken) {
            const std::string said = behind(taken.error().text, argument);
            return keys_.wrong(key, value, said.starts_with("expected ") ? said.substr(9) : "another value: " + said);
        }
        conf_.options.push_back({Keys::place(value), argument});
    }
    static std::string engine_names() {
        std::string names;
        for (const Engine* engine : engines()) names += (names.empty() ? "" : ", ") + std::string(engine->name);
        return names;
    }

    Keys& keys_;
    Conf& conf_;
};

}  // namespace

void read_options(Keys& keys, Conf& conf) {
    OptionReader reader(keys, conf);
    keys.each([&](const std::string& key, const toml::node& value) { reader.read(key, value); });
}

void read_eal(Keys& keys, Conf& conf) {
    const auto add = [&](const char* key, const char* option, const std::string& value) {
        conf.eal.push_back({keys.place(key), option, value});
    };
    std::string said;
    uint32_t n = 0;
    bool yes = true;
    if (keys.text("lcores", said)) add("lcores", "--lcores", said);
    if (keys.number("memory_mb", n, 1, 1u << 24)) add("memory_mb", "-m", std::to_string(n));
    if (keys.flag("huge", yes) && !yes) add("huge", "--no-huge", "");
    if (keys.flag("in_memory", yes) && yes) add("in_memory", "--in-memory", "");
    if (keys.text("file_prefix", said)) add("file_prefix", "--file-prefix", said);
    keys.words("log_level", "a level, such as \"pmd.net.virtio:debug\", or a list of them",
               [&](const std::string& level) { return add("log_level", "--log-level", level), !level.empty(); });
    keys.words("args", "other arguments of EAL, such as \"--iova-mode=va\", or a list of them",
               [&](const std::string& arg) { return add("args", arg.c_str(), ""), arg.starts_with("-") && arg != "--"; });
}

}  // namespace umbuf::fwd
