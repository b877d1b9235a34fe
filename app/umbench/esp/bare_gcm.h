// SPDX-License-Identifier: BSD-2-Clause
// bare_gcm.h - AES-GCM of IPsec-MB's with nothing of ours around it.
#pragma once
#include <memory>
#include <vector>

#include <intel-ipsec-mb.h>

#include "app/umbench/esp/esp_case.h"
#include "lib/base/result.h"

namespace umbuf::bench {

// BareGcm - the calls for one length of keys and one direction.
struct BareGcm {
    aes_gcm_enc_dec_t whole;
    aes_gcm_init_t init;
    aes_gcm_enc_dec_update_t update;
    aes_gcm_enc_dec_finalize_t finalize;
};
// The expanded key of an SA, and the part of the nonce that does not travel.
struct alignas(64) BareKey {
    gcm_key_data gcm;
    uint8_t salt[4];
};
struct BareKit {
    BareGcm gcm{};
    std::vector<BareKey> keys;
    struct Free {
        void operator()(IMB_MGR* m) const noexcept { free_mb_mgr(m); }
    };
    std::unique_ptr<IMB_MGR, Free> manager;
};
[[nodiscard]] inline bool has_bare(const EspCase& what) noexcept { return what.algorithm.cipher->cipher == Cipher::aes_gcm; }
// make_bare - Error: no memory.
[[nodiscard]] Result<BareKit> make_bare(const EspCase& what);

}  // namespace umbuf::bench
