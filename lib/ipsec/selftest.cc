// SPDX-License-Identifier: BSD-2-Clause
// selftest.cc - an engine on this CPU against published examples, before it is trusted with a packet.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "lib/ipsec/engine.h"
#include "lib/ipsec/vectors.h"

namespace umbuf {
namespace {

using Bytes = std::vector<std::byte>;

uint32_t digit(char c) { return static_cast<uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10); }

Bytes from_hex(const char* hex) {
    Bytes bytes(std::strlen(hex) / 2);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return bytes;
}

void put(std::byte* to, const char* hex) {
    const Bytes bytes = from_hex(hex);
    std::copy(bytes.begin(), bytes.end(), to);  // of which there may be none
}

// One direction of one example, its source cut at `cut`, its destination at another place.
struct Trial {
    Bytes source, to;
    Job job{};
    std::vector<Piece> pieces;
    std::vector<Room> rooms;

    Trial(const EspVector& v, const std::byte* key, bool encrypt, size_t cut) : source(from_hex(encrypt ? v.text : v.sealed)) {
        to.resize(source.size());
        const size_t at = std::min(cut, source.size()), from_end = source.size() - at;
        pieces = {{source.data(), static_cast<uint32_t>(at)}, {source.data() + at, static_cast<uint32_t>(from_end)}};
        rooms = {{to.data(), static_cast<uint32_t>(from_end)}, {to.data() + from_end, static_cast<uint32_t>(at)}};
        job.key = key;
        job.source = pieces;
        job.to = rooms;
        job.len = static_cast<uint32_t>(source.size());
        job.encrypt = encrypt;
        job.extended = *v.seq_high != '\0';
        put(job.seq_high, v.seq_high);
        put(job.head.spi, v.spi);
        put(job.head.seq, v.seq);
        put(job.head.iv, v.iv);
        if (!encrypt) put(job.icv, v.icv);
    }
};

bool right(const Engine& engine, EngineLane& lane, const EspVector& v, const std::byte* key, size_t cut) {
    const Bytes text = from_hex(v.text), sealed = from_hex(v.sealed), icv = from_hex(v.icv);
    Trial there(v, key, true, cut);
    engine.run(lane, &there.job, 1);
    if (there.job.failed || there.to != sealed || std::memcmp(there.job.icv, icv.data(), icv.size()) != 0) return false;
    Trial back(v, key, false, cut);
    engine.run(lane, &back.job, 1);
    if (back.to != text || !back.job.authentic) return false;
    // An ICV that is wrong in its last bit is found, too: an engine that says yes to all passes all else.
    Trial forged(v, key, false, cut);
    forged.job.icv[icv.size() - 1] ^= std::byte{1};
    engine.run(lane, &forged.job, 1);
    return !forged.job.authentic;
}

// right_at_once - a burst of the same example, cut at different places: a driver may keep one list for all.
bool right_at_once(const Engine& engine, EngineLane& lane, const EspVector& v, const std::byte* key) {
    const Bytes text = from_hex(v.text), sealed = from_hex(v.sealed);
    std::vector<std::unique_ptr<Trial>> trials;
    std::vector<Job> jobs;
    for (size_t i = 0; i < 12; ++i) {
        trials.push_back(std::make_unique<Trial>(v, key, i % 2 == 0, 1 + i % 7));
        jobs.push_back(trials.back()->job);
    }
    engine.run(lane, jobs.data(), static_cast<uint16_t>(jobs.size()));
    for (size_t i = 0; i < jobs.size(); ++i) {
        if (jobs[i].failed || trials[i]->to != (jobs[i].encrypt ? sealed : text)) return false;
        if (jobs[i].encrypt ? std::memcmp(jobs[i].icv, from_hex(v.icv).data(), from_hex(v.icv).size()) != 0 : !jobs[i].authentic)
            return false;
    }
    return true;
}

Status try_vector(const Engine& engine, EngineLane& lane, const Algorithm& algorithm, const EspVector& v) {
    Result<Secret> key = Secret::make(engine.key_bytes(algorithm));
    if (!key) return key.error();
    if (const Status made = engine.make_key(algorithm, from_hex(v.key), key.value().data()); !made) return made;
    const size_t len = std::strlen(v.text) / 2;
    bool good = true;
    for (const size_t cut : {size_t{0}, size_t{1}, len / 2, len - 1}) good = good && right(engine, lane, v, key.value().data(), cut);
    good = good && right_at_once(engine, lane, v, key.value().data());
    Status status;
    if (!good)
        status = Error{EIO, std::string("the engine ") + engine.name + " computes " + algorithm.name() +
                                    " wrongly on this CPU (" + v.source + "): choose another engine or algorithm"};
    if (engine.drop_key != nullptr) engine.drop_key(key.value().data());
    return status;
}

// all - the examples of one algorithm, or of all that the engine supports; *tried says how many there were.
Status all(const Engine& engine, const Algorithm* only, size_t* tried) {
    if (const Status ready = engine.ready(); !ready) return ready;
    EngineLane* lane = engine.open(-1);
    if (lane == nullptr) return Error{ENOMEM, std::string("no memory for a lane of the engine ") + engine.name};
    Status status;
    for (const EspVector& v : esp_vectors()) {
        const Result<Algorithm> algorithm = find_algorithm(v.algorithm);
        if (!algorithm) status = algorithm.error();
        if (!status) break;
        if ((only != nullptr && algorithm.value() != *only) || !engine.supports(algorithm.value())) continue;
        ++*tried;
        status = try_vector(engine, *lane, algorithm.value(), v);
        if (!status) break;
    }
    engine.close(lane);
    return status;
}

}  // namespace

Status engine_selftest(const Engine& engine) {
    size_t tried = 0;
    return all(engine, nullptr, &tried);
}

Status engine_selftest(const Engine& engine, const Algorithm& algorithm) {
    if (!engine.supports(algorithm)) return Error{EOPNOTSUPP, std::string("the engine ") + engine.name + " has no " + algorithm.name()};
    size_t tried = 0;
    const Status status = all(engine, &algorithm, &tried);
    if (!status || tried > 0) return status;
    return Error{EOPNOTSUPP, "no published example of " + algorithm.name() + " that the engine " + engine.name + " could be tested with"};
}

}  // namespace umbuf
