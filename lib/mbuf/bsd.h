// SPDX-License-Identifier: BSD-2-Clause
// bsd.h - the C face: struct mbuf and its verbs, by the names that BSD network code uses. C11 and C++.
//
// A struct mbuf is an Mbuf (mbuf.h) is an rte_mbuf; nothing is converted. Each function does what the
// verb of the same name in namespace umbuf does (verbs.h and what it names; docs/verbs.md is the
// table): who owns what afterwards, and what is returned on failure, is said there and not repeated.
//
// What differs from a BSD kernel's struct mbuf, because the layout is DPDK's:
//   m_next, m_len, m_pkthdr.len   are fields, as you know them. m_len has 16 bits.
//   m_data                        is base plus offset: m_data(m), mtod(m, t), m_data_add(m, n).
//   m_flags, m_type, m_nextpkt    of a received packet are not written yet: m_flags(m), m_set_flags(),
//                                 m_clear_flags(), m_type(m), m_nextpkt(m), m_set_nextpkt().
//   m_ext                         m_ext_buf(m), m_ext_size(m), when m_flags(m) & M_EXT.
//   rcvif                         the port's number: m_rcvif(m), m_set_rcvif().
// DPDK counts the mbufs of a packet in its first one, BSD does not. Verbs keep that count; code that
// links m_next or sets m_len by hand calls m_fixhdr(m) when it is done, or lets m_to_driver() do it.
// M_WAITOK does not wait. Where the BSDs differ in an answer, docs/verbs.md says whose it is.
//
// Lengths and offsets are bytes, and never negative but in m_adj. In a C++ file that uses lib/mbuf's
// own headers as well, include those first: mtod is a macro here and a template there.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rte_mbuf;

// Fields named um_* are DPDK's, or this library's own.
struct mbuf {
    void* um_buf;
    uint64_t um_iova;
    uint16_t um_data_off;
    uint16_t um_refcnt;
    uint16_t um_nb_segs;
    uint16_t um_port;
    uint64_t um_ol_flags;
    uint32_t um_packet_type;
    struct {
        int32_t len;  // of the packet, in its first mbuf
    } m_pkthdr;
    uint16_t m_len;
    uint16_t um_vlan;
    uint8_t um_line0[20];
    struct mbuf* m_next;
    uint8_t um_line1[56];
    uint8_t um_private[64];
};

struct m_tag {
    struct m_tag* m_tag_link;
    uint32_t m_tag_cookie;
    uint16_t m_tag_id;
    uint16_t m_tag_len;
};

enum {
    M_EXT = 0x00000001,
    M_PKTHDR = 0x00000002,
    M_EOR = 0x00000004,
    M_RDONLY = 0x00000008,
    M_BCAST = 0x00000010,
    M_MCAST = 0x00000020,
    M_EXTPG = 0x00000100,
    M_NOTREADY = 0x00000200,
    M_ZEROIZE = 0x00000400,
};
enum { M_NOWAIT = 1, M_DONTWAIT = 1, M_WAITOK = 2, M_WAIT = 2 };
enum { MT_DATA = 1, MT_HEADER = 1, MT_CONTROL = 14 };
enum { MLEN = 256, MHLEN = 256, MINCLSIZE = 257, MCLBYTES = 2048, MAXMCLBYTES = 16384 };
enum { M_COPYALL = 1000000000 };
enum { MTAG_ABI_COMPAT = 0, MTAG_MAXLEN = 112 };

// ---- zones: once per process, after rte_eal_init(), on the control thread ----------------------------
// um_mbinit - zones of the usual size on one NUMA node. 0, or an errno and the reason in `why`.
int um_mbinit(int socket, char* why, size_t why_size);
// um_mbfini - give the zones back. 0, or how many of them still have elements in use: nothing is freed
// then.
int um_mbfini(void);

// ---- the door to drivers -----------------------------------------------------------------------------
// m_to_driver - m, ready to be transmitted: totals counted, tags freed, no link to another packet.
struct rte_mbuf* m_to_driver(struct mbuf* m);
// m_from_driver - a received packet as an mbuf chain.
struct mbuf* m_from_driver(struct rte_mbuf* r);

