// SPDX-License-Identifier: BSD-2-Clause
// symbols.h - addresses in the program as names of functions, for people who read a trace.
#pragma once
#include <cstdint>
#include <string>

namespace umbuf {

// symbol_of - the function that a return address is in, such as "umbuf::m_copym+0x9c"; without the
// arguments. Where the object has no symbols: its file and the offset in it, as addr2line takes them.
// Reads the object's own symbol table, so that functions that are not exported have names, too; each
// object once. Control plane: allocates, opens files. Any thread, one at a time.
[[nodiscard]] std::string symbol_of(const void* return_address);

// symbol_in - the same for another process: an offset in an object's file (as addr2line takes it), of a return
// address.
[[nodiscard]] std::string symbol_in(const std::string& path, uint64_t offset);

}  // namespace umbuf
