// SPDX-License-Identifier: BSD-2-Clause
// stat_writer.cc - a writer of statistics that does what it is told, line by line: for the tests of umstat.
//
// usage: stat_writer PREFIX
//      put NAME UNIT KIND LABELS VALUE[/VALUE...]   make a number, or set it; LABELS - is none
//      add NAME LABELS VALUE                        count, in its first cell
//      say starting|running|stopped
//      beat on|off                                  ten times a second (off at the start: one beat only)
//      churn                                        make, count and take away numbers, until the next line
//      end                                          in order, as umfwd does
// Each line is answered "ok", or "no" and why.
#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <deque>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "lib/stat/segment.h"

namespace {

using umbuf::stat::Field;
using umbuf::stat::Kind;

struct Block {
    std::string name, unit, labels;
    Field field{};
    umbuf::sync::Counter* cells = nullptr;
};

// Blocks - numbers that stay where they are: their fields point at their names.
class Blocks {
  public:
    umbuf::sync::Counter* find(const std::string& name, const std::string& labels) const {
        const auto at = by_name_.find(name + "{" + labels);
        return at == by_name_.end() ? nullptr : all_[at->second].cells;
    }
    umbuf::sync::Counter* make(const std::string& name, const std::string& unit, Kind kind, const std::string& labels, uint32_t cells) {
        by_name_[name + "{" + labels] = all_.size();
        Block& b = all_.emplace_back(Block{name, unit, labels, {}, nullptr});
        b.field = {b.name.c_str(), b.unit.c_str(), kind, cells, "a number of the test's", ""};
        b.cells = reinterpret_cast<umbuf::sync::Counter*>(umbuf::stat::block({&b.field, 1}, b.labels, 8 * cells));
        return b.cells;
    }

  private:
    std::deque<Block> all_;
    std::map<std::string, size_t> by_name_;
};

Kind kind_of(const std::string& word) {
    if (word == "counter") return Kind::counter;
    if (word == "peak") return Kind::peak;
    if (word == "limit") return Kind::limit;
    return word == "histogram" ? Kind::histogram : Kind::gauge;
}

std::vector<uint64_t> values_of(const std::string& text) {
    std::vector<uint64_t> values;
    std::istringstream in(text);
    for (std::string one; std::getline(in, one, '/');) values.push_back(std::stoull(one));
    return values;
}

void put(Blocks& blocks, std::istringstream& words) {
    std::string name, unit, kind, labels, text;
    words >> name >> unit >> kind >> labels >> text;
    if (labels == "-") labels.clear();
    const std::vector<uint64_t> values = values_of(text);
    umbuf::sync::Counter* cells = blocks.find(name, labels);
    if (cells == nullptr) cells = blocks.make(name, unit, kind_of(kind), labels, static_cast<uint32_t>(values.size()));
    for (size_t i = 0; i < values.size(); ++i) cells[i].set(values[i]);
}

bool add(Blocks& blocks, std::istringstream& words) {
    std::string name, labels;
    uint64_t value = 0;
    words >> name >> labels >> value;
    umbuf::sync::Counter* cells = blocks.find(name, labels == "-" ? "" : labels);
    if (cells != nullptr) cells->add(value);
    return cells != nullptr;
}

bool line_waits() {
    pollfd in{STDIN_FILENO, POLLIN, 0};
    return std::cin.rdbuf()->in_avail() > 0 || poll(&in, 1, 0) > 0;
}

struct Pair {
    umbuf::sync::Counter in, out;
};
constexpr Field kPair[] = {{"stream_rx", "packets", Kind::counter, 1, "received"},
                           {"stream_tx", "packets", Kind::counter, 1, "sent"}};

// churn - as a forwarder whose ports come and go, at a pace that none has.
void churn() {
    for (uint64_t turn = 0; !line_waits(); ++turn) {
        std::vector<umbuf::stat::Box<Pair>> boxes;
        for (int i = 0; i < 8; ++i) {
            boxes.emplace_back(kPair, "rx_port=" + std::to_string(i) + ",turn=" + std::to_string(turn % 7));
            boxes.back()->in.set(turn);
            boxes.back()->out.set(turn);
        }
        umbuf::stat::beat();
    }
}

bool obey(Blocks& blocks, const std::string& line, bool& beats) {
    std::istringstream words(line);
    std::string verb, word;
    words >> verb;
    using umbuf::stat::State;
    if (verb == "put") return put(blocks, words), true;
    if (verb == "add") return add(blocks, words);
    if (verb == "churn") return churn(), true;
    words >> word;
    if (verb == "beat") return beats = word == "on", true;
    if (verb != "say") return false;
    umbuf::stat::say(word == "running" ? State::running : word == "stopped" ? State::stopped : State::starting);
    return true;
}

// read_line - beating while none comes. False: there will be none.
bool read_line(std::string& line, const bool& beats) {
    for (;;) {
        pollfd in{STDIN_FILENO, POLLIN, 0};
        if (std::cin.rdbuf()->in_avail() > 0 || poll(&in, 1, 100) > 0) return static_cast<bool>(std::getline(std::cin, line));
        if (beats) umbuf::stat::beat();
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::ios::sync_with_stdio(false);  // so that in_avail() knows
    umbuf::stat::Plan plan;
    plan.prefix = argc > 1 ? argv[1] : "stat_writer";
    plan.path = umbuf::stat::path_of(plan.prefix);
    plan.program = "stat_writer";
    plan.version = "1";
    if (const umbuf::Status opened = umbuf::stat::open(plan); !opened) {
        std::fprintf(stderr, "stat_writer: %s\n", opened.error().text.c_str());
        return 1;
    }
    std::cout << "ready " << plan.path << std::endl;
    Blocks blocks;
    bool beats = false;
    for (std::string line; read_line(line, beats) && line != "end";)
        std::cout << (obey(blocks, line, beats) ? "ok" : "no: " + line) << std::endl;
    umbuf::stat::close();
    return 0;
}
