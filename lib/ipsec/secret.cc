// SPDX-License-Identifier: BSD-2-Clause
// secret.cc - pages for keys.
#include "lib/ipsec/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace umbuf {
namespace {

size_t rounded(size_t bytes) noexcept {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

}  // namespace

void wipe(void* at, size_t bytes) noexcept { explicit_bzero(at, bytes); }

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this == &other) return *this;
    clear();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
}

Result<Secret> Secret::make(size_t bytes) {
    const size_t mapped = rounded(bytes == 0 ? 1 : bytes);
    void* at = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return Error{errno, "no memory for a key: " + std::string(std::strerror(errno))};
    if (madvise(at, mapped, MADV_DONTDUMP) != 0) {
        const int error = errno;
        munmap(at, mapped);
        return Error{error, "the kernel cannot keep keys out of core dumps: " + std::string(std::strerror(error))};
    }
    // Both are more than was asked for: a kernel or a limit that denies them stops nothing.
    (void)madvise(at, mapped, MADV_WIPEONFORK);
    (void)mlock(at, mapped);
    Secret secret;
    secret.data_ = static_cast<std::byte*>(at);
    secret.size_ = bytes;
    return secret;
}

Result<Secret> Secret::copy(std::span<const std::byte> bytes) {
    Result<Secret> made = make(bytes.size());
    if (made && !bytes.empty()) std::memcpy(made.value().data(), bytes.data(), bytes.size());
    return made;
}

void Secret::clear() noexcept {
    if (data_ == nullptr) return;
    wipe(data_, size_);
    if (secret_is_wiped != nullptr) secret_is_wiped(data_, size_);
    munmap(data_, rounded(size_ == 0 ? 1 : size_));
    data_ = nullptr;
    size_ = 0;
}

}  // namespace umbuf
