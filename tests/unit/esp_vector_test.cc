// SPDX-License-Identifier: BSD-2-Clause
// esp_vector_test.cc - each engine against published examples, beside those of its self-test.
//
// Examples of AES-GCM have additional data that ESP's 8 or 12 bytes are not. So a plain GCM, slow and by the
// book (FIPS 197, NIST SP 800-38D), is first held to the example as it was published, and then says what the
// same key, nonce and text give under ESP's header, as AES-GCM and as AES-GMAC; the engine has to agree. A
// damaged tag is carried over by its difference from the right one.
#include <array>
#include <cctype>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include "tests/unit/esp_proof.h"
#include "tests/unit/program.h"

namespace umbuf::test {
namespace {

using Block = std::array<uint8_t, 16>;

std::string unhex(const std::string& hex) {
    std::string s;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) s += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return s;
}

// ---- AES, GHASH and GCM by the book

uint8_t times_x(uint8_t b) { return static_cast<uint8_t>(b << 1 ^ (b >> 7) * 0x1b); }
uint8_t times(uint8_t a, uint8_t b) {
    uint8_t product = 0;
    for (; b != 0; b >>= 1, a = times_x(a))
        if ((b & 1) != 0) product ^= a;
    return product;
}
const std::array<uint8_t, 256>& s_box() {
    static const auto box = [] {
        std::array<uint8_t, 256> s{};
        for (unsigned i = 0; i < 256; ++i) {
            uint8_t inverse = static_cast<uint8_t>(i);
            for (int n = 0; n < 253; ++n) inverse = times(inverse, static_cast<uint8_t>(i));  // i^254
            uint8_t out = 0x63;
            for (unsigned turn = 0; turn < 5; ++turn) out ^= static_cast<uint8_t>(inverse << turn | inverse >> (8 - turn));
            s[i] = out;
        }
        return s;
    }();
    return box;
}

class PlainAes {
  public:
    explicit PlainAes(const std::string& key) : rounds_(static_cast<uint32_t>(key.size() / 4 + 6)), words_(4 * (rounds_ + 1)) {
        const size_t n = key.size() / 4;
        for (size_t i = 0; i < key.size(); ++i) words_[i / 4][i % 4] = static_cast<uint8_t>(key[i]);
        uint8_t round = 1;
        for (size_t i = n; i < words_.size(); ++i) {
            std::array<uint8_t, 4> t = words_[i - 1];
            if (i % n == 0) {
                t = {sub(t[1]), sub(t[2]), sub(t[3]), sub(t[0])};
                t[0] ^= round;
                round = times_x(round);
            } else if (n > 6 && i % n == 4) {
                for (uint8_t& b : t) b = sub(b);
            }
            for (size_t b = 0; b < 4; ++b) words_[i][b] = words_[i - n][b] ^ t[b];
        }
    }
    [[nodiscard]] Block encrypt(Block s) const {
        add(s, 0);
        for (uint32_t round = 1; round <= rounds_; ++round) {
            Block t;
            for (size_t i = 0; i < 16; ++i) t[i] = sub(s[(i + 4 * (i % 4)) % 16]);  // SubBytes, ShiftRows
            s = round == rounds_ ? t : mixed(t);
            add(s, round);
        }
        return s;
    }

