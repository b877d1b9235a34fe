// SPDX-License-Identifier: BSD-2-Clause
// grammar.cc - unfolds the lines of a command table, and explains lines that fit none of them.
#include "app/umfwd/prompt/grammar.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/format.h>
#include <rte_ether.h>

#include "lib/base/check.h"

namespace umbuf::fwd {
namespace {

struct TypeName {
    const char* name;
    ValueType type;
    const char* text;
};
constexpr TypeName kTypes[] = {
    {"u16", ValueType::u16, "a number from 0 to 65535"},
    {"u16|all", ValueType::u16_or_all, "a number from 0 to 65535, or \"all\""},
    {"count", ValueType::count, "a number from 1 to 65535"},
    {"u32", ValueType::u32, "a number from 0 to 4294967295"},
    {"u64", ValueType::u64, "a number from 0 to 2^64-1"},
    {"str", ValueType::str, "a word"},
    {"mac", ValueType::mac, "an address such as 02:00:00:00:00:01"},
    {"rest", ValueType::rest, "words"},
};

constexpr std::string_view kBlanks = " \t\r\n";

// Reader - a cursor over one line of the grammar, which it prints when the line is wrong.
class Reader {
  public:
    explicit Reader(std::string_view grammar) : all_(grammar), rest_(grammar) {}

    [[nodiscard]] std::vector<Shape> read() {
        std::vector<Shape> shapes;
        Shape shape;
        for (skip(); !rest_.empty(); skip()) {
            if (take('[')) {
                need(!shape.empty() && !closed_, "an option needs a word before it");
                shapes.push_back(shape);
                ++depth_;
            } else if (take(']')) {
                need(depth_ > 0 && shape.size() > shapes.back().size(), "']' closes nothing");
                --depth_;
                closed_ = true;
            } else {
                need(!closed_, "only the end of a line may be optional");
                need(shape.empty() || !shape.back().takes_all(), "nothing is left behind what takes all");
                shape.push_back(word());
            }
        }
        need(!shape.empty() && depth_ == 0, "it is empty or a '[' stays open");
        shapes.push_back(std::move(shape));
        return shapes;
    }

