// SPDX-License-Identifier: BSD-2-Clause
// words.c - algorithms, addresses, selectors and priorities, from charon's numbers to umfwd's names.
#include "app/charon/words.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

void words_say(Words* w, const char* format, ...) {
    if (w->is_void) return;
    const size_t room = sizeof w->text - w->length;
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(w->text + w->length, room, format, arguments);
    va_end(arguments);
    // One byte is for the line end.
    if (n < 0 || (size_t)n + 1 >= room) w->is_void = true;
    else w->length += (size_t)n;
}

void words_wipe(Words* w) {
    memwipe(w, sizeof* w);
}

// ---- names

typedef struct Address {
    char text[INET6_ADDRSTRLEN];
} Address;

static Address address_of(chunk_t bytes) {
    Address a = {""};
    inet_ntop(bytes.len == 4 ? AF_INET : AF_INET6, bytes.ptr, a.text, sizeof a.text);
    return a;
}

static Address address_of_host(host_t* host) {
    return address_of(host->get_address(host));
}

void sa_name(char name[kLongestName], const kernel_ipsec_sa_id_t* id, bool inbound) {
    // Who receives has chosen the SPI: ours are all different, and a peer's are among its own.
    snprintf(name, kLongestName, kOurs "%s-%08x-%s", inbound ? "in" : "out", ntohl(id->spi),
             address_of_host(inbound ? id->src : id->dst).text);
}

void child_name(char name[kLongestName], uint32_t reqid) {
    snprintf(name, kLongestName, kOurs "%u", reqid);
}

// ---- SAs

// What a key of charon's is: the cipher's, then the salt (RFC 4106, 3686, 7634).
typedef struct CipherName {
    uint16_t id;
    size_t key_bytes;
    const char* name;
    bool aead;
} CipherName;

static const CipherName kCiphers[] = {
    {ENCR_AES_GCM_ICV16, 20, "aes-gcm-128", true},
    {ENCR_AES_GCM_ICV16, 28, "aes-gcm-192", true},
    {ENCR_AES_GCM_ICV16, 36, "aes-gcm-256", true},
    {ENCR_NULL_AUTH_AES_GMAC, 20, "aes-gmac-128", true},
    {ENCR_NULL_AUTH_AES_GMAC, 28, "aes-gmac-192", true},
    {ENCR_NULL_AUTH_AES_GMAC, 36, "aes-gmac-256", true},
    {ENCR_CHACHA20_POLY1305, 36, "chacha20-poly1305", true},
    {ENCR_AES_CBC, 16, "aes-cbc-128", false},
    {ENCR_AES_CBC, 24, "aes-cbc-192", false},
    {ENCR_AES_CBC, 32, "aes-cbc-256", false},
    {ENCR_AES_CTR, 20, "aes-ctr-128", false},
    {ENCR_AES_CTR, 28, "aes-ctr-192", false},
    {ENCR_AES_CTR, 36, "aes-ctr-256", false},
    {ENCR_NULL, 0, "null", false},
};

typedef struct IntegrityName {
    uint16_t id;
    const char* name;
} IntegrityName;

static const IntegrityName kIntegrities[] = {
    {AUTH_HMAC_SHA1_96, "+hmac-sha1"},
    {AUTH_HMAC_SHA2_256_128, "+hmac-sha256"},
    {AUTH_HMAC_SHA2_384_192, "+hmac-sha384"},
    {AUTH_HMAC_SHA2_512_256, "+hmac-sha512"},
};

static const CipherName* cipher_of(const kernel_ipsec_add_sa_t* sa) {
    for (size_t i = 0; i < countof(kCiphers); ++i)
        if (kCiphers[i].id == sa->enc_alg && kCiphers[i].key_bytes == sa->enc_key.len) return &kCiphers[i];
    return NULL;
}

static const char* integrity_of(const CipherName* cipher, const kernel_ipsec_add_sa_t* sa) {
    if (cipher->aead) return "";
    for (size_t i = 0; i < countof(kIntegrities); ++i)
        if (kIntegrities[i].id == sa->int_alg) return kIntegrities[i].name;
    return NULL;
}

