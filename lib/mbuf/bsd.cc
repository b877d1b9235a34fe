// SPDX-License-Identifier: BSD-2-Clause
// bsd.cc - the C face: each function is the verb of its name.
#include <cstdio>

#include "lib/mbuf/mbuf_list.h"
#include "lib/mbuf/mbuf_queue.h"
#include "lib/mbuf/verbs.h"
#include "lib/mbuf/verify.h"
#include "lib/mbuf/window.h"

#include "lib/mbuf/bsd.h"  // last: it has macros

namespace {

// The C structs are ours, seen from C.
static_assert(sizeof(mbuf) == sizeof(umbuf::Mbuf) && offsetof(mbuf, um_private) == sizeof(rte_mbuf));
static_assert(offsetof(mbuf, um_buf) == offsetof(rte_mbuf, buf_addr));
static_assert(offsetof(mbuf, um_data_off) == offsetof(rte_mbuf, data_off));
static_assert(offsetof(mbuf, um_port) == offsetof(rte_mbuf, port));
static_assert(offsetof(mbuf, m_pkthdr) == offsetof(rte_mbuf, pkt_len));
static_assert(offsetof(mbuf, m_len) == offsetof(rte_mbuf, data_len));
static_assert(offsetof(mbuf, m_next) == offsetof(rte_mbuf, next));
static_assert(sizeof(m_tag) == sizeof(umbuf::MTag) && MTAG_MAXLEN == umbuf::kTagLen);
static_assert(offsetof(m_tag, m_tag_cookie) == offsetof(umbuf::MTag, m_tag_cookie));
static_assert(offsetof(m_tag, m_tag_id) == offsetof(umbuf::MTag, m_tag_id));
static_assert(offsetof(m_tag, m_tag_len) == offsetof(umbuf::MTag, m_tag_len));
static_assert(sizeof(mbuf_list) == sizeof(umbuf::MbufList));
static_assert(offsetof(mbuf_list, ml_len) == offsetof(umbuf::MbufList, ml_len));
static_assert(sizeof(mbuf_queue) == sizeof(umbuf::MbufQueue) && alignof(mbuf_queue) == alignof(umbuf::MbufQueue));
static_assert(sizeof(uio) == sizeof(umbuf::Uio) && offsetof(uio, uio_resid) == offsetof(umbuf::Uio, uio_resid));
static_assert(uint32_t{M_EXT} == umbuf::M_EXT && uint32_t{M_PKTHDR} == umbuf::M_PKTHDR);
static_assert(uint32_t{M_EOR} == umbuf::M_EOR && uint32_t{M_RDONLY} == umbuf::M_RDONLY);
static_assert(uint32_t{M_BCAST} == umbuf::M_BCAST && uint32_t{M_MCAST} == umbuf::M_MCAST);
static_assert(uint32_t{M_EXTPG} == umbuf::M_EXTPG && uint32_t{M_NOTREADY} == umbuf::M_NOTREADY);
static_assert(uint32_t{M_ZEROIZE} == umbuf::M_ZEROIZE && uint32_t{M_COPYALL} == umbuf::M_COPYALL);
static_assert(int{M_NOWAIT} == umbuf::M_NOWAIT && int{M_WAITOK} == umbuf::M_WAITOK);
static_assert(int{MT_DATA} == umbuf::MT_DATA && int{MT_CONTROL} == umbuf::MT_CONTROL);
static_assert(uint32_t{MLEN} == umbuf::kMLen && uint32_t{MCLBYTES} == umbuf::kMCLBytes);
static_assert(uint32_t{MAXMCLBYTES} == umbuf::kClusterSizes[umbuf::kClusterZones - 1]);

umbuf::Mbuf* in(mbuf* m) noexcept { return reinterpret_cast<umbuf::Mbuf*>(m); }
const umbuf::Mbuf* in(const mbuf* m) noexcept { return reinterpret_cast<const umbuf::Mbuf*>(m); }
umbuf::MTag* in(m_tag* t) noexcept { return reinterpret_cast<umbuf::MTag*>(t); }
const umbuf::MTag* in(const m_tag* t) noexcept { return reinterpret_cast<const umbuf::MTag*>(t); }
umbuf::MbufList* in(mbuf_list* l) noexcept { return reinterpret_cast<umbuf::MbufList*>(l); }
const umbuf::MbufList* in(const mbuf_list* l) noexcept { return reinterpret_cast<const umbuf::MbufList*>(l); }
umbuf::MbufQueue* in(mbuf_queue* q) noexcept { return reinterpret_cast<umbuf::MbufQueue*>(q); }
const umbuf::MbufQueue* in(const mbuf_queue* q) noexcept { return reinterpret_cast<const umbuf::MbufQueue*>(q); }
umbuf::Uio* in(uio* u) noexcept { return reinterpret_cast<umbuf::Uio*>(u); }
mbuf* out(umbuf::Mbuf* m) noexcept { return reinterpret_cast<mbuf*>(m); }
m_tag* out(umbuf::MTag* t) noexcept { return reinterpret_cast<m_tag*>(t); }
umbuf::MType type_of(int type) noexcept { return static_cast<umbuf::MType>(type); }

// A length or an offset.
uint32_t size_of(int n) noexcept {
    UM_ASSERT_MSG(n >= 0, "a length or an offset of %d bytes", n);
    return static_cast<uint32_t>(n);
}
uint32_t flags_of(int flags) noexcept { return static_cast<uint32_t>(flags); }

}  // namespace