  private:
    static uint8_t sub(uint8_t b) { return s_box()[b]; }
    static Block mixed(const Block& t) {
        Block s;
        for (size_t c = 0; c < 16; c += 4)
            for (size_t r = 0; r < 4; ++r)
                s[c + r] = static_cast<uint8_t>(times_x(t[c + r]) ^ times_x(t[c + (r + 1) % 4]) ^ t[c + (r + 1) % 4] ^ t[c + (r + 2) % 4] ^ t[c + (r + 3) % 4]);
        return s;
    }
    void add(Block& s, uint32_t round) const {
        for (size_t i = 0; i < 16; ++i) s[i] ^= words_[4 * round + i / 4][i % 4];
    }
    uint32_t rounds_;
    std::vector<std::array<uint8_t, 4>> words_;
};

// SP 800-38D, algorithm 1, on two halves of 64 bits.
struct Halves {
    uint64_t high = 0, low = 0;
    explicit Halves(const Block& b) {
        for (size_t i = 0; i < 8; ++i) high = high << 8 | b[i], low = low << 8 | b[8 + i];
    }
};
Block gf_times(const Block& a, const Block& b) {
    const Halves x(a);
    Halves v(b), z(Block{});
    for (unsigned bit = 0; bit < 128; ++bit) {
        if (((bit < 64 ? x.high >> (63 - bit) : x.low >> (127 - bit)) & 1) != 0) z.high ^= v.high, z.low ^= v.low;
        const bool odd = (v.low & 1) != 0;
        v.low = v.low >> 1 | v.high << 63;
        v.high = v.high >> 1 ^ (odd ? uint64_t{0xe1} << 56 : 0);
    }
    Block out;
    for (unsigned i = 0; i < 8; ++i) {
        out[i] = static_cast<uint8_t>(z.high >> (56 - 8 * i));
        out[8 + i] = static_cast<uint8_t>(z.low >> (56 - 8 * i));
    }
    return out;
}

class PlainGcm {
  public:
    PlainGcm(const std::string& key, const std::string& nonce) : aes_(key), h_(aes_.encrypt({})), key_(key), nonce_(nonce) {}
    [[nodiscard]] std::string crypt(const std::string& text) const {
        std::string out = text;
        for (size_t i = 0; i < text.size(); ++i) out[i] = static_cast<char>(text[i] ^ static_cast<char>(counter(static_cast<uint32_t>(2 + i / 16))[i % 16]));
        return out;
    }
    [[nodiscard]] std::string tag(const std::string& aad, const std::string& sealed) const {
        static std::map<std::string, std::string> known;  // the next engine asks the same
        std::string& t = known[key_ + nonce_ + aad + "|" + sealed];
        if (!t.empty()) return t;
        const auto padded = [](const std::string& s) { return s + std::string((16 - s.size() % 16) % 16, '\0'); };
        const auto bits = [](size_t bytes) { return be32(0) + be32(static_cast<uint32_t>(8 * bytes)); };
        const std::string all = padded(aad) + padded(sealed) + bits(aad.size()) + bits(sealed.size());
        Block y{};
        for (size_t at = 0; at < all.size(); at += 16) {
            for (size_t i = 0; i < 16; ++i) y[i] ^= static_cast<uint8_t>(all[at + i]);
            y = gf_times(y, h_);
        }
        const Block mask = counter(1);
        t.resize(16);
        for (size_t i = 0; i < 16; ++i) t[i] = static_cast<char>(y[i] ^ mask[i]);
        return t;
    }

