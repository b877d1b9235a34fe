// SPDX-License-Identifier: BSD-2-Clause
// cross_check.cc - the same job again, by somebody else.
#include "lib/ipsec/cross_check.h"

#include <algorithm>
#include <cstring>

#include "lib/ipsec/esp_batch.h"
#include "lib/ipsec/pcapng.h"

namespace umbuf {
namespace {

bool same_text(const Job& job, const std::byte* other) noexcept {
    for (const Room& room : job.to) {
        if (room.len == 0) continue;
        if (std::memcmp(room.at, other, room.len) != 0) return false;
        other += room.len;
    }
    return true;
}

bool same_result(const Sa& sa, const Job& a, const Job& b, const std::byte* text_of_b) noexcept {
    if (a.encrypt) return same_text(a, text_of_b) && std::memcmp(a.icv, b.icv, sa.terms.algorithm.icv()) == 0;
    return a.authentic == b.authentic && (!a.authentic || same_text(a, text_of_b));
}

}  // namespace

CrossCheck::CrossCheck(const Engine& s, uint32_t every)
    : second(s), every_(every), until_(every), room_(std::make_unique<std::byte[]>(kMost)), first_(std::make_unique<Found>()) {}

Result<std::unique_ptr<CrossCheck>> CrossCheck::make(const Engine& second, uint32_t every, int socket) {
    if (every == 0) return Error{EINVAL, "a cross-check of every 0th packet"};
    if (const Status ready = second.ready(); !ready) return ready.error();
    std::unique_ptr<CrossCheck> made(new CrossCheck(second, every));
    made->lane_ = second.open(socket);
    if (made->lane_ == nullptr) return Error{ENOMEM, std::string("no memory for a lane of the engine ") + second.name};
    return made;
}

CrossCheck::~CrossCheck() {
    if (lane_ != nullptr) second.close(lane_);
}

bool CrossCheck::same(const Engine& first, const Sa& sa, const Job& job, const Mbuf* source, const Mbuf* out,
                      uint32_t lead) noexcept {
    if (--until_ > 0) return true;
    until_ = every_;
    if (sa.second() != &second) return unable.add(1), true;
    const Room room{room_.get(), job.len};
    Job again = job;
    again.key = sa.second_key();
    again.to = {&room, 1};
    if (job.encrypt) again.whole = nullptr;  // it lies before the first engine's room
    again.authentic = again.failed = again.done = false;
    second.run(*lane_, &again, 1);
    if (again.failed) return unable.add(1), true;
    checked.add(1);
    if (same_result(sa, job, again, room_.get())) return true;
    differed.add(1);
    if (!found_.load(sync::relaxed)) keep(first, sa, job, again, source, out, lead);
    return false;
}

void CrossCheck::keep(const Engine& first, const Sa& sa, const Job& job, const Job& again, const Mbuf* source, const Mbuf* out,
                      uint32_t lead) noexcept {
    Found& f = *first_;
    f.first = &first;
    f.algorithm = sa.terms.algorithm;
    f.spi = sa.terms.spi;
    f.seq = uint64_t{load32(job.seq_high)} << 32 | load32(job.head.seq);
    f.encrypt = job.encrypt;
    f.authentic[0] = job.authentic;
    f.authentic[1] = again.authentic;
    f.came_bytes = std::min(source->pkt_len(), kMost);
    esp::peek(source, 0, f.came_bytes, f.came);
    const uint32_t icv = job.encrypt ? sa.terms.algorithm.icv() : 0;
    f.made_bytes = lead + job.len + icv;
    for (int i = 0; i < 2; ++i) esp::peek(out, 0, lead, f.made[i]);
    esp::peek(out, lead, job.len, f.made[0] + lead);
    std::memcpy(f.made[1] + lead, room_.get(), job.len);
    std::memcpy(f.made[0] + lead + job.len, job.icv, icv);
    std::memcpy(f.made[1] + lead + job.len, again.icv, icv);
    found_.store(true, sync::release);  // pairs with the acquire in found()
}

std::string CrossCheck::describe() const {
    const Found& f = *first_;
    return std::string(f.first->name) + " and " + second.name + " differ about " + f.algorithm.name() + ", SPI " + std::to_string(f.spi) +
           ", number " + std::to_string(f.seq) + (f.encrypt ? ", encrypting" : ", decrypting");
}

Status CrossCheck::write(const std::string& path) const {
    const Found& f = *first_;
    const auto result = [&f](int i, const char* engine) {
        return Pictured{{f.made[i], f.made_bytes},
                        std::string("by ") + engine + (f.encrypt ? "" : f.authentic[i] ? ": authentic" : ": not authentic")};
    };
    const Pictured packets[] = {{{f.came, f.came_bytes}, "as it came"}, result(0, f.first->name), result(1, second.name)};
    return write_pcapng(path, describe(), packets);
}

}  // namespace umbuf