  private:
    void need(bool condition, const char* why) const {
        UM_ASSERT_MSG(condition, "grammar \"%.*s\": %s", static_cast<int>(all_.size()), all_.data(),
                      why);
    }
    void skip() {
        const size_t n = rest_.find_first_not_of(kBlanks);
        rest_.remove_prefix(n == rest_.npos ? rest_.size() : n);
    }
    bool take(char c) {
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    std::string_view until(std::string_view ends) {
        const size_t n = std::min(rest_.find_first_of(ends), rest_.size());
        const std::string_view piece = rest_.substr(0, n);
        need(!piece.empty(), "a word is missing");
        rest_.remove_prefix(n);
        return piece;
    }

    [[nodiscard]] Word blank(WordKind kind) const {
        Word word;
        word.kind = kind;
        word.optional = depth_ > 0;
        return word;
    }
    Word word() {
        if (take('(')) return choice();
        if (take('<')) return value();
        Word literal = blank(WordKind::literal);
        literal.name = until(" \t()<>[]|");
        literal.choices = {literal.name};
        return literal;
    }
    Word choice() {
        Word choice = blank(WordKind::choice);
        do
            choice.choices.emplace_back(until("|) \t"));
        while (take('|'));
        need(take(')'), "a '(' stays open");
        return choice;
    }
    Word value() {
        Word value = blank(WordKind::value);
        value.name = until(":>");
        need(take(':'), "a value needs a type: <name:type>");
        const std::string_view type = until(">");
        need(take('>'), "a '<' stays open");
        const auto* known = std::ranges::find(kTypes, type, &TypeName::name);
        need(known != std::end(kTypes), "there is no such type of value");
        value.type = known->type;
        if (value.type == ValueType::u16_or_all) value.choices = {"all"};
        return value;
    }

    std::string_view all_, rest_;
    int depth_ = 0;
    bool closed_ = false;
};

bool value_fits(ValueType type, std::string_view typed) {
    uint64_t n;
    rte_ether_addr mac;
    switch (type) {
        case ValueType::u16: return number_of(typed, std::numeric_limits<uint16_t>::max(), n);
        case ValueType::u16_or_all:
            return typed == "all" || number_of(typed, std::numeric_limits<uint16_t>::max(), n);
        case ValueType::count:
            return number_of(typed, std::numeric_limits<uint16_t>::max(), n) && n > 0;
        case ValueType::u32: return number_of(typed, std::numeric_limits<uint32_t>::max(), n);
        case ValueType::u64: return number_of(typed, std::numeric_limits<uint64_t>::max(), n);
        case ValueType::mac: return rte_ether_unformat_addr(std::string(typed).c_str(), &mac) == 0;
        case ValueType::str:
        case ValueType::rest: return !typed.empty();
    }
    return false;
}

std::string join(const std::vector<std::string>& pieces, const char* separator) {
    return fmt::format("{}", fmt::join(pieces, separator));
}

// word_at - what stands at place i of a line; null: the line has ended.
const Word* word_at(const Shape& shape, size_t i) {
    if (i < shape.size()) return &shape[i];
    return !shape.empty() && shape.back().takes_all() ? &shape.back() : nullptr;
}

// what_fits - what may stand at place i of these shapes, each answer once, in the table's order.
std::string what_fits(const std::vector<const Shape*>& shapes, size_t i) {
    std::vector<std::string> answers;
    for (const Shape* shape : shapes) {
        if (i >= shape->size()) continue;
        const Word& word = (*shape)[i];
        std::vector<std::string> here = word.choices;
        if (word.kind == WordKind::value) here = {word.text()};
        for (std::string& answer : here)
            if (std::ranges::find(answers, answer) == answers.end())
                answers.push_back(std::move(answer));
    }
    return join(answers, ", ");
}

}  // namespace

bool number_of(std::string_view typed, uint64_t max, uint64_t& value) {
    const bool hex = typed.starts_with("0x") || typed.starts_with("0X");
    if (hex) typed.remove_prefix(2);
    const char* const end = typed.data() + typed.size();
    const auto [stop, error] = std::from_chars(typed.data(), end, value, hex ? 16 : 10);
    return error == std::errc() && stop == end && value <= max;
}

bool Word::fits(std::string_view typed) const {
    if (kind == WordKind::value) return value_fits(type, typed);
    return std::ranges::find(choices, typed) != choices.end();
}

std::string Word::text() const {
    if (kind != WordKind::value) return join(choices, "|");
    const auto* known = std::ranges::find(kTypes, type, &TypeName::type);
    return fmt::format("<{}>, {}", name, known->text);
}

std::vector<Shape> shapes_of(std::string_view grammar) {
    return Reader(grammar).read();
}

std::vector<std::string> words_of(std::string_view line) {
    line = line.substr(0, line.find('#'));
    std::vector<std::string> words;
    while (true) {
        const size_t begin = line.find_first_not_of(kBlanks);
        if (begin == line.npos) return words;
        const size_t end = std::min(line.find_first_of(kBlanks, begin), line.size());
        words.emplace_back(line.substr(begin, end - begin));
        line.remove_prefix(end);
    }
}

std::string misfit(std::span<const Shape* const> shapes, const std::vector<std::string>& words) {
    std::vector<const Shape*> alive(shapes.begin(), shapes.end());
    std::string before;
    for (size_t i = 0; i < words.size(); ++i) {
        std::vector<const Shape*> next;
        for (const Shape* shape : alive)
            if (const Word* word = word_at(*shape, i); word != nullptr && word->fits(words[i])) next.push_back(shape);
        if (next.empty()) {
            const std::string fits = what_fits(alive, i);
            if (i == 0) return fmt::format("\"{}\" is no command; what fits is {}", words[0], fits);
            if (fits.empty())
                return fmt::format("{}: \"{}\" is one word too many, the command ends before it",
                                   before, words[i]);
            return fmt::format("{}: \"{}\" does not fit here; what fits is {}", before, words[i],
                               fits);
        }
        alive = std::move(next);
        before += (i == 0 ? "" : " ") + words[i];
    }
    const std::string fits = what_fits(alive, words.size());
    return fmt::format("{}: a word is missing at the end; what fits is {}", before, fits);
}

}  // namespace umbuf::fwd
