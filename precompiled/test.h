// SPDX-License-Identifier: BSD-2-Clause
// test.h - precompiled/fmt.h, and what tests include besides.
#include "precompiled/fmt.h"

#include <latch>
#include <random>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>
