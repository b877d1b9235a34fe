// SPDX-License-Identifier: BSD-2-Clause
// interval.cc - number by number, found by name and labels.
#include "app/umstat/interval.h"

#include <unordered_map>

#include "app/umstat/arithmetic.h"

namespace umbuf::umstat {
namespace {

bool is_same(const stat::Number& a, const stat::Number& b) { return a.name == b.name && a.labels == b.labels && a.kind == b.kind; }

// Then - the numbers of an earlier sample. The directory seldom changes, so the place is tried first.
class Then {
  public:
    explicit Then(const stat::Sample& sample) : sample_(sample) {}
    [[nodiscard]] const stat::Number* find(size_t place, const stat::Number& number) {
        if (place < sample_.numbers.size() && is_same(sample_.numbers[place], number)) return &sample_.numbers[place];
        if (by_name_.empty())
            for (const stat::Number& one : sample_.numbers) by_name_.emplace(one.name + "{" + one.labels, &one);
        const auto found = by_name_.find(number.name + "{" + number.labels);
        return found != by_name_.end() && found->second->kind == number.kind ? found->second : nullptr;
    }

  private:
    const stat::Sample& sample_;
    std::unordered_map<std::string, const stat::Number*> by_name_;
};

}  // namespace

stat::Sample interval(const stat::Sample& before, stat::Sample now) {
    if (before.generation != now.generation || before.pid != now.pid) return now;
    Then then(before);
    for (size_t i = 0; i < now.numbers.size(); ++i) {
        stat::Number& number = now.numbers[i];
        if (number.kind != stat::Kind::counter && number.kind != stat::Kind::histogram) continue;
        const stat::Number* was = then.find(i, number);
        if (was == nullptr) continue;
        for (size_t cell = 0; cell < number.cells.size() && cell < was->cells.size(); ++cell)
            number.cells[cell] = grown(was->cells[cell], number.cells[cell]);
    }
    return now;
}

double seconds_between(const stat::Sample& before, const stat::Sample& now) noexcept {
    return static_cast<double>(minus(now.taken_ns, before.taken_ns)) / 1e9;
}

uint64_t per_second(uint64_t n, double seconds) noexcept {
    if (seconds <= 0) return 0;
    const double rate = static_cast<double>(n) / seconds;
    return rate < 1.8e19 ? static_cast<uint64_t>(rate + 0.5) : UINT64_MAX;
}

}  // namespace umbuf::umstat
