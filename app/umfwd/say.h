// SPDX-License-Identifier: BSD-2-Clause
// say.h - where the program's words for people go.
//
// Standard output, like testpmd's; standard error when standard output is taken by the JSON report
// (--json -). Control thread only.
#pragma once
#include <string_view>

namespace umbuf::fwd {

void say(std::string_view text);        // as it is, flushed
void say_on_standard_error() noexcept;  // from now on

}  // namespace umbuf::fwd
