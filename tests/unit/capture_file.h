// SPDX-License-Identifier: BSD-2-Clause
// capture_file.h - pcap files for net_pcap ports: written, read, and removed at the end.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

namespace umbuf::test {

struct TempFile {
    explicit TempFile(const char* what)
        : path(std::filesystem::temp_directory_path() /
               (std::string("umbuf_") + what + std::to_string(getpid()) + ".pcap")) {}
    ~TempFile() {
        std::error_code none;
        std::filesystem::remove(path, none);
    }
    std::filesystem::path path;
};

inline void put32(std::ostream& out, uint32_t v) {
    out.write(reinterpret_cast<const char*>(&v), 4);
}

inline void write_capture(const std::filesystem::path& path, const std::vector<std::string>& packets) {
    std::ofstream out(path, std::ios::binary);
    for (const uint32_t v : {0xa1b2c3d4u, 0x00040002u, 0u, 0u, 65535u, 1u})
        put32(out, v);
    for (const std::string& p : packets) {
        const auto n = static_cast<uint32_t>(p.size());
        for (const uint32_t v : {0u, 0u, n, n})
            put32(out, v);
        out << p;
    }
}

inline std::vector<std::string> read_capture(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::string header(24, '\0');
    in.read(header.data(), 24);
    std::vector<std::string> packets;
    for (uint32_t record[4]; in.read(reinterpret_cast<char*>(record), 16);) {
        std::string p(record[2], '\0');
        in.read(p.data(), record[2]);
        packets.push_back(p);
    }
    return packets;
}

}  // namespace umbuf::test
