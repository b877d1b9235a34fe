// SPDX-License-Identifier: BSD-2-Clause
// sa_commands.h - `sa`, `policy` and `reload`: the part of the table of commands that is about a gateway.
#pragma once
#include <span>

#include "app/umfwd/prompt/prompt.h"

namespace umbuf::fwd {

[[nodiscard]] std::span<const Command> sa_commands() noexcept;

}  // namespace umbuf::fwd
