// SPDX-License-Identifier: BSD-2-Clause
// source.cc - reading, and lifting.
#include "app/umfwd/conf/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstring>

#include <fmt/format.h>

#include "lib/ipsec/sa_text.h"

namespace umbuf::fwd {
namespace {

constexpr size_t kMostBytes = 16u << 20;

struct File {
    int fd;
    ~File() {
        if (fd >= 0) close(fd);
    }
};

Error system_error() { return {errno, fmt::format("cannot be read: {}", std::strerror(errno))}; }

bool of_a_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-'; }
bool blank(char c) { return c == ' ' || c == '\t'; }

size_t skip_blanks(std::string_view text, size_t at) {
    while (at < text.size() && blank(text[at])) ++at;
    return at;
}

// value_of_key - where the value begins if a key named `key` stands at `at`; npos: none does.
size_t value_of_key(std::string_view text, size_t at) {
    constexpr std::string_view kName = "key";
    if (text.substr(at, kName.size()) != kName || (at > 0 && of_a_name(text[at - 1]))) return std::string_view::npos;
    at += kName.size();
    if (at < text.size() && (text[at] == '"' || text[at] == '\'')) ++at;
    at = skip_blanks(text, at);
    if (at >= text.size() || text[at] != '=') return std::string_view::npos;
    return skip_blanks(text, at + 1);
}

// end_of_quoted - where the quotes that open at `at` close; the line's or the text's end if they do not.
size_t end_of_quoted(std::string_view text, size_t at, std::string_view quotes) {
    if (quotes.size() == 3) return std::min(text.find(quotes, at + 3), text.size());
    for (size_t i = at + 1; i < text.size(); ++i) {
        if (text[i] == quotes[0] || text[i] == '\n') return i;
        if (text[i] == '\\' && quotes[0] == '"') ++i;
    }
    return text.size();
}

}  // namespace

Result<Source> Source::open(const std::string& path) {
    const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat about {};
    if (file.fd < 0 || fstat(file.fd, &about) != 0) return system_error();
    if (!S_ISREG(about.st_mode)) return Error{EINVAL, "is no file of text"};
    if (static_cast<size_t>(about.st_size) > kMostBytes) return Error{EFBIG, fmt::format("{} bytes: expected {} at most", about.st_size, kMostBytes)};
    Result<Secret> bytes = Secret::make(static_cast<size_t>(about.st_size));
    if (!bytes) return bytes.error();
    size_t have = 0;
    while (have < bytes.value().size()) {
        const ssize_t got = ::read(file.fd, bytes.value().data() + have, bytes.value().size() - have);
        if (got < 0) return system_error();
        if (got == 0) break;
        have += static_cast<size_t>(got);
    }
    Source source;
    source.secret_ = std::move(bytes.value());
    source.rights_ = about.st_mode & 07777;
    source.text_.assign(have, '*');
    source.lift();
    return source;
}

Result<Source> Source::of(std::string_view text) {
    Result<Secret> bytes = Secret::copy({reinterpret_cast<const std::byte*>(text.data()), text.size()});
    if (!bytes) return bytes.error();
    Source source;
    source.secret_ = std::move(bytes.value());
    source.text_.assign(text.size(), '*');
    source.lift();
    return source;
}

// lift - copy the file into text_, but what is behind `key =`.
void Source::lift() {
    const std::string_view all(reinterpret_cast<const char*>(secret_.data()), text_.size());
    for (size_t at = 0; at < all.size();) {
        const size_t value = value_of_key(all, at);
        if (value == std::string_view::npos || value >= all.size()) {
            text_[at] = all[at];
            ++at;
            continue;
        }
        std::copy(all.begin() + static_cast<std::ptrdiff_t>(at), all.begin() + static_cast<std::ptrdiff_t>(value),
                  text_.begin() + static_cast<std::ptrdiff_t>(at));
        at = lift_value(value);
    }
}

// lift_value - returns where to go on. What is in no quotes is no key, but may have been meant as one: it
// becomes a 1, or an empty list, of which the reader says that it expected a string.
size_t Source::lift_value(size_t at) {
    const std::string_view all(reinterpret_cast<const char*>(secret_.data()), text_.size());
    const std::string_view rest = all.substr(at);
    for (const std::string_view quotes : {"\"\"\"", "'''", "\"", "'"}) {
        if (!rest.starts_with(quotes)) continue;
        const size_t from = at + quotes.size(), end = end_of_quoted(all, at, quotes);
        std::fill_n(text_.begin() + static_cast<std::ptrdiff_t>(at), quotes.size(), quotes[0]);
        cover({std::min(from, end), end - std::min(from, end)}, place_of(at));
        return std::max(end, std::min(from, all.size()));
    }
    const bool list = rest[0] == '[';
    const size_t end = list ? std::min(all.find(']', at), all.size()) : std::min(all.find_first_of(",]}#\r\n", at), all.size());
    for (size_t i = at; i < end; ++i) text_[i] = all[i] == '\n' ? '\n' : ' ';
    if (end > at) text_[at] = list ? '[' : '1';
    return end;
}

void Source::cover(Range range, Place at) {
    for (size_t i = range.at; i < range.at + range.size; ++i)
        text_[i] = secret_.data()[i] == std::byte{'\n'} ? '\n' : '*';
    keys_[at] = range;
}

// place_of - asked for ever later bytes. Columns are characters, as the parser counts them.
Place Source::place_of(size_t at) {
    for (; seen_ < at; ++seen_) {
        const auto c = static_cast<unsigned char>(secret_.data()[seen_]);
        if (c == '\n') seen_at_ = {seen_at_.line + 1, 1};
        else if ((c & 0xc0) != 0x80) ++seen_at_.column;
    }
    return seen_at_;
}

Result<Secret> Source::key_at(Place value) const {
    const auto found = keys_.find(value);
    if (found == keys_.end()) return Error{EINVAL, "expected hexadecimal digits in quotes, behind the word key and ="};
    return secret_of_hex({secret_.data() + found->second.at, found->second.size});
}

}  // namespace umbuf::fwd
