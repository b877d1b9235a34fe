// SPDX-License-Identifier: BSD-2-Clause
// raw.cc - flat buffers in EAL's memory, where the mbufs are, too.
#include "app/umbench/esp/raw.h"

#include <cerrno>
#include <cstring>

#include <rte_malloc.h>

namespace umbuf::bench {

void Raw::Free::operator()(std::byte* at) const noexcept { rte_free(at); }
Raw::Memory Raw::take(size_t bytes) { return Memory(static_cast<std::byte*>(rte_zmalloc("umbench_raw", bytes, 64))); }

Result<std::unique_ptr<Raw>> Raw::make(const EspCase& what, uint32_t kept) {
    if (!has_bare(what)) return std::unique_ptr<Raw>();
    Result<BareKit> kit = make_bare(what);
    if (!kit) return kit.error();
    std::unique_ptr<Raw> raw(new Raw(what, std::move(kit.value())));
    // A line more than the text, so that not all packets begin in the same sets of a cache.
    raw->stride_ = (what.text() + 63) / 64 * 64 + 64;
    raw->kept_ = kept + kEspBenchBurst;
    raw->from_ = take(size_t{raw->stride_} * what.packets);
    if (what.source != Source::owned) raw->to_ = take(size_t{raw->stride_} * raw->kept_);
    if (raw->from_ == nullptr || (what.source != Source::owned && raw->to_ == nullptr))
        return Error{ENOMEM, "no memory for flat buffers"};
    return raw;
}

void Raw::call(uint32_t i, uint16_t sa) noexcept {
    const BareKey& key = kit_.keys[sa];
    uint8_t nonce[16], aad[8] = {}, tag[16];
    std::memcpy(nonce, key.salt, 4);
    ++seq_;
    std::memcpy(nonce + 4, &seq_, 8);
    std::memcpy(aad, &seq_, 8);
    uint8_t* from = reinterpret_cast<uint8_t*>(from_.get()) + size_t{i} * stride_;
    uint8_t* to = from;
    if (to_ != nullptr) {
        to = reinterpret_cast<uint8_t*>(to_.get()) + size_t{next_} * stride_;
        next_ = next_ + 1 == kept_ ? 0 : next_ + 1;
    }
    gcm_context_data context;
    kit_.gcm.whole(&key.gcm, &context, to, from, what_.text(), nonce, aad, sizeof(aad), tag, sizeof(tag));
}

}  // namespace umbuf::bench
