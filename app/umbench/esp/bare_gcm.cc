// SPDX-License-Identifier: BSD-2-Clause
// bare_gcm.cc - the manager that the library thinks best for this CPU, and the keys.
#include "app/umbench/esp/bare_gcm.h"

#include <cerrno>
#include <cstring>

namespace umbuf::bench {
namespace {

BareGcm calls_of(const IMB_MGR* m, uint8_t bytes, bool encrypt) {
    switch (bytes) {
    case 16:
        return encrypt ? BareGcm{m->gcm128_enc, m->gcm128_init, m->gcm128_enc_update, m->gcm128_enc_finalize}
                       : BareGcm{m->gcm128_dec, m->gcm128_init, m->gcm128_dec_update, m->gcm128_dec_finalize};
    case 24:
        return encrypt ? BareGcm{m->gcm192_enc, m->gcm192_init, m->gcm192_enc_update, m->gcm192_enc_finalize}
                       : BareGcm{m->gcm192_dec, m->gcm192_init, m->gcm192_dec_update, m->gcm192_dec_finalize};
    default:
        return encrypt ? BareGcm{m->gcm256_enc, m->gcm256_init, m->gcm256_enc_update, m->gcm256_enc_finalize}
                       : BareGcm{m->gcm256_dec, m->gcm256_init, m->gcm256_dec_update, m->gcm256_dec_finalize};
    }
}

void expand(IMB_MGR* m, uint8_t bytes, const void* raw, gcm_key_data* to) {
    switch (bytes) {
    case 16: IMB_AES128_GCM_PRE(m, raw, to); break;
    case 24: IMB_AES192_GCM_PRE(m, raw, to); break;
    default: IMB_AES256_GCM_PRE(m, raw, to); break;
    }
}

}  // namespace

Result<BareKit> make_bare(const EspCase& what) {
    BareKit kit;
    kit.manager.reset(alloc_mb_mgr(0));
    if (kit.manager == nullptr) return Error{ENOMEM, "no memory for a manager of IPsec-MB's"};
    init_mb_mgr_auto(kit.manager.get(), nullptr);
    const CipherKind& cipher = *what.algorithm.cipher;
    kit.gcm = calls_of(kit.manager.get(), cipher.key, what.encrypt);
    kit.keys.resize(what.sas);
    for (uint32_t i = 0; i < what.sas; ++i) {
        const std::string& key = (*what.keys)[i];
        expand(kit.manager.get(), cipher.key, key.data(), &kit.keys[i].gcm);
        std::memcpy(kit.keys[i].salt, key.data() + cipher.key, sizeof(kit.keys[i].salt));
    }
    return kit;
}

}  // namespace umbuf::bench
