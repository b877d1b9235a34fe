// SPDX-License-Identifier: BSD-2-Clause
// esp_secret_test.cc - keys are in no message, and in no core dump.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <unordered_set>

#include "lib/ipsec/ipsec_db.h"
#include "lib/ipsec/sa_text.h"
#include "tests/unit/esp_readers.h"

namespace umbuf::test {
namespace {

constexpr const char* kAlgorithms[] = {"aes-gcm-256", "chacha20-poly1305", "aes-cbc-128+hmac-sha256", "aes-ctr-256+hmac-sha512", "null+hmac-sha1"};

std::string hex_of(const std::string& bytes, bool upper) {
    std::string text;
    for (const char c : bytes)
        for (const int n : {(c >> 4) & 15, c & 15}) text += (upper ? "0123456789ABCDEF" : "0123456789abcdef")[n];
    return text;
}

class Folder {
  public:
    Folder() {
        char name[] = "/tmp/um_secret_XXXXXX";
        EXPECT_NE(mkdtemp(name), nullptr);
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::filesystem::path path;
};

class EspSecret : public EspTest {
  protected:
    const std::string here_ = pattern(64, 29);  // in memory before the fork, so in the child's core
};

// Whatever goes wrong with a key, no sentence shows four bytes of it in a row, in any writing.
TEST_F(EspSecret, NoErrorTellsAKey) {
    const Folder folder;
    const std::string raw = pattern(4, 3) + "ZqXwVvJjKkQqYyWwXxZzGgHhBbPpFfUuQjXkZvWqYxJzKqVwGxHzBqPxFzUxQwJvKxZyVqXzWjYkQvGzHxBjPqFxUzJqKwXvZkYqWx" + pattern(8, 5);
    std::vector<std::string> said;
    const auto note = [&](const auto& result) {
        ASSERT_FALSE(result.ok());
        said.push_back(result.error().text);
    };
    const auto file = [&](const std::string& text) {
        const std::string path = folder.path / "key";
        std::ofstream(path) << text;
        EXPECT_EQ(chmod(path.c_str(), 0600), 0);
        return path;
    };
    note(read_key(file(raw)));
    note(read_key(file(hex_of(raw, false) + "x")));
    note(read_key(file(hex_of(raw, true) + "0")));
    note(read_key(file(std::string("\x00\xff", 2) + hex_of(raw, true))));
    note(parse_sa("spi 0x1000 alg aes-gcm-128 mode tunnel"));
    Readers readers;
    auto db = std::move(IpsecDb::make({.sas = 8, .children = 1}, ipsec_mb_engine, readers.get()).value());
    for (const char* name : kAlgorithms) {
        NewSa sa = new_sa(0x1000, {}, address(false, 2), SadKey::spi_dst, name);
        sa.key = {bytes_in(raw), sa.terms.algorithm.key_bytes()};
        NewSa bad = sa;
        bad.key = sa.key.first(sa.key.size() - 1);
        note(db->sad().add_in(bad));
        bad = sa;
        bad.terms.spi = 5;
        note(db->sad().add_in(bad));
        bad = sa;
        bad.terms.src = address(true, 1);
        note(db->sad().add_out(bad));
        const SaId id = db->sad().add_in(sa).value();
        note(db->sad().add_in(sa));
        note(db->sad().replace_in({99, 1}, sa));
        note(db->rekey_out(sa));
        ASSERT_TRUE(db->sad().remove(id).ok());
        note(db->sad().remove(id));
    }
    for (uint32_t i = 0; i < 8; ++i) ASSERT_TRUE(db->sad().add_out(new_sa(0x2000 + i, {}, address(false, 2))).ok());
    NewSa more = new_sa(0x3000, {}, address(false, 2));
    more.key = {bytes_in(raw), more.key.size()};
    note(db->sad().add_out(more));
    for (const std::string& sentence : said)
        for (size_t i = 0; i + 4 <= raw.size(); ++i) {
            const std::string four = raw.substr(i, 4);
            ASSERT_EQ(sentence.find(four), std::string::npos) << sentence;
            ASSERT_EQ(sentence.find(hex_of(four, false)), std::string::npos) << sentence;
            ASSERT_EQ(sentence.find(hex_of(four, true)), std::string::npos) << sentence;
        }
    EXPECT_GE(said.size(), 35u);
}

// work - what a gateway does with a key: read it, make SAs of it, seal and open packets.
bool work(EspLane& lane, const std::string& key_file, const char* algorithm) {
    const Result<Secret> key = read_key(key_file);
    if (!key) return false;
    for (const SaMode mode : {SaMode::tunnel, SaMode::transport}) {
        SaTerms terms = terms_of(algorithm, mode);
        const std::span<const std::byte> own = key.value().bytes().first(terms.algorithm.key_bytes());
        auto there = Sa::make(terms, own, ipsec_mb_engine, 0), back = Sa::make(terms, own, ipsec_mb_engine, 0);
        if (!there || !back) return false;
        Mbuf* packets[3];
        EspFate fates[3];
        Sa* out[3];
        Sa* in[3];
        for (int i = 0; i < 3; ++i) {
            packets[i] = cut_up(udp_packet({}, 100 + static_cast<size_t>(i) * 300), {40, 7, 0, 30});
            out[i] = there.value().get();
            in[i] = back.value().get();
        }
        if (esp_output(lane, out, packets, fates, 3) != 3 || esp_input(lane, in, packets, fates, 3) != 3) return false;
        for (Mbuf* m : packets) m_freem(m);  // the pools are the parent's, too
        (void)there.value().release();  // as if it were in use: its key is there when the core is made
        (void)back.value().release();
    }
    return true;
}

// die_with_keys - a process with keys at work dies, and leaves a core in the folder. The raw key goes to
// `to`, and through no memory of its own but a Secret.
[[noreturn]] void die_with_keys(const std::filesystem::path& folder, int to) {
    const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
    if (chdir(folder.c_str()) != 0 || setrlimit(RLIMIT_CORE, &all) != 0) _exit(10);
    // All private memory. EAL's is shared, 768 MB of packets: this engine has nothing there, and a core with it
    // takes seconds.
    std::ofstream("/proc/self/coredump_filter") << "0x31";
    {
        Secret raw = std::move(Secret::make(kMaxKey).value()), text = std::move(Secret::make(2 * kMaxKey).value());
        if (getrandom(raw.data(), kMaxKey, 0) != static_cast<ssize_t>(kMaxKey) || write(to, raw.data(), kMaxKey) != static_cast<ssize_t>(kMaxKey)) _exit(11);
        for (size_t i = 0; i < kMaxKey; ++i)
            for (size_t half = 0; half < 2; ++half) {
                const uint32_t n = static_cast<uint32_t>(raw.data()[i]) >> (half == 0 ? 4 : 0) & 15;
                text.data()[2 * i + half] = static_cast<std::byte>(n < 10 ? '0' + n : 'a' + n - 10);
            }
        const int file = open("a.key", O_CREAT | O_WRONLY, 0600);
        if (file < 0 || write(file, text.data(), 2 * kMaxKey) != static_cast<ssize_t>(2 * kMaxKey)) _exit(12);
        close(file);
    }
    auto lane = EspLane::make(ipsec_mb_engine, 0);
    if (!lane) _exit(13);
    for (const char* algorithm : kAlgorithms)
        if (!work(*lane.value(), "a.key", algorithm)) _exit(14);
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
}

// Words - eight bytes at a time of what must not be found.
class Words {
  public:
    void add(const std::byte* at, size_t bytes) {
        for (size_t i = 0; i + 8 <= bytes; i += 8) {
            uint64_t word = 0;
            std::memcpy(&word, at + i, 8);
            uint32_t bits = static_cast<uint32_t>(__builtin_popcountll(word));
            if (bits >= 16 && bits <= 48) words_.insert(word);  // chance, not a length or a pointer
        }
    }
    // add_at_all - the same, whatever alignment a copy would have.
    void add_shifted(const std::string& bytes) {
        for (size_t i = 0; i < 8; ++i) add(bytes_in(bytes) + i, bytes.size() - i);
    }
    // found_in - how many places of the file have one of them.
    [[nodiscard]] size_t found_in(const std::filesystem::path& path, size_t* bytes) const {
        std::ifstream in(path, std::ios::binary);
        std::vector<uint64_t> block(1 << 17);
        size_t found = 0;
        for (*bytes = 0; in.read(reinterpret_cast<char*>(block.data()), static_cast<std::streamsize>(block.size() * 8)) || in.gcount() > 0;) {
            *bytes += static_cast<size_t>(in.gcount());
            for (size_t i = 0; i < static_cast<size_t>(in.gcount()) / 8; ++i)
                if (block[i] != 0 && words_.contains(block[i])) ++found;
        }
        return found;
    }
    [[nodiscard]] size_t size() const { return words_.size(); }