static const char* what_is_impossible(const kernel_ipsec_sa_id_t* id, const kernel_ipsec_add_sa_t* sa) {
    if (id->proto != IPPROTO_ESP) return "no protocol but ESP";
    if (sa->mode != MODE_TUNNEL && sa->mode != MODE_TRANSPORT) return "no modes but tunnel and transport";
    if (sa->ipcomp != IPCOMP_NONE) return "no compression";
    if (id->mark.value || sa->mark.value || id->if_id) return "no marks, and no interface numbers";
    if (sa->label) return "no security labels";
    return NULL;
}

static void say_hex(Words* w, chunk_t bytes) {
    for (size_t i = 0; i < bytes.len; ++i) words_say(w, "%02x", bytes.ptr[i]);
}

static void say_lifetime(Words* w, const lifetime_cfg_t* lifetime) {
    const struct {
        const char* word;
        uint64_t n;
    } limits[] = {
        {"soft-seconds", lifetime->time.rekey},    {"hard-seconds", lifetime->time.life},
        {"soft-bytes", lifetime->bytes.rekey},     {"hard-bytes", lifetime->bytes.life},
        {"soft-packets", lifetime->packets.rekey}, {"hard-packets", lifetime->packets.life},
    };
    for (size_t i = 0; i < countof(limits); ++i)
        if (limits[i].n != 0) words_say(w, " %s %llu", limits[i].word, (unsigned long long)limits[i].n);
}

static void say_outer_header(Words* w, const kernel_ipsec_add_sa_t* sa) {
    if (sa->mode != MODE_TUNNEL) return;
    if (!sa->copy_df) words_say(w, " df clear");
    if (!sa->copy_ecn) words_say(w, " no-ecn");
    if (sa->copy_dscp == DSCP_COPY_IN_ONLY || sa->copy_dscp == DSCP_COPY_NO) words_say(w, " dscp 0");
    if (sa->copy_dscp == DSCP_COPY_IN_ONLY || sa->copy_dscp == DSCP_COPY_YES) words_say(w, " decap-dscp");
}

static void say_window(Words* w, uint32_t window) {
    // umfwd has 32 to 4096, and never none: 0, "no protection against replays", gets what is usual.
    const uint32_t usual = 64, least = 32, most = 4096;
    words_say(w, " window %u", window == 0 ? usual : min(max(window, least), most));
}

const char* say_sa(Words* w, const char* name, const kernel_ipsec_sa_id_t* id, const kernel_ipsec_add_sa_t* sa) {
    const char* impossible = what_is_impossible(id, sa);
    if (impossible != NULL) return impossible;
    const CipherName* cipher = cipher_of(sa);
    if (cipher == NULL) return "not this cipher";
    const char* integrity = integrity_of(cipher, sa);
    if (integrity == NULL) return "not this integrity algorithm";
    char child[kLongestName];
    child_name(child, sa->reqid);
    words_say(w, "sa add %s child %s %s spi 0x%08x alg %s%s key ", name, child, sa->inbound ? "in" : "out", ntohl(id->spi), cipher->name, integrity);
    say_hex(w, sa->enc_key);
    if (!cipher->aead) say_hex(w, sa->int_key);
    words_say(w, " mode %s src %s dst %s", sa->mode == MODE_TUNNEL ? "tunnel" : "transport", address_of_host(id->src).text, address_of_host(id->dst).text);
    if (sa->esn) words_say(w, " esn");
    if (sa->encap) words_say(w, " udp %u %u", id->src->get_port(id->src), id->dst->get_port(id->dst));
    if (sa->inbound) say_window(w, sa->replay_window);
    else words_say(w, " seq-floor 0");  // IKE has just made this key
    say_outer_header(w, sa);
    say_lifetime(w, sa->lifetime);
    return w->is_void ? "too long" : NULL;
}

// ---- policies