// ---- fields that are not fields ------------------------------------------------------------------------
static inline char* m_data(const struct mbuf* m) { return (char*)m->um_buf + m->um_data_off; }
#define mtod(m, t) ((t)(void*)m_data(m))
// m_data_add - move the data pointer, as m->m_data += n would; m_len stays.
static inline void m_data_add(struct mbuf* m, int n) {
    m->um_data_off = (uint16_t)(m->um_data_off + n);
}
uint32_t m_flags(const struct mbuf* m);
void m_set_flags(struct mbuf* m, uint32_t on);
void m_clear_flags(struct mbuf* m, uint32_t off);
int m_type(const struct mbuf* m);
struct mbuf* m_nextpkt(const struct mbuf* m);
void m_set_nextpkt(struct mbuf* m, struct mbuf* next);
void* m_ext_buf(const struct mbuf* m);
unsigned m_ext_size(const struct mbuf* m);
static inline int m_rcvif(const struct mbuf* m) { return m->um_port; }
static inline void m_set_rcvif(struct mbuf* m, int port) { m->um_port = (uint16_t)port; }

// ---- make and free
struct mbuf* m_get(int how, int type);
struct mbuf* m_gethdr(int how, int type);
struct mbuf* m_getclr(int how, int type);
struct mbuf* m_getcl(int how, int type, int flags);
struct mbuf* m_getjcl(int how, int type, int flags, int size);
struct mbuf* m_get2(int size, int how, int type, int flags);
struct mbuf* m_getm2(struct mbuf* m, int len, int how, int type, int flags);
int m_clget(struct mbuf* m, int how, int size);
void* m_cljget(struct mbuf* m, int how, int size);
int m_extadd(struct mbuf* m, void* buf, unsigned size, void (*free)(void* buf, uint32_t size, void* arg),
             void* arg, int flags);
struct mbuf* m_free(struct mbuf* m);
void m_freem(struct mbuf* m);
void m_freemp(struct mbuf** mp);
void m_purge(struct mbuf* m);
void m_zero(struct mbuf* m);

// ---- header
int m_dup_pkthdr(struct mbuf* to, const struct mbuf* from, int how);
void m_move_pkthdr(struct mbuf* to, struct mbuf* from);
void m_copy_pkthdr(struct mbuf* to, const struct mbuf* from);
void m_inithdr(struct mbuf* m);
void m_resethdr(struct mbuf* m);
void m_removehdr(struct mbuf* m);
void m_calchdrlen(struct mbuf* m);
unsigned m_fixhdr(struct mbuf* m);
void m_demote(struct mbuf* m, int all, int keep);
void m_chtype(struct mbuf* m, int type);

// ---- copy
struct mbuf* m_copym(struct mbuf* m, int off, int len, int how);
struct mbuf* m_copypacket(struct mbuf* m, int how);
int m_copydata(const struct mbuf* m, int off, int len, void* to);
int m_copyback(struct mbuf* m, int off, int len, const void* from, int how);
struct mbuf* m_copyback_cow(struct mbuf* m, int off, int len, const void* from, int how);
int m_makewritable(struct mbuf** mp, int off, int len, int how);
struct mbuf* m_dup(const struct mbuf* m, int how);
struct mbuf* m_dup_data(const struct mbuf* m, int how);
struct mbuf* m_dup_pkt(const struct mbuf* m, unsigned adj, int how);
struct mbuf* m_unshare(struct mbuf* m, int how);

// ---- grow, shrink, rearrange
struct mbuf* m_prepend(struct mbuf* m, int len, int how);
void m_adj(struct mbuf* m, int n);
void m_cat(struct mbuf* m, struct mbuf* n);
void m_catpkt(struct mbuf* m, struct mbuf* n);
struct mbuf* m_add(struct mbuf* m, struct mbuf* n);
int m_append(struct mbuf* m, int len, const void* from);
struct mbuf* m_split(struct mbuf* m, int len0, int how);
struct mbuf* m_pullup(struct mbuf* m, int len);
bool m_ensure_contig(struct mbuf** mp, int len);
struct mbuf* m_copyup(struct mbuf* m, int len, int dstoff);
struct mbuf* m_pulldown(struct mbuf* m, int off, int len, int* offp);
struct mbuf* m_makespace(struct mbuf* m, int skip, int hlen, int* off);
struct mbuf* m_defrag(struct mbuf* m, int how);
struct mbuf* m_collapse(struct mbuf* m, int how, int most);
struct mbuf* m_fragment(struct mbuf* m, int how, int length);
struct mbuf* m_devget(const void* buf, int len, int off);

// uio - scattered memory, consumed from its front.
struct uio {
    struct iovec* uio_iov;
    int uio_iovcnt;
    size_t uio_resid;
};
struct mbuf* m_uiotombuf(struct uio* uio, int how, int len, int align, int flags);
int m_mbuftouio(struct uio* uio, const struct mbuf* m, int len);