  private:
    [[nodiscard]] Block counter(uint32_t n) const {
        Block b{};
        std::memcpy(b.data(), nonce_.data(), 12);
        for (size_t i = 0; i < 4; ++i) b[12 + i] = static_cast<uint8_t>(n >> (24 - 8 * i));
        return aes_.encrypt(b);
    }
    PlainAes aes_;
    Block h_;
    std::string key_, nonce_;
};

std::string xored(std::string a, const std::string& b) {
    for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<char>(a[i] ^ b[i]);
    return a;
}

// modified - a right tag in all the ways in which Wycheproof damages one (flags ModifiedTag), and more bits.
std::vector<std::string> modified(const std::string& tag) {
    std::vector<std::string> all;
    const auto flipped = [&](std::initializer_list<size_t> bits) {
        std::string t = tag;
        for (const size_t bit : bits) t[bit / 8] = static_cast<char>(t[bit / 8] ^ (1 << bit % 8));
        all.push_back(t);
    };
    const auto every = [&](auto change) {
        std::string t = tag;
        for (char& c : t) c = static_cast<char>(change(static_cast<uint8_t>(c)));
        if (t != tag) all.push_back(t);
    };
    for (size_t bit = 0; bit < 8 * tag.size(); ++bit) flipped({bit});
    flipped({0, 64});
    flipped({31, 63});
    flipped({63, 8 * tag.size() - 1});
    every([](uint8_t c) { return c ^ 0xff; });
    every([](uint8_t) { return 0; });
    every([](uint8_t) { return 0xff; });
    every([](uint8_t c) { return c ^ 0x80; });
    every([](uint8_t c) { return c ^ 1; });
    return all;
}

// ---- the engine, one job at a time

struct Example {
    std::string source, algorithm, key, nonce, aad, text, sealed, tag;
};

class Sealer {
  public:
    Sealer(const Engine& engine, EspLane& lane, const std::string& algorithm, const std::string& key)
        : engine_(engine), lane_(lane), algorithm_(find_algorithm(algorithm).value()),
          key_(std::move(Secret::make(engine.key_bytes(algorithm_)).value())) {
        EXPECT_EQ(key.size(), algorithm_.key_bytes()) << algorithm;
        EXPECT_TRUE(engine.make_key(algorithm_, {bytes_in(key), key.size()}, key_.data())) << algorithm;
    }
    ~Sealer() {
        if (engine_.drop_key != nullptr) engine_.drop_key(key_.data());
    }
    Sealer(const Sealer&) = delete;
    Sealer& operator=(const Sealer&) = delete;
    // run - `aad` is SPI and number (8 bytes), or SPI, upper and lower half (12). In turn the text is in one piece, and
    // cut in three for two rooms: a device goes other ways with each.
    std::string run(const std::string& aad, const std::string& iv, const std::string& text, bool encrypt, std::string* icv) {
        std::string to(text.size(), '\0');
        const bool cut = (turn_++ & 1) == 0;
        const uint32_t len = static_cast<uint32_t>(text.size()), a = cut ? len / 3 : 0, b = cut ? len - len / 4 : len;
        const Piece from[] = {{bytes_in(text), a}, {bytes_in(text) + a, b - a}, {bytes_in(text) + b, len - b}};
        const Room room[] = {{bytes_in(to), len - b}, {bytes_in(to) + len - b, b}};
        const bool extended = aad.size() == 12;
        Job job{.key = key_.data(), .source = from, .to = room, .whole = nullptr, .len = len, .encrypt = encrypt, .extended = extended};
        std::memcpy(job.head.spi, aad.data(), 4);
        std::memcpy(job.head.seq, aad.data() + (extended ? 8 : 4), 4);
        if (extended) std::memcpy(job.seq_high, aad.data() + 4, 4);
        std::memcpy(job.head.iv, iv.data(), iv.size());
        if (!encrypt) std::memcpy(job.icv, icv->data(), icv->size());
        engine_.run(lane_.crypto(), &job, 1);
        if (encrypt) *icv = text_of(job.icv, algorithm_.icv());
        authentic = job.authentic;
        return to;
    }
    bool authentic = false;