  private:
    std::unordered_set<uint64_t> words_;
};

std::filesystem::path core_in(const std::filesystem::path& folder) {
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (entry.path().filename().string().starts_with("core")) return entry.path();
    return {};
}

// A4, with a real core: neither the key nor what was expanded from it, wherever an engine may have put it.
TEST_F(EspSecret, NoCoreDumpHasAKey) {
    const Folder folder;
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) die_with_keys(folder.path, ends[1]);
    close(ends[1]);
    std::string raw(kMaxKey, '\0');
    ASSERT_EQ(read(ends[0], raw.data(), raw.size()), static_cast<ssize_t>(raw.size()));
    close(ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) << status;
    const std::filesystem::path core = core_in(folder.path);
    if (!WCOREDUMP(status) || core.empty()) GTEST_SKIP() << "this system makes no core file here (core_pattern)";

    Words plain, expanded, known;
    plain.add_shifted(raw);
    plain.add_shifted(hex_of(raw, false));
    for (const char* algorithm : kAlgorithms) {
        const SaTerms terms = terms_of(algorithm);
        const auto sa = Sa::make(terms, {bytes_in(raw), terms.algorithm.key_bytes()}, ipsec_mb_engine, 0);
        expanded.add(sa.value()->key(), ipsec_mb_engine.key_bytes(terms.algorithm));
    }
    ASSERT_GT(plain.size(), 80u);
    ASSERT_GT(expanded.size(), 80u);
    size_t bytes = 0;
    known.add_shifted(here_);
    EXPECT_GT(known.found_in(core, &bytes), 0u) << "what is in memory is found";
    EXPECT_EQ(plain.found_in(core, &bytes), 0u) << "the key itself";
    EXPECT_EQ(expanded.found_in(core, &bytes), 0u) << "what was made of it";
    EXPECT_GT(bytes, size_t{1} << 20) << "that is no core";
    std::printf("a core of %zu MB has none of %zu words\n", bytes >> 20, plain.size() + expanded.size());
}

}  // namespace
}  // namespace umbuf::test
