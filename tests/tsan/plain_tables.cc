// SPDX-License-Identifier: BSD-2-Clause
// plain_tables.cc - stand-in: rte_ipsec_sad and rte_acl in plain memory, so that ThreadSanitizer sees who reads and
// writes it. DPDK's own are not compiled with it, and what it does not see it does not judge.
//
// They find what the tests ask for, by looking at everything, and are as unprotected as those of DPDK are without
// RTE_IPSEC_SAD_FLAG_RW_CONCURRENCY.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <rte_acl.h>
#include <rte_ipsec_sad.h>

// ---- rte_ipsec_sad

struct rte_ipsec_sad {
    struct Entry {
        rte_ipsec_sad_key key;
        int type;
        void* sa;
    };
    bool v6;
    std::vector<Entry> entries;
    // same - as far as this type looks: SPI, destination, source.
    [[nodiscard]] bool same(const rte_ipsec_sad_key& a, const rte_ipsec_sad_key& b, int type) const {
        const size_t address = v6 ? 16 : 4;
        return std::memcmp(&a, &b, 4 + address * static_cast<size_t>(type)) == 0;
    }
    [[nodiscard]] auto find(const rte_ipsec_sad_key& key, int type) const {
        return std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.type == type && same(e.key, key, type); });
    }
};
static_assert(RTE_IPSEC_SAD_SPI_ONLY == 0 && RTE_IPSEC_SAD_SPI_DIP == 1 && RTE_IPSEC_SAD_SPI_DIP_SIP == 2);

rte_ipsec_sad* rte_ipsec_sad_create(const char*, const rte_ipsec_sad_conf* conf) {
    return new rte_ipsec_sad{(conf->flags & RTE_IPSEC_SAD_FLAG_IPV6) != 0, {}};
}
void rte_ipsec_sad_destroy(rte_ipsec_sad* sad) { delete sad; }
int rte_ipsec_sad_add(rte_ipsec_sad* sad, const rte_ipsec_sad_key* key, int type, void* sa) {
    if (sad->find(*key, type) != sad->entries.end()) return -EEXIST;
    sad->entries.push_back({*key, type, sa});
    return 0;
}
int rte_ipsec_sad_del(rte_ipsec_sad* sad, const rte_ipsec_sad_key* key, int type) {
    const auto at = sad->find(*key, type);
    if (at == sad->entries.end()) return -ENOENT;
    sad->entries.erase(at);
    return 0;
}
int rte_ipsec_sad_lookup(const rte_ipsec_sad* sad, const rte_ipsec_sad_key* keys[], void* sas[], uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) {
        sas[i] = nullptr;
        for (int type = RTE_IPSEC_SAD_SPI_DIP_SIP; type >= RTE_IPSEC_SAD_SPI_ONLY && sas[i] == nullptr; --type)
            if (const auto at = sad->find(*keys[i], type); at != sad->entries.end()) sas[i] = at->sa;
    }
    return static_cast<int>(n);
}

// ---- rte_acl

struct rte_acl_ctx {
    size_t stride;
    std::vector<uint32_t> users;  // of the rules, in order
};

rte_acl_ctx* rte_acl_create(const rte_acl_param* param) { return new rte_acl_ctx{param->rule_size, {}}; }
void rte_acl_free(rte_acl_ctx* ctx) { delete ctx; }
int rte_acl_add_rules(rte_acl_ctx* ctx, const rte_acl_rule* rules, uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) {
        rte_acl_rule_data data;
        std::memcpy(&data, reinterpret_cast<const char*>(rules) + i * ctx->stride, sizeof(data));
        ctx->users.push_back(data.userdata);
    }
    return 0;
}
int rte_acl_build(rte_acl_ctx*, const rte_acl_config*) { return 0; }
// The i-th packet matches the i-th rule.
int rte_acl_classify(const rte_acl_ctx* ctx, const uint8_t**, uint32_t* results, uint32_t n, uint32_t) {
    for (uint32_t i = 0; i < n; ++i) results[i] = ctx->users[i % ctx->users.size()];
    return 0;
}
