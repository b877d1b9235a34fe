// SPDX-License-Identifier: BSD-2-Clause
// source.h - a configuration file's text, from which the keys were lifted before anybody parses it.
//
// A TOML parser copies strings as it likes, and cites them when it complains. So it never sees a key: what
// stands behind `key =` is kept in memory of its own, and the parser gets as many stars.
//
//      file      key = "00 11 22"       K1  as many characters, so that places stay
//      parser    key = "********"       K2  found again by the place of the value
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "app/umfwd/conf/problems.h"
#include "lib/base/result.h"
#include "lib/ipsec/secret.h"

namespace umbuf::fwd {

class Source {
  public:
    // open - Error: why it cannot be read. The text does not name the file.
    [[nodiscard]] static Result<Source> open(const std::string& path);
    // of - a text that is no file: rights are those of a file of its own.
    [[nodiscard]] static Result<Source> of(std::string_view text);

    [[nodiscard]] std::string_view text() const noexcept { return text_; }  // with stars
    // key_at - the bytes that the value at this place says in hexadecimal digits; blanks and line ends do
    // not count. Error: which character is none; never what it is.
    [[nodiscard]] Result<Secret> key_at(Place value) const;
    // rights - of the file.
    [[nodiscard]] uint32_t rights() const noexcept { return rights_; }

  private:
    struct Range {
        size_t at, size;
    };
    void lift();
    size_t lift_value(size_t at);
    void cover(Range range, Place at);
    [[nodiscard]] Place place_of(size_t at);

    Secret secret_;     // the file as it is
    std::string text_;  // with stars
    std::map<Place, Range> keys_;
    uint32_t rights_ = 0600;
    size_t seen_ = 0;   // place_of(): how far it has counted
    Place seen_at_{1, 1};
};

}  // namespace umbuf::fwd
