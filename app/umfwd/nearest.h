// SPDX-License-Identifier: BSD-2-Clause
// nearest.h - the name that somebody meant, when there is none that he wrote.
#pragma once
#include <string>
#include <vector>

namespace umbuf::fwd {

// nearest - of `names`, by the letters that would have to change. "": there are no names.
[[nodiscard]] std::string nearest(const std::string& typed, const std::vector<std::string>& names);

}  // namespace umbuf::fwd