extern "C" {

int um_mbinit(int socket, char* why, size_t why_size) {
    const umbuf::Status made = umbuf::mbinit({}, {socket});
    if (made) return 0;
    std::snprintf(why, why_size, "%s", made.error().text.c_str());
    return made.error().code;
}
int um_mbfini(void) { return static_cast<int>(umbuf::mbfini().size()); }

rte_mbuf* m_to_driver(mbuf* m) {
    umbuf::m_calchdrlen(in(m));
    umbuf::m_strip(in(m));
    return &in(m)->rte;
}
mbuf* m_from_driver(rte_mbuf* r) {
    umbuf::Mbuf* m = umbuf::Mbuf::of(r);
    umbuf::adopt_chain(m);
    return out(m);
}

uint32_t m_flags(const mbuf* m) { return in(m)->flags(); }
void m_set_flags(mbuf* m, uint32_t on) { in(m)->set_flags(on); }
void m_clear_flags(mbuf* m, uint32_t off) { in(m)->clear_flags(off); }
int m_type(const mbuf* m) { return in(m)->type(); }
mbuf* m_nextpkt(const mbuf* m) { return out(umbuf::m_nextpkt(in(m))); }
void m_set_nextpkt(mbuf* m, mbuf* next) { umbuf::m_set_nextpkt(in(m), in(next)); }
void* m_ext_buf(const mbuf* m) { return in(m)->rte.buf_addr; }
unsigned m_ext_size(const mbuf* m) { return in(m)->rte.buf_len; }

mbuf* m_get(int how, int type) { return out(umbuf::m_get(how, type_of(type))); }
mbuf* m_gethdr(int how, int type) { return out(umbuf::m_gethdr(how, type_of(type))); }
mbuf* m_getclr(int how, int type) { return out(umbuf::m_getclr(how, type_of(type))); }
mbuf* m_getcl(int how, int type, int flags) { return out(umbuf::m_getcl(how, type_of(type), flags_of(flags))); }
mbuf* m_getjcl(int how, int type, int flags, int size) {
    return out(umbuf::m_getjcl(how, type_of(type), flags_of(flags), size_of(size)));
}
mbuf* m_get2(int size, int how, int type, int flags) {
    return out(umbuf::m_get2(size_of(size), how, type_of(type), flags_of(flags)));
}
mbuf* m_getm2(mbuf* m, int len, int how, int type, int flags) {
    return out(umbuf::m_getm2(in(m), size_of(len), how, type_of(type), flags_of(flags)));
}
int m_clget(mbuf* m, int how, int size) { return umbuf::m_clget(in(m), how, size_of(size)); }
void* m_cljget(mbuf* m, int how, int size) { return umbuf::m_cljget(in(m), how, size_of(size)); }
int m_extadd(mbuf* m, void* buf, unsigned size, void (*free)(void*, uint32_t, void*), void* arg, int flags) {
    return umbuf::m_extadd(in(m), buf, size, free, arg, flags_of(flags));
}
mbuf* m_free(mbuf* m) { return out(umbuf::m_free(in(m))); }
void m_freem(mbuf* m) { umbuf::m_freem(in(m)); }
void m_freemp(mbuf** mp) {
    mbuf* m = *mp;
    *mp = nullptr;
    umbuf::m_freem(in(m));
}
void m_purge(mbuf* m) { umbuf::m_purge(in(m)); }
void m_zero(mbuf* m) { umbuf::m_zero(in(m)); }

int m_dup_pkthdr(mbuf* to, const mbuf* from, int how) { return umbuf::m_dup_pkthdr(in(to), in(from), how); }
void m_move_pkthdr(mbuf* to, mbuf* from) { umbuf::m_move_pkthdr(in(to), in(from)); }
void m_copy_pkthdr(mbuf* to, const mbuf* from) { umbuf::m_copy_pkthdr(in(to), in(from)); }
void m_inithdr(mbuf* m) { umbuf::m_inithdr(in(m)); }
void m_resethdr(mbuf* m) { umbuf::m_resethdr(in(m)); }
void m_removehdr(mbuf* m) { umbuf::m_removehdr(in(m)); }
void m_calchdrlen(mbuf* m) { umbuf::m_calchdrlen(in(m)); }
unsigned m_fixhdr(mbuf* m) { return umbuf::m_fixhdr(in(m)); }
void m_demote(mbuf* m, int all, int keep) { umbuf::m_demote(in(m), all != 0, flags_of(keep)); }
void m_chtype(mbuf* m, int type) { umbuf::m_chtype(in(m), type_of(type)); }

mbuf* m_copym(mbuf* m, int off, int len, int how) {
    return out(umbuf::m_copym(in(m), size_of(off), size_of(len), how));
}
mbuf* m_copypacket(mbuf* m, int how) { return out(umbuf::m_copypacket(in(m), how)); }
int m_copydata(const mbuf* m, int off, int len, void* to) {
    return umbuf::m_copydata(in(m), size_of(off), size_of(len), to);
}
int m_copyback(mbuf* m, int off, int len, const void* from, int how) {
    return umbuf::m_copyback(in(m), size_of(off), size_of(len), from, how);
}
mbuf* m_copyback_cow(mbuf* m, int off, int len, const void* from, int how) {
    return out(umbuf::m_copyback_cow(in(m), size_of(off), size_of(len), from, how));
}
int m_makewritable(mbuf** mp, int off, int len, int how) {
    umbuf::Mbuf* m = in(*mp);
    const int error = umbuf::m_makewritable(&m, size_of(off), size_of(len), how);
    *mp = out(m);
    return error;
}
mbuf* m_dup(const mbuf* m, int how) { return out(umbuf::m_dup(in(m), how)); }
mbuf* m_dup_data(const mbuf* m, int how) { return out(umbuf::m_dup_data(in(m), how)); }
mbuf* m_dup_pkt(const mbuf* m, unsigned adj, int how) { return out(umbuf::m_dup_pkt(in(m), adj, how)); }
mbuf* m_unshare(mbuf* m, int how) { return out(umbuf::m_unshare(in(m), how)); }

mbuf* m_prepend(mbuf* m, int len, int how) { return out(umbuf::m_prepend(in(m), size_of(len), how)); }
void m_adj(mbuf* m, int n) { umbuf::m_adj(in(m), n); }
void m_cat(mbuf* m, mbuf* n) { umbuf::m_cat(in(m), in(n)); }
void m_catpkt(mbuf* m, mbuf* n) { umbuf::m_catpkt(in(m), in(n)); }
mbuf* m_add(mbuf* m, mbuf* n) { return out(umbuf::m_add(in(m), in(n))); }
int m_append(mbuf* m, int len, const void* from) { return umbuf::m_append(in(m), size_of(len), from); }
mbuf* m_split(mbuf* m, int len0, int how) { return out(umbuf::m_split(in(m), size_of(len0), how)); }
mbuf* m_pullup(mbuf* m, int len) { return out(umbuf::m_pullup(in(m), size_of(len))); }
bool m_ensure_contig(mbuf** mp, int len) {
    umbuf::Mbuf* m = in(*mp);
    const bool done = umbuf::m_ensure_contig(&m, size_of(len));
    *mp = out(m);
    return done;
}
mbuf* m_copyup(mbuf* m, int len, int dstoff) {
    return out(umbuf::m_copyup(in(m), size_of(len), size_of(dstoff)));
}
mbuf* m_pulldown(mbuf* m, int off, int len, int* offp) {
    uint32_t at = 0;
    umbuf::Mbuf* n = umbuf::m_pulldown(in(m), size_of(off), size_of(len), offp == nullptr ? nullptr : &at);
    if (offp != nullptr) *offp = static_cast<int>(at);
    return out(n);
}
mbuf* m_makespace(mbuf* m, int skip, int hlen, int* off) {
    uint32_t at = 0;
    umbuf::Mbuf* n = umbuf::m_makespace(in(m), size_of(skip), size_of(hlen), &at);
    *off = static_cast<int>(at);
    return out(n);
}
mbuf* m_defrag(mbuf* m, int how) { return out(umbuf::m_defrag(in(m), how)); }
mbuf* m_collapse(mbuf* m, int how, int most) { return out(umbuf::m_collapse(in(m), how, size_of(most))); }
mbuf* m_fragment(mbuf* m, int how, int length) { return out(umbuf::m_fragment(in(m), how, size_of(length))); }
mbuf* m_devget(const void* buf, int len, int off) {
    return out(umbuf::m_devget(buf, size_of(len), size_of(off)));
}
mbuf* m_uiotombuf(uio* u, int how, int len, int align, int flags) {
    return out(umbuf::m_uiotombuf(in(u), how, size_of(len), size_of(align), flags_of(flags)));
}
int m_mbuftouio(uio* u, const mbuf* m, int len) { return umbuf::m_mbuftouio(in(u), in(m), size_of(len)); }

unsigned m_length(const mbuf* m, mbuf** last) {
    const umbuf::Mbuf* end = nullptr;
    const uint32_t length = umbuf::m_length(in(m), &end);
    if (last != nullptr) *last = out(const_cast<umbuf::Mbuf*>(end));
    return length;
}
mbuf* m_last(mbuf* m) { return out(umbuf::m_last(in(m))); }
mbuf* m_getptr(mbuf* m, int loc, int* off) {
    uint32_t at = 0;
    umbuf::Mbuf* n = umbuf::m_getptr(in(m), size_of(loc), &at);
    *off = static_cast<int>(at);
    return out(n);
}
int m_apply(mbuf* m, int off, int len, int (*f)(void*, void*, unsigned), void* arg) {
    return umbuf::m_apply(in(m), size_of(off), size_of(len), f, arg);
}
void m_align(mbuf* m, int len) { umbuf::m_align(in(m), size_of(len)); }
int m_leadingspace(const mbuf* m) { return static_cast<int>(umbuf::m_leadingspace(in(m))); }
int m_trailingspace(const mbuf* m) { return static_cast<int>(umbuf::m_trailingspace(in(m))); }
bool m_writable(const mbuf* m) { return umbuf::m_writable(in(m)); }
bool m_unmapped(const mbuf* m) { return umbuf::m_unmapped(in(m)); }
int m_readable(const mbuf* m) { return umbuf::m_readable(in(m)); }
bool m_changeable(const mbuf* m) { return umbuf::m_changeable(in(m)); }
int m_sanity(mbuf* m) { return umbuf::m_sanity(in(m)) ? 0 : 1; }

m_tag* m_tag_alloc(uint32_t cookie, int id, int len, int how) {
    return out(umbuf::m_tag_alloc(cookie, static_cast<uint16_t>(id), size_of(len), how));
}
m_tag* m_tag_get(int id, int len, int how) {
    return out(umbuf::m_tag_get(static_cast<uint16_t>(id), size_of(len), how));
}
void m_tag_free(m_tag* t) { umbuf::m_tag_free(in(t)); }
void m_tag_prepend(mbuf* m, m_tag* t) { umbuf::m_tag_prepend(in(m), in(t)); }
void m_tag_unlink(mbuf* m, m_tag* t) { umbuf::m_tag_unlink(in(m), in(t)); }
void m_tag_delete(mbuf* m, m_tag* t) { umbuf::m_tag_delete(in(m), in(t)); }
void m_tag_delete_chain(mbuf* m, m_tag* t) { umbuf::m_tag_delete_chain(in(m), in(t)); }
m_tag* m_tag_locate(const mbuf* m, uint32_t cookie, int id, const m_tag* t) {
    return out(umbuf::m_tag_locate(in(m), cookie, static_cast<uint16_t>(id), in(t)));
}
m_tag* m_tag_find(const mbuf* m, int id, const m_tag* t) {
    return out(umbuf::m_tag_find(in(m), static_cast<uint16_t>(id), in(t)));
}
m_tag* m_tag_copy(const m_tag* t, int how) { return out(umbuf::m_tag_copy(in(t), how)); }
int m_tag_copy_chain(mbuf* to, const mbuf* from, int how) { return umbuf::m_tag_copy_chain(in(to), in(from), how); }
m_tag* m_tag_first(const mbuf* m) { return out(umbuf::m_tag_first(in(m))); }
m_tag* m_tag_next(const mbuf* m, const m_tag* t) { return out(umbuf::m_tag_next(in(m), in(t))); }
void m_strip(mbuf* m) { umbuf::m_strip(in(m)); }

void ml_init(mbuf_list* ml) { umbuf::ml_init(in(ml)); }
void ml_enqueue(mbuf_list* ml, mbuf* m) { umbuf::ml_enqueue(in(ml), in(m)); }
mbuf* ml_dequeue(mbuf_list* ml) { return out(umbuf::ml_dequeue(in(ml))); }
void ml_enlist(mbuf_list* to, mbuf_list* from) { umbuf::ml_enlist(in(to), in(from)); }
mbuf* ml_dechain(mbuf_list* ml) { return out(umbuf::ml_dechain(in(ml))); }
unsigned ml_purge(mbuf_list* ml) { return umbuf::ml_purge(in(ml)); }
unsigned ml_hdatalen(const mbuf_list* ml) { return umbuf::ml_hdatalen(in(ml)); }

void mq_init(mbuf_queue* mq, unsigned maxlen) { umbuf::mq_init(new (mq) umbuf::MbufQueue, maxlen); }
int mq_enqueue(mbuf_queue* mq, mbuf* m) { return umbuf::mq_enqueue(in(mq), in(m)); }
int mq_push(mbuf_queue* mq, mbuf* m) { return umbuf::mq_push(in(mq), in(m)); }
mbuf* mq_dequeue(mbuf_queue* mq) { return out(umbuf::mq_dequeue(in(mq))); }
unsigned mq_enlist(mbuf_queue* mq, mbuf_list* ml) { return umbuf::mq_enlist(in(mq), in(ml)); }
void mq_delist(mbuf_queue* mq, mbuf_list* ml) { umbuf::mq_delist(in(mq), in(ml)); }
mbuf* mq_dechain(mbuf_queue* mq) { return out(umbuf::mq_dechain(in(mq))); }
unsigned mq_purge(mbuf_queue* mq) { return umbuf::mq_purge(in(mq)); }
unsigned mq_hdatalen(mbuf_queue* mq) { return umbuf::mq_hdatalen(in(mq)); }
void mq_set_maxlen(mbuf_queue* mq, unsigned maxlen) { umbuf::mq_set_maxlen(in(mq), maxlen); }
unsigned mq_len(const mbuf_queue* mq) { return umbuf::mq_len(in(mq)); }
int mq_full(const mbuf_queue* mq) { return umbuf::mq_full(in(mq)) ? 1 : 0; }
uint64_t mq_drops(const mbuf_queue* mq) { return umbuf::mq_drops(in(mq)); }

}  // extern "C"
