// SPDX-License-Identifier: BSD-2-Clause
// grammar.h - the shape of a command line: which words may stand where.
//
//      set burst <n:u16>                    two words that stand for themselves, and a value
//      port (start|stop) <port:u16|all>     one of two words, then a number or "all"
//      start [tx_first [<n:count>]]         the end may be left out, from the inside outwards
//      sa add <words:rest>                  all that is left of the line, as whoever reads it likes
//
// A line of the grammar unfolds into shapes without options: the last one above into three. Both
// the parser and the sentences about what was typed wrong ask the same question, Word::fits().
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace umbuf::fwd {

enum class WordKind : uint8_t { literal, choice, value };
enum class ValueType : uint8_t { u16, u16_or_all, count, u32, u64, str, mac, rest };

struct Word {
    WordKind kind = WordKind::literal;
    bool optional = false;             // stood inside brackets
    ValueType type = ValueType::str;   // of a value
    std::string name;                  // of a value; a literal is named by itself
    std::vector<std::string> choices;  // what may be typed and completed; a free value has none

    [[nodiscard]] bool fits(std::string_view typed) const;
    [[nodiscard]] bool takes_all() const { return kind == WordKind::value && type == ValueType::rest; }
    [[nodiscard]] std::string text() const;  // for a sentence: `info|stats`, `<port>, a number ...`
};

using Shape = std::vector<Word>;

// shapes_of - a line of the grammar, unfolded; the shortest shape first. A grammar that makes no
// sense is a bug in a table: dies with the line.
[[nodiscard]] std::vector<Shape> shapes_of(std::string_view grammar);

// words_of - a typed line, cut at blanks; '#' starts a comment.
[[nodiscard]] std::vector<std::string> words_of(std::string_view line);

// number_of - decimal or 0x..., nothing behind it, at most `max`. False: it is none.
[[nodiscard]] bool number_of(std::string_view typed, uint64_t max, uint64_t& value);

// misfit - one sentence about a line that fits no shape: the first word that is wrong, and what
// could stand in its place.
[[nodiscard]] std::string misfit(std::span<const Shape* const> shapes,
                                 const std::vector<std::string>& words);

}  // namespace umbuf::fwd
