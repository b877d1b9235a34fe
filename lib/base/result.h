// SPDX-License-Identifier: BSD-2-Clause
// result.h - a value, or the reason why there is none.
//
// For the control plane: a wrong environment or a wrong input is answered with a Result whose text
// says what was wrong, where, and what was expected. The data plane returns verdicts and counts;
// it never makes an Error (which holds a std::string).
#pragma once
#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/check.h"

namespace umbuf {

struct Error {
    int code;          // an errno value, never 0
    std::string text;  // one sentence for a person: what, where, what was expected, the remedy
};

template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}             // NOLINT: implicit on purpose
    Result(Error error) : error_(std::move(error)) {}         // NOLINT: implicit on purpose
    [[nodiscard]] bool ok() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return ok(); }
    [[nodiscard]] T& value() & {
        UM_ASSERT_MSG(ok(), "%s", error_.text.c_str());
        return *value_;
    }
    [[nodiscard]] const T& value() const& {
        UM_ASSERT_MSG(ok(), "%s", error_.text.c_str());
        return *value_;
    }
    [[nodiscard]] T&& value() && {
        UM_ASSERT_MSG(ok(), "%s", error_.text.c_str());
        return std::move(*value_);
    }
    [[nodiscard]] const Error& error() const noexcept { return error_; }

  private:
    std::optional<T> value_;
    Error error_{};
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose
    [[nodiscard]] bool ok() const noexcept { return error_.code == 0; }
    explicit operator bool() const noexcept { return ok(); }
    [[nodiscard]] const Error& error() const noexcept { return error_; }

  private:
    Error error_{};
};

using Status = Result<void>;

}  // namespace umbuf