static void say_addresses(Words* w, const char* word, traffic_selector_t* ts) {
    host_t* net = NULL;
    uint8_t bits = 0;
    if (ts->to_subnet(ts, &net, &bits))
        words_say(w, " %s %s/%u", word, address_of_host(net).text, bits);
    else
        words_say(w, " %s %s-%s", word, address_of(ts->get_from_address(ts)).text, address_of(ts->get_to_address(ts)).text);
    DESTROY_IF(net);
}

static bool any_port(traffic_selector_t* ts) {
    return ts->get_from_port(ts) == 0 && ts->get_to_port(ts) == UINT16_MAX;
}

static void say_ports(Words* w, const char* word, traffic_selector_t* ts) {
    const uint16_t from = ts->get_from_port(ts), to = ts->get_to_port(ts);
    if (any_port(ts)) return;
    if (from == UINT16_MAX && to == 0) words_say(w, " %s opaque", word);  // RFC 7296, 3.13.1
    else words_say(w, " %s %u-%u", word, from, to);
}

// RFC 7296, 3.13.1: type and code of ICMP are in the ports, and of either end.
static void say_types(Words* w, traffic_selector_t* ts) {
    const uint16_t from = ts->get_from_port(ts), to = ts->get_to_port(ts);
    words_say(w, " type %u-%u", from >> 8, to >> 8);
    if (from >> 8 == to >> 8) words_say(w, " code %u-%u", from & 0xff, to & 0xff);
}

static uint8_t protocol_of(const kernel_ipsec_policy_id_t* id) {
    const uint8_t one = id->src_ts->get_protocol(id->src_ts);
    return one != 0 ? one : id->dst_ts->get_protocol(id->dst_ts);
}

static void say_upper(Words* w, const kernel_ipsec_policy_id_t* id) {
    const uint8_t protocol = protocol_of(id);
    if (protocol == 0) return;
    words_say(w, " protocol %u", protocol);
    if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
        traffic_selector_t* ts = any_port(id->src_ts) ? id->dst_ts : id->src_ts;
        if (!any_port(ts)) say_types(w, ts);
        return;
    }
    say_ports(w, "sport", id->src_ts);
    say_ports(w, "dport", id->dst_ts);
}

static uint32_t fixed_bits(traffic_selector_t* ts) {
    host_t* net = NULL;
    uint8_t bits = 0;
    ts->to_subnet(ts, &net, &bits);
    DESTROY_IF(net);
    return bits;
}

// priority_of - charon means: exceptions first, then tunnels, then those that wait for one, then what is dropped
// if there is none; of a kind, the narrowest first. umfwd asks the lowest number first.
static uint32_t priority_of(const kernel_ipsec_policy_id_t* id, const kernel_ipsec_manage_policy_t* policy) {
    if (policy->manual_prio != 0) return policy->manual_prio;
    const uint32_t a_kind = 10000, most_bits = 2 * 128;
    uint32_t wide = (most_bits - fixed_bits(id->src_ts) - fixed_bits(id->dst_ts)) * 8;
    if (protocol_of(id) == 0) wide += 4;
    if (any_port(id->src_ts)) wide += 2;
    if (any_port(id->dst_ts)) wide += 1;
    return ((uint32_t)policy->prio + 1) * a_kind + wide;
}

const char* say_policy(Words* w, const kernel_ipsec_policy_id_t* id, const kernel_ipsec_manage_policy_t* policy) {
    if (id->mark.value || id->if_id) return "no marks, and no interface numbers";
    if (id->label) return "no security labels";
    words_say(w, " %s priority %u", id->dir == POLICY_OUT ? "out" : "in", priority_of(id, policy));
    say_addresses(w, "src", id->src_ts);
    say_addresses(w, "dst", id->dst_ts);
    say_upper(w, id);
    if (policy->type == POLICY_PASS) words_say(w, " action bypass");
    else if (policy->type == POLICY_DROP) words_say(w, " action discard");
    else {
        char child[kLongestName];
        child_name(child, policy->sa->reqid);
        words_say(w, " action protect child %s", child);
    }
    return w->is_void ? "too long" : NULL;
}
