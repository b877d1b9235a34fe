// SPDX-License-Identifier: BSD-2-Clause
// fmt.h - precompiled/dpdk.h, and what those include besides who talk to people.
#include "precompiled/dpdk.h"

#include <chrono>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