// ---- look
unsigned m_length(const struct mbuf* m, struct mbuf** last);
struct mbuf* m_last(struct mbuf* m);
struct mbuf* m_getptr(struct mbuf* m, int loc, int* off);
int m_apply(struct mbuf* m, int off, int len, int (*f)(void* arg, void* data, unsigned len), void* arg);
void m_align(struct mbuf* m, int len);
int m_leadingspace(const struct mbuf* m);
int m_trailingspace(const struct mbuf* m);
bool m_writable(const struct mbuf* m);
// m_unmapped - mtod() of m faults. m_readable - 0, or the errno that a verb would refuse its bytes with.
bool m_unmapped(const struct mbuf* m);
int m_readable(const struct mbuf* m);
bool m_changeable(const struct mbuf* m);
// m_sanity - 1; 0: the chain is broken. FreeBSD's answer.
int m_sanity(struct mbuf* m);

// ---- tags; their bytes begin behind the struct
struct m_tag* m_tag_alloc(uint32_t cookie, int id, int len, int how);
struct m_tag* m_tag_get(int id, int len, int how);
void m_tag_free(struct m_tag* t);
void m_tag_prepend(struct mbuf* m, struct m_tag* t);
void m_tag_unlink(struct mbuf* m, struct m_tag* t);
void m_tag_delete(struct mbuf* m, struct m_tag* t);
void m_tag_delete_chain(struct mbuf* m, struct m_tag* t);
struct m_tag* m_tag_locate(const struct mbuf* m, uint32_t cookie, int id, const struct m_tag* t);
struct m_tag* m_tag_find(const struct mbuf* m, int id, const struct m_tag* t);
struct m_tag* m_tag_copy(const struct m_tag* t, int how);
int m_tag_copy_chain(struct mbuf* to, const struct mbuf* from, int how);
struct m_tag* m_tag_first(const struct mbuf* m);
struct m_tag* m_tag_next(const struct mbuf* m, const struct m_tag* t);
void m_strip(struct mbuf* m);

// ---- lists and queues of packets
struct mbuf_list {
    struct mbuf* ml_head;
    struct mbuf* ml_tail;
    uint32_t ml_len;
};
void ml_init(struct mbuf_list* ml);
void ml_enqueue(struct mbuf_list* ml, struct mbuf* m);
struct mbuf* ml_dequeue(struct mbuf_list* ml);
void ml_enlist(struct mbuf_list* to, struct mbuf_list* from);
struct mbuf* ml_dechain(struct mbuf_list* ml);
unsigned ml_purge(struct mbuf_list* ml);
unsigned ml_hdatalen(const struct mbuf_list* ml);
static inline unsigned ml_len(const struct mbuf_list* ml) { return ml->ml_len; }
static inline int ml_empty(const struct mbuf_list* ml) { return ml->ml_len == 0; }

struct mbuf_queue {
    uint64_t um_queue[7];
};
void mq_init(struct mbuf_queue* mq, unsigned maxlen);
int mq_enqueue(struct mbuf_queue* mq, struct mbuf* m);
int mq_push(struct mbuf_queue* mq, struct mbuf* m);
struct mbuf* mq_dequeue(struct mbuf_queue* mq);
unsigned mq_enlist(struct mbuf_queue* mq, struct mbuf_list* ml);
void mq_delist(struct mbuf_queue* mq, struct mbuf_list* ml);
struct mbuf* mq_dechain(struct mbuf_queue* mq);
unsigned mq_purge(struct mbuf_queue* mq);
unsigned mq_hdatalen(struct mbuf_queue* mq);
void mq_set_maxlen(struct mbuf_queue* mq, unsigned maxlen);
unsigned mq_len(const struct mbuf_queue* mq);
int mq_full(const struct mbuf_queue* mq);
uint64_t mq_drops(const struct mbuf_queue* mq);
static inline int mq_empty(const struct mbuf_queue* mq) { return mq_len(mq) == 0; }

#ifdef __cplusplus
}
#endif

// ---- the macros that BSD code says instead
#define MGET(m, how, type) ((m) = m_get(how, type))
#define MGETHDR(m, how, type) ((m) = m_gethdr(how, type))
#define MCLGET(m, how) ((void)m_clget(m, how, MCLBYTES))  // look at m_flags(m) & M_EXT afterwards
#define MCHTYPE(m, type) m_chtype(m, type)
#define M_PREPEND(m, len, how) ((m) = m_prepend(m, len, how))
#define M_MOVE_PKTHDR(to, from) m_move_pkthdr(to, from)
#define M_LEADINGSPACE(m) m_leadingspace(m)
#define M_TRAILINGSPACE(m) m_trailingspace(m)
#define M_WRITABLE(m) m_writable(m)
#define M_READONLY(m) (!m_writable(m))
#define M_ALIGN(m, len) m_align(m, len)
#define MH_ALIGN(m, len) m_align(m, len)
