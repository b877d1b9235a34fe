// SPDX-License-Identifier: BSD-2-Clause
// symbols.cc - reads the symbol tables of ELF objects.
#include "lib/base/symbols.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <vector>

namespace umbuf {
namespace {

struct Function {
    uint64_t begin, size;
    std::string name;
};
using Table = std::vector<Function>;  // by address

template <class T>
std::vector<T> read_array(std::ifstream& file, uint64_t offset, uint64_t n) {
    constexpr uint64_t kMost = uint64_t{1} << 28;  // what is longer is no symbol table
    std::vector<T> items(n * sizeof(T) < kMost ? n : 0);
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(reinterpret_cast<char*>(items.data()), static_cast<std::streamsize>(items.size() * sizeof(T)));
    if (!file) items.clear();
    return items;
}

void add_functions(Table& table, std::ifstream& file, const ElfW(Shdr) & symbols, const ElfW(Shdr) & strings) {
    const auto names = read_array<char>(file, strings.sh_offset, strings.sh_size);
    for (const ElfW(Sym) & s : read_array<ElfW(Sym)>(file, symbols.sh_offset, symbols.sh_size / sizeof(ElfW(Sym)))) {
        if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_value == 0 || s.st_name >= names.size()) continue;
        const auto begin = names.begin() + static_cast<std::ptrdiff_t>(s.st_name);
        table.push_back({s.st_value, s.st_size, {begin, std::find(begin, names.end(), '\0')}});
    }
}

Table read_table(const std::string& path) {
    Table table;
    std::ifstream file(path, std::ios::binary);
    const auto header = read_array<ElfW(Ehdr)>(file, 0, 1);
    if (header.empty() || std::string(header[0].e_ident, header[0].e_ident + SELFMAG) != ELFMAG) return table;
    const auto sections = read_array<ElfW(Shdr)>(file, header[0].e_shoff, header[0].e_shnum);
    for (const ElfW(Shdr) & section : sections)
        if ((section.sh_type == SHT_SYMTAB || section.sh_type == SHT_DYNSYM) && section.sh_link < sections.size())
            add_functions(table, file, section, sections[section.sh_link]);
    std::ranges::sort(table, {}, &Function::begin);
    return table;
}

const Function* find(const Table& table, uint64_t at) {
    auto after = std::ranges::upper_bound(table, at, {}, &Function::begin);
    if (after == table.begin()) return nullptr;
    const Function& found = *--after;
    return at - found.begin < std::max<uint64_t>(found.size, 1) ? &found : nullptr;
}

// A function's name without its arguments, whose types are long and known to the reader.
std::string demangled(const std::string& name) {
    int status = 0;
    char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
    if (text == nullptr) return name;
    std::string plain = text;
    std::free(text);
    const std::string unnamed = "(anonymous namespace)";
    int depth = 0;  // of template arguments
    for (size_t i = 0; i < plain.size(); ++i) {
        depth += (plain[i] == '<') - (plain[i] == '>');
        if (plain[i] != '(' || depth != 0) continue;
        if (plain.compare(i, unnamed.size(), unnamed) != 0) return plain.substr(0, i);
        i += unnamed.size() - 1;
    }
    return plain;
}

std::string at_offset(const std::string& name, uint64_t offset) {
    std::array<char, 24> text;
    std::snprintf(text.data(), text.size(), "+0x%llx", static_cast<unsigned long long>(offset));
    return name + text.data();
}

}  // namespace

namespace {

// named - the function in the object's table; empty: the table does not know.
std::string named(const std::string& path, uint64_t at) {
    static std::mutex lock;
    static std::map<std::string, Table> tables;
    const std::lock_guard held(lock);
    const auto [table, fresh] = tables.try_emplace(path);
    if (fresh) table->second = read_table(path);
    const Function* f = find(table->second, at);
    return f == nullptr ? "" : at_offset(demangled(f->name), at + 1 - f->begin);
}

}  // namespace

std::string symbol_in(const std::string& path, uint64_t offset) {
    const std::string name = named(path, offset - 1);
    return name.empty() ? at_offset(path, offset) : name;
}

std::string symbol_of(const void* return_address) {
    // The call is before the address that it returns to, which may be in the next function already.
    const void* call = static_cast<const char*>(return_address) - 1;
    Dl_info info;
    link_map* object = nullptr;
    if (dladdr1(call, &info, reinterpret_cast<void**>(&object), RTLD_DL_LINKMAP) == 0 || object == nullptr)
        return at_offset("", reinterpret_cast<uintptr_t>(return_address)).substr(1);
    const bool program = object->l_name == nullptr || *object->l_name == '\0';
    const std::string path = program ? "/proc/self/exe" : object->l_name;
    const uint64_t at = reinterpret_cast<uintptr_t>(call) - object->l_addr;
    const std::string name = named(path, at);
    return name.empty() ? at_offset(info.dli_fname, at + 1) : name;
}

}  // namespace umbuf
