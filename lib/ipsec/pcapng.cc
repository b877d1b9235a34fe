// SPDX-License-Identifier: BSD-2-Clause
// pcapng.cc - blocks of draft-ietf-opsawg-pcapng: section header, one interface, enhanced packets.
#include "lib/ipsec/pcapng.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

namespace umbuf {
namespace {

constexpr uint32_t kSection = 0x0a0d0d0a, kInterface = 1, kPacket = 6;
constexpr uint16_t kRawIp = 101;  // LINKTYPE_RAW
constexpr uint16_t kComment = 1;  // opt_comment

template <class T>
void put(std::string& to, T n) {
    to.append(reinterpret_cast<const char*>(&n), sizeof(n));
}
void pad(std::string& to) { to.append((4 - to.size() % 4) % 4, '\0'); }

void put_comment(std::string& to, const std::string& text) {
    put(to, kComment);
    put(to, static_cast<uint16_t>(text.size()));
    to += text;
    pad(to);
    put(to, uint32_t{0});  // opt_endofopt
}

// block - its length stands at both ends.
std::string block(uint32_t type, const std::string& body) {
    std::string b;
    put(b, type);
    const uint32_t bytes = static_cast<uint32_t>(body.size()) + 12;
    put(b, bytes);
    b += body;
    put(b, bytes);
    return b;
}

std::string section(const std::string& comment) {
    std::string body;
    put(body, uint32_t{0x1a2b3c4d});
    put(body, uint16_t{1});
    put(body, uint16_t{0});
    put(body, int64_t{-1});  // length not said
    put_comment(body, comment);
    return block(kSection, body);
}

std::string interface() {
    std::string body;
    put(body, kRawIp);
    put(body, uint16_t{0});
    put(body, uint32_t{0});  // no limit
    return block(kInterface, body);
}

std::string packet(const Pictured& p, uint64_t now_us) {
    std::string body;
    put(body, uint32_t{0});
    put(body, static_cast<uint32_t>(now_us >> 32));
    put(body, static_cast<uint32_t>(now_us));
    const uint32_t bytes = static_cast<uint32_t>(p.bytes.size());
    put(body, bytes);
    put(body, bytes);
    body.append(reinterpret_cast<const char*>(p.bytes.data()), bytes);
    pad(body);
    put_comment(body, p.comment);
    return block(kPacket, body);
}

}  // namespace

Status write_pcapng(const std::string& path, const std::string& comment, std::span<const Pictured> packets) {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    const uint64_t now_us = static_cast<uint64_t>(t.tv_sec) * 1000000 + static_cast<uint64_t>(t.tv_nsec) / 1000;
    std::string all = section(comment) + interface();
    for (const Pictured& p : packets) all += packet(p, now_us);
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return Error{errno, path + " cannot be made: " + std::strerror(errno)};
    const ssize_t written = ::write(fd, all.data(), all.size());
    const int error = errno;
    (void)::close(fd);
    if (written == static_cast<ssize_t>(all.size())) return {};
    return Error{written < 0 ? error : ENOSPC, path + " cannot be written whole"};
}

}  // namespace umbuf
