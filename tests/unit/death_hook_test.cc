// SPDX-License-Identifier: BSD-2-Clause
// death_hook_test.cc - who may add to the last words, and the names of functions in them.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include <rte_mempool.h>

#include "lib/base/check.h"
#include "lib/base/symbols.h"

namespace umbuf::test {
namespace {

int broken_object;

void first(const Death& death) noexcept {
    std::fprintf(stderr, "hook one: %s, %s\n", death.condition,
                 death.object == &broken_object ? "our object" : "no object");
}
void second(const Death&) noexcept {
    std::fputs("hook two dies\n", stderr);
    UM_ASSERT(false);
}

// What hooks are there stays for the whole process: they are set in the child.
TEST(DeathHook, HooksSpeakOnceEachInOrderAndOneThatDiesEndsIt) {
    EXPECT_DEATH(
        {
            on_die(first);
            on_die(second);
            on_die(first);
            UM_ASSERT_MSG(1 > 2, "words");
        },
        "words.*hook one: 1 > 2, no object\nhook two dies\numbuf: .*broken invariant: false");
}

TEST(DeathHook, AHookIsToldTheObject) {
    EXPECT_DEATH(
        {
            on_die(first);
            UM_ASSERT_ABOUT(1 > 2, &broken_object, "words of %d", 7);
        },
        "words of 7.*hook one: 1 > 2, our object");
}

__attribute__((noinline)) const void* here() { return __builtin_return_address(0); }
__attribute__((noinline)) const void* not_exported() {
    const void* address = here();
    std::atexit([] {});  // a call behind it, so that the one above is no jump
    return address;
}

TEST(SymbolOf, FunctionsOfTheProgramHaveNamesWithoutArguments) {
    const std::string name = symbol_of(not_exported());
    EXPECT_EQ(name.substr(0, name.find('+')), "umbuf::test::(anonymous namespace)::not_exported");
}

TEST(SymbolOf, FunctionsOfLibrariesHaveNames) {
    EXPECT_EQ(symbol_of(reinterpret_cast<const char*>(&rte_mempool_create) + 1), "rte_mempool_create+0x1");
}

TEST(SymbolOf, AnAddressOfNothingStaysANumber) { EXPECT_EQ(symbol_of(reinterpret_cast<void*>(8)), "0x8"); }

}  // namespace
}  // namespace umbuf::test
