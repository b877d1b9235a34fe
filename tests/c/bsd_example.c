// SPDX-License-Identifier: BSD-2-Clause
// bsd_example.c - mbufs as BSD network code uses them, in C, through lib/mbuf/bsd.h.
//
// A UDP datagram goes down: payload, UDP, IP and Ethernet headers prepended; is cut into fragments
// that share its cluster; waits in a queue; comes up: pulled up, read, reassembled. Exit status 1 and
// a line when something is not as it should be.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "lib/mbuf/bsd.h"

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                              \
        }                                                                         \
    } while (0)

enum { ETHER_LEN = 14, IP_LEN = 20, UDP_LEN = 8, PAYLOAD = 1400, MTU = 596 };
enum { TAG_POLICY = 28 };

struct ip {
    uint8_t vhl, tos;
    uint16_t len, id, off;
    uint8_t ttl, proto;
    uint16_t sum;
    uint32_t src, dst;
};
struct udp {
    uint16_t sport, dport, len, sum;
};

static uint8_t payload_byte(int i) { return (uint8_t)(i * 7 + i / 256); }

static struct mbuf* payload(void) {
    struct mbuf* m;
    MGETHDR(m, M_DONTWAIT, MT_DATA);
    CHECK(m != NULL);
    MCLGET(m, M_DONTWAIT);
    CHECK(m_flags(m) & M_EXT);
    for (int i = 0; i < PAYLOAD; i++) mtod(m, uint8_t*)[i] = payload_byte(i);
    m->m_len = PAYLOAD;
    m->m_pkthdr.len = PAYLOAD;
    return m;
}

// A tag that a policy left: who decided, and what.
static void remember(struct mbuf* m, uint32_t decision) {
    struct m_tag* t = m_tag_get(TAG_POLICY, sizeof decision, M_NOWAIT);
    CHECK(t != NULL);
    memcpy(t + 1, &decision, sizeof decision);
    m_tag_prepend(m, t);
}

static uint32_t remembered(const struct mbuf* m) {
    const struct m_tag* t = m_tag_find(m, TAG_POLICY, NULL);
    uint32_t decision;
    CHECK(t != NULL && t->m_tag_len == sizeof decision);
    memcpy(&decision, t + 1, sizeof decision);
    return decision;
}

static struct mbuf* udp_output(struct mbuf* m) {
    M_PREPEND(m, UDP_LEN, M_DONTWAIT);
    CHECK(m != NULL);
    const struct udp uh = {.sport = 53, .dport = 4242, .len = (uint16_t)m->m_pkthdr.len};
    memcpy(mtod(m, void*), &uh, sizeof uh);
    return m;
}

static struct mbuf* ip_header(struct mbuf* m, int offset) {
    M_PREPEND(m, IP_LEN, M_DONTWAIT);
    CHECK(m != NULL);
    const struct ip ip = {.vhl = 0x45, .len = (uint16_t)m->m_pkthdr.len, .off = (uint16_t)offset,
                          .ttl = 64, .proto = 17, .src = 0x0a000001, .dst = 0x0a000002};
    memcpy(mtod(m, void*), &ip, sizeof ip);
    M_PREPEND(m, ETHER_LEN, M_DONTWAIT);
    CHECK(m != NULL);
    memset(mtod(m, void*), 0xe0, ETHER_LEN);
    return m;
}

// Cuts a datagram into fragments; each shares the cluster and carries the tags.
static void ip_output(struct mbuf* m, struct mbuf_queue* wire) {
    int offset = 0;
    while (m != NULL) {
        struct mbuf* rest = NULL;
        const int length = m->m_pkthdr.len;
        if (length > MTU) {
            rest = m_split(m, MTU, M_DONTWAIT);
            CHECK(rest != NULL && m->m_pkthdr.len == MTU && rest->m_pkthdr.len == length - MTU);
        }
        const int here = m->m_pkthdr.len;
        m = ip_header(m, offset);
        CHECK(remembered(m) == 0x600d);
        CHECK(m_sanity(m));
        CHECK(mq_enqueue(wire, m) == 0);
        offset += here;
        m = rest;
    }
}

// One fragment up: its header read in one piece, its place returned.
static struct mbuf* ip_input(struct mbuf* m, int* offset) {
    m = m_pullup(m, ETHER_LEN + IP_LEN);
    CHECK(m != NULL && m->m_len >= ETHER_LEN + IP_LEN);
    struct ip ip;
    memcpy(&ip, mtod(m, char*) + ETHER_LEN, sizeof ip);
    CHECK(ip.vhl == 0x45 && ip.len == m->m_pkthdr.len - ETHER_LEN);
    *offset = ip.off;
    m_adj(m, ETHER_LEN + IP_LEN);
    return m;
}

static struct mbuf* reassemble(struct mbuf_queue* wire) {
    struct mbuf_list frags;
    struct mbuf* whole = NULL;
    struct mbuf* m;
    ml_init(&frags);
    mq_delist(wire, &frags);
    CHECK(mq_empty(wire) && ml_len(&frags) == 3);
    while ((m = ml_dequeue(&frags)) != NULL) {
        int offset;
        m = ip_input(m, &offset);
        CHECK(offset == (whole == NULL ? 0 : whole->m_pkthdr.len));
        if (whole == NULL)
            whole = m;
        else
            m_catpkt(whole, m);
    }
    return whole;
}