  private:
    const Engine& engine_;
    EspLane& lane_;
    Algorithm algorithm_;
    Secret key_;
    uint32_t turn_ = 0;
};

class EspVectors : public EspProof {
  protected:
    // An example that an engine is not asked is counted by its reason, and there are two.
    void TearDown() override {
        if (!IsSkipped()) {
            std::printf("%s: %u examples tried; left out: %u of algorithms that it does not have, %u without a text\n", engine().name,
                        tried_, lacking_, empty_);
            EXPECT_GT(tried_ + lacking_, 0u);
            if (!takes_time()) { EXPECT_EQ(lacking_ + empty_, 0u) << "ipsec-mb can do all"; }
        }
        EspProof::TearDown();
    }
    // asked - an engine has the algorithm, and there is something to encrypt. ESP's text is two bytes at least (RFC
    // 4303, 2.4), engine.h promises devices as much, and crypto_openssl refuses less. A MAC's text may be empty: there
    // is a header.
    bool asked(const std::string& name, const std::string& text) {
        const Algorithm algorithm = find_algorithm(name).value();
        const Cipher cipher = algorithm.cipher->cipher;
        const bool encrypts = cipher != Cipher::null && cipher != Cipher::aes_gmac;
        if (!engine().supports(algorithm)) return ++lacking_, false;
        if (takes_time() && encrypts && text.empty()) return ++empty_, false;
        return ++tried_, true;
    }
    // agrees - with an example as it is, both ways, and with no damaged tag. True: it could be tried.
    bool agrees(const Example& e, bool all_tags = true) {
        if (!asked(e.algorithm, e.text)) return false;
        Sealer sealer(engine(), proven(), e.algorithm, e.key);
        std::string icv;
        for (int cut = 0; cut < 2; ++cut) {
            EXPECT_EQ(sealer.run(e.aad, e.nonce, e.text, true, &icv), e.sealed) << e.source;
            EXPECT_EQ(icv, e.tag) << e.source;
        }
        for (int cut = 0; cut < 2; ++cut) {
            EXPECT_EQ(sealer.run(e.aad, e.nonce, e.sealed, false, &icv), e.text) << e.source;
            EXPECT_TRUE(sealer.authentic) << e.source;
        }
        for (std::string& bad : all_tags ? modified(e.tag) : std::vector<std::string>{}) {
            sealer.run(e.aad, e.nonce, e.sealed, false, &bad);
            EXPECT_FALSE(sealer.authentic) << e.source << ": a damaged tag was believed";
        }
        return true;
    }
    // carried - an example of GCM with any additional data, held to ESP's: see the top of this file.
    void carried(const Example& e, bool damaged) {
        const std::string& key = e.key;
        const std::string bits = std::to_string(8 * key.size());
        const PlainGcm plain(key, e.nonce);
        if (!damaged) { ASSERT_EQ(plain.crypt(e.text), e.sealed) << e.source << ": the plain GCM"; }
        const std::string right = plain.tag(e.aad, e.sealed), difference = xored(right, e.tag);
        ASSERT_EQ(right == e.tag, !damaged) << e.source << ": the plain GCM";
        for (const std::string& aad : {std::string("\x00\x00\x10\x01\xff\xee\xdd\xcc", 8), std::string("\x00\x00\x10\x01\x00\x00\x00\x07\xff\xee\xdd\xcc", 12)}) {
            const std::string iv = e.nonce.substr(4), salted = key + e.nonce.substr(0, 4);
            Example gcm{e.source, "aes-gcm-" + bits, salted, iv, aad, plain.crypt(e.sealed), e.sealed, plain.tag(aad, e.sealed)};
            Example gmac{e.source, "aes-gmac-" + bits, salted, iv, aad, e.sealed, e.sealed, plain.tag(aad + iv + e.sealed, "")};
            for (Example* one : {&gcm, &gmac}) {
                if (!agrees(*one, false) || !damaged) continue;
                Sealer sealer(engine(), proven(), one->algorithm, salted);
                std::string bad = xored(one->tag, difference);
                sealer.run(aad, iv, one->sealed, false, &bad);
                EXPECT_FALSE(sealer.authentic) << e.source << ": it fails there, and passed here";
            }
        }
    }

