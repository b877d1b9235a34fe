// SPDX-License-Identifier: BSD-2-Clause
// conf_file.h - a configuration in a temporary file, and what is said about it.
#pragma once
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "app/umfwd/conf/conf.h"

namespace umbuf::test {

class ConfFile {
  public:
    explicit ConfFile(std::string_view text, mode_t rights = 0600) {
        const int fd = mkstemp(path_);
        EXPECT_GE(fd, 0);
        EXPECT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
        EXPECT_EQ(fchmod(fd, rights), 0);
        close(fd);
    }
    ~ConfFile() { unlink(path_); }
    ConfFile(const ConfFile&) = delete;
    ConfFile& operator=(const ConfFile&) = delete;
    [[nodiscard]] std::string path() const { return path_; }
    [[nodiscard]] fwd::ConfRead read(bool readable = false) const { return fwd::read_conf(path_, readable); }

  private:
    char path_[32] = "/tmp/um_conf_XXXXXX";
};

// complaints - all of them, with F for the file's name, a line each.
inline std::string complaints(std::string_view text, mode_t rights = 0600, bool readable = false) {
    const ConfFile file(text, rights);
    std::string all;
    const fwd::ConfRead read = file.read(readable);
    EXPECT_EQ(read.conf == nullptr, !read.errors.empty());
    for (std::string line : read.errors) {
        for (size_t at = 0; (at = line.find(file.path(), at)) != std::string::npos;) line.replace(at, file.path().size(), "F");
        all += line + "\n";
    }
    return all;
}

inline std::string file_text(const std::string& path) {
    std::string text;
    std::FILE* file = std::fopen(path.c_str(), "rb");
    EXPECT_NE(file, nullptr) << path;
    if (file == nullptr) return text;
    char part[4096];
    for (size_t n; (n = std::fread(part, 1, sizeof(part), file)) > 0;) text.append(part, n);
    std::fclose(file);
    return text;
}

}  // namespace umbuf::test