static void udp_input(struct mbuf* m) {
    int off = -1;
    struct mbuf* n = m_pulldown(m, 0, UDP_LEN, &off);
    CHECK(n != NULL && off >= 0);
    struct udp uh;
    memcpy(&uh, mtod(n, char*) + off, sizeof uh);
    CHECK(uh.sport == 53 && uh.dport == 4242 && uh.len == UDP_LEN + PAYLOAD);
    CHECK(m->m_pkthdr.len == uh.len);
    for (int i = 0; i < PAYLOAD; i++) {
        uint8_t byte;
        m_copydata(m, UDP_LEN + i, 1, &byte);
        CHECK(byte == payload_byte(i));
    }
    CHECK(remembered(m) == 0x600d);
}

// What a bridge does: one packet, two ports, one of which changes it.
static void flood(struct mbuf* m) {
    struct mbuf* copy = m_copym(m, 0, M_COPYALL, M_DONTWAIT);
    CHECK(copy != NULL && M_READONLY(m_last(copy)));
    const uint8_t mark = 0x99;
    copy = m_copyback_cow(copy, 100, 1, &mark, M_DONTWAIT);
    CHECK(copy != NULL);
    uint8_t mine, theirs;
    m_copydata(m, 100, 1, &mine);
    m_copydata(copy, 100, 1, &theirs);
    CHECK(theirs == mark && mine == payload_byte(100 - UDP_LEN));
    struct rte_mbuf* r = m_to_driver(copy);
    CHECK(r->nb_segs >= 1 && m_tag_first(copy) == NULL);
    rte_pktmbuf_free(r);  // as a driver does when it has sent it
}

// Code that does by hand what verbs would do better, and then says so.
static void by_hand(void) {
    struct mbuf *m, *n;
    MGETHDR(m, M_DONTWAIT, MT_DATA);
    MGET(n, M_DONTWAIT, MT_DATA);
    CHECK(m != NULL && n != NULL);
    MH_ALIGN(m, 20);
    memset(mtod(m, void*), 1, 20);
    memset(mtod(n, void*), 2, 30);
    m->m_len = 20;
    n->m_len = 30;
    m->m_next = n;
    CHECK(m_fixhdr(m) == 50 && m->m_pkthdr.len == 50 && m_sanity(m));
    int off;
    struct mbuf* gap = m_makespace(m, 20, 8, &off);
    CHECK(gap != NULL && m->m_pkthdr.len == 58);
    memset(mtod(gap, char*) + off, 9, 8);
    uint8_t bytes[58];
    m_copydata(m, 0, 58, bytes);
    CHECK(bytes[19] == 1 && bytes[20] == 9 && bytes[27] == 9 && bytes[28] == 2);
    m = m_defrag(m, M_DONTWAIT);
    CHECK(m != NULL && m->m_next == NULL && m->m_len == 58);
    m_freem(m);
}

static void scattered(void) {
    char one[10] = "scattered", two[5] = " i/o", back[16] = "";
    struct iovec pieces[] = {{one, 9}, {two, 4}}, place = {back, sizeof back};
    struct uio in = {pieces, 2, 13}, out = {&place, 1, sizeof back};
    struct mbuf* m = m_uiotombuf(&in, M_NOWAIT, 0, 0, M_PKTHDR);
    CHECK(m != NULL && m->m_pkthdr.len == 13 && in.uio_resid == 0);
    CHECK(m_mbuftouio(&out, m, 0) == 0 && strcmp(back, "scattered i/o") == 0);
    m_freem(m);
}

static void send_and_receive(void) {
    struct mbuf_queue wire;
    mq_init(&wire, 8);
    struct mbuf* m = payload();
    m_set_rcvif(m, 4);
    remember(m, 0x600d);
    ip_output(udp_output(m), &wire);
    m = reassemble(&wire);
    CHECK(m_rcvif(m) == 4);
    flood(m);
    udp_input(m);
    mq_set_maxlen(&wire, 0);
    CHECK(mq_enqueue(&wire, m) == 1 && mq_drops(&wire) == 1);  // freed with its tags
}

int main(int argc, char** argv) {
    (void)argc;
    char no_huge[] = "--no-huge", m_option[] = "-m", megabytes[] = "256", no_pci[] = "--no-pci",
         no_telemetry[] = "--no-telemetry", no_shconf[] = "--no-shconf", log_level[] = "--log-level=error",
         prefix[64];
    snprintf(prefix, sizeof prefix, "--file-prefix=um_c_%d", (int)getpid());
    char* args[] = {argv[0],      no_huge,   m_option,  megabytes, no_pci,
                    no_telemetry, no_shconf, log_level, prefix, NULL};
    CHECK(rte_eal_init((int)(sizeof args / sizeof args[0]) - 1, args) >= 0);
    char why[256] = "";
    if (um_mbinit(0, why, sizeof why) != 0) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    send_and_receive();
    by_hand();
    scattered();
    CHECK(um_mbfini() == 0);  // every mbuf, cluster and tag came home
    rte_eal_cleanup();
    puts("bsd_example: all as it should be");
    return 0;
}