  private:
    uint32_t tried_ = 0, lacking_ = 0, empty_ = 0;
};

// ---- our own files

std::vector<Example> examples_in(const std::string& file) {
    std::ifstream in(test::source_root + "/tests/data/" + file);
    EXPECT_TRUE(in.good()) << file;
    std::vector<Example> all;
    for (std::string line; std::getline(in, line);) {
        if (line.empty() || line[0] == '#') continue;
        std::vector<std::string> words;
        std::istringstream split(line);
        for (std::string word; std::getline(split, word, '|');) {
            word.erase(0, word.find_first_not_of(' '));
            word.erase(word.find_last_not_of(' ') + 1);
            words.push_back(word == "-" ? "" : word);
        }
        UM_ASSERT(words.size() == 8);
        all.push_back({words[0], words[1], unhex(words[2]), unhex(words[3]), unhex(words[4]), unhex(words[5]), unhex(words[6]), unhex(words[7])});
    }
    return all;
}

// as_esp - key and salt, IV without it; a MAC's message as header and payload.
Example as_esp(Example e) {
    const Algorithm algorithm = find_algorithm(e.algorithm).value();
    if (algorithm.cipher->cipher == Cipher::null) {
        e.aad = e.text.substr(0, 8);
        e.sealed = e.text = e.text.substr(8);
        e.key.resize(algorithm.key_bytes());  // HMAC itself fills a short key up with zeroes (RFC 2104, 2)
        e.tag.resize(algorithm.icv());
        return e;
    }
    e.key += e.nonce.substr(0, algorithm.cipher->salt);
    e.nonce.erase(0, algorithm.cipher->salt);
    return e;
}

TEST_P(EspVectors, WycheproofsExamplesAreRightAndAllTheirDamagedTagsAreRefused) {
    uint32_t tried = 0;
    for (const Example& e : examples_in("wycheproof.txt")) {
        if (e.algorithm.starts_with("aes-gcm") && e.aad.empty())
            carried(e, false);
        else
            agrees(as_esp(e));
        ++tried;
    }
    EXPECT_GT(tried, 50u);
    RecordProperty("examples", static_cast<int>(tried));
}

TEST_P(EspVectors, TheRfcsExamplesAreRight) {
    for (const Example& e : examples_in("rfc.txt")) agrees(as_esp(e));
}

// RFC 3602, 4, cases 5 to 8: whole ESP packets, which end without an ICV.
TEST_P(EspVectors, TheEspPacketsOfRfc3602AreRight) {
    struct Packet {
        const char *key, *esp, *payload;
        uint8_t next;
    };
    constexpr Packet kPackets[] = {
        {"90d382b410eeba7ad938c46cec1a82bf",
         "0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856"
         "a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6",
         "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f"
         "3031323334353637", 1},
        {"90d382b410eeba7ad938c46cec1a82bf",
         "000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f75",
         "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777", 1},
        {"0123456789abcdef0123456789abcdef",
         "0000876500000002f4e765244f6407adf13dc1380f673f37773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8"
         "e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5"
         "a100b842f1c22f0d",
         "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b0c0d0e0f101112131415161718191a1b"
         "1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637", 4},
        {"0123456789abcdef0123456789abcdef",
         "000087650000000585d47224b5f3dd5d2101d4ea8dffab2215b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb5"
         "0f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3d2726d9b5ef6affc6d17a0decbb13892",
         "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300ffffffffffffffffffffffffffffffffffffffff"
         "ffffffffffffffffffffffff", 4}};
    for (const Packet& p : kPackets)
        for (const char* integrity : {"hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"}) {
            const std::string name = std::string("aes-cbc-128+") + integrity, esp = unhex(p.esp);
            const Algorithm algorithm = find_algorithm(name).value();
            if (!asked(name, esp.substr(24))) continue;
            std::string text = unhex(p.payload);
            const size_t pad = (16 - (text.size() + 2) % 16) % 16;
            for (size_t i = 1; i <= pad; ++i) text += static_cast<char>(i);
            text += static_cast<char>(pad);
            text += static_cast<char>(p.next);
            Sealer sealer(engine(), proven(), name, unhex(p.key) + std::string(algorithm.integrity->key, 'k'));
            std::string icv;
            EXPECT_EQ(sealer.run(esp.substr(0, 8), esp.substr(8, 16), text, true, &icv), esp.substr(24)) << name;
            EXPECT_EQ(sealer.run(esp.substr(0, 8), esp.substr(8, 16), esp.substr(24), false, &icv), text) << name;
            EXPECT_TRUE(sealer.authentic);
        }
}

// ---- NIST's files, where Debian's python3-cryptography-vectors has put them

using Record = std::map<std::string, std::string>;

std::string vectors_folder() {
    const char* set = std::getenv("UM_VECTORS");
    return set != nullptr ? set : "/usr/lib/python3/dist-packages/cryptography_vectors";
}
#define UM_NEED_VECTORS()                                            \
    if (!std::ifstream(vectors_folder() + "/__init__.py").good())    \
    GTEST_SKIP() << "there is no " << vectors_folder() << "; scripts/deps test brings it (python3-cryptography-vectors)"

// records_in - "NAME = VALUE" lines up to an empty one; what is in brackets holds until the next of its kind.
// each(record) for those under brackets that are wanted.
template <class Wanted, class Each>
void records_in(const std::string& file, Wanted wanted, Each each) {
    std::ifstream in(vectors_folder() + "/" + file);
    ASSERT_TRUE(in.good()) << file;
    Record section, record;
    const auto word = [](std::string s) {
        s.erase(0, s.find_first_not_of(" [\t"));
        s.erase(s.find_last_not_of(" ]\t\r") + 1);
        for (char& c : s) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        return s;
    };
    const auto flush = [&] {
        if (record.empty()) return;
        record.insert(section.begin(), section.end());
        each(record);
        record.clear();
    };
    for (std::string line; std::getline(in, line);) {
        if (!line.empty() && line.back() == '\r') line.pop_back();
        const size_t equals = line.find('=');
        if (line.empty()) {
            flush();
        } else if (line[0] != '[' && !wanted(section)) {
            continue;
        } else if (line[0] == '[') {
            section[word(line.substr(0, equals))] = equals == std::string::npos ? "" : word(line.substr(equals + 1));
            if (equals == std::string::npos) section["DIRECTION"] = word(line);
        } else if (line[0] != '#') {
            record[word(line.substr(0, equals))] = equals == std::string::npos ? "1" : word(line.substr(equals + 1));
        }
    }
    flush();
}

bool all_of_it(Record&) { return true; }

TEST_P(EspVectors, NistsExamplesOfGcmAreRightAndWhatFailsThereFailsHere) {
    UM_NEED_VECTORS();
    for (const char* bits : {"128", "192", "256"})
        for (const bool decrypt : {false, true}) {
            const std::string file = std::string(decrypt ? "gcmDecrypt" : "gcmEncryptExtIV") + bits + ".rsp";
            uint32_t tried = 0, failing = 0, met = 0;
            const auto like_esp = [](Record& section) { return section["IVLEN"] == "96" && section["TAGLEN"] == "128"; };
            records_in("ciphers/AES/GCM/" + file, like_esp, [&](Record& r) {
                if (r.count("KEY") == 0) return;
                if (++met % 6 != 0) return;  // of all lengths, fifteen in a row being alike
                const Example e{file + ", count " + r["COUNT"], "", unhex(r["KEY"]), unhex(r["IV"]), unhex(r["AAD"]), unhex(r["PT"]), unhex(r["CT"]), unhex(r["TAG"])};
                carried(e, r.count("FAIL") != 0);
                ++tried;
                failing += r.count("FAIL") != 0 ? 1 : 0;
            });
            EXPECT_GE(tried, 60u) << file;
            if (decrypt) { EXPECT_GE(failing, 15u) << file; }
            std::printf("%s: %u examples, %u of them failing ones\n", file.c_str(), tried, failing);
        }
}

TEST_P(EspVectors, NistsExamplesOfCbcAreRight) {
    UM_NEED_VECTORS();
    for (const char* bits : {"128", "192", "256"})
        for (const char* kind : {"CBCMMT", "CBCGFSbox", "CBCKeySbox"}) {
            const std::string file = std::string(kind) + bits + ".rsp", name = std::string("aes-cbc-") + bits + "+hmac-sha1";
            uint32_t tried = 0;
            if (!asked(name, "text")) continue;
            records_in("ciphers/AES/CBC/" + file, all_of_it, [&](Record& r) {
                if (r.count("KEY") == 0 || r.count("PLAINTEXT") == 0) return;
                Sealer sealer(engine(), proven(), name, unhex(r["KEY"]) + std::string(20, 'k'));
                std::string icv;
                const std::string aad(8, 'a'), text = unhex(r["PLAINTEXT"]), sealed = unhex(r["CIPHERTEXT"]), iv = unhex(r["IV"]);
                EXPECT_EQ(sealer.run(aad, iv, text, true, &icv), sealed) << file << ", count " << r["COUNT"];
                EXPECT_EQ(sealer.run(aad, iv, sealed, false, &icv), text) << file << ", count " << r["COUNT"];
                EXPECT_TRUE(sealer.authentic);
                ++tried;
            });
            EXPECT_GE(tried, 5u) << file;
        }
}

TEST_P(EspVectors, TheRfcsExamplesOfHmacAreRight) {
    UM_NEED_VECTORS();
    struct File {
        const char *file, *algorithm;
    };
    for (const File& f : {File{"HMAC/rfc-2202-sha1.txt", "null+hmac-sha1"}, File{"HMAC/rfc-4231-sha256.txt", "null+hmac-sha256"},
                          File{"HMAC/rfc-4231-sha384.txt", "null+hmac-sha384"}, File{"HMAC/rfc-4231-sha512.txt", "null+hmac-sha512"}}) {
        uint32_t tried = 0;
        const uint32_t key_bytes = find_algorithm(f.algorithm).value().key_bytes();
        records_in(f.file, all_of_it, [&](Record& r) {
            const Example e{std::string(f.file) + ", " + std::to_string(tried), f.algorithm, unhex(r["KEY"]), "", "", unhex(r["MSG"]), "", unhex(r["MD"])};
            // A key that is longer than ours is another algorithm's, and a message without a header is none of ESP's.
            if (e.key.size() > key_bytes || e.text.size() < 8 || e.tag.size() < find_algorithm(f.algorithm).value().icv()) return;
            agrees(as_esp(e));
            ++tried;
        });
        EXPECT_GE(tried, 3u) << f.file;
    }
}

UM_FOR_EACH_ENGINE(EspVectors);

}  // namespace
}  // namespace umbuf::test
