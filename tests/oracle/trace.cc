// SPDX-License-Identifier: BSD-2-Clause
// trace.cc - the interpreter of traces.
#include "tests/oracle/trace.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <vector>

#include "lib/mbuf/verbs.h"
#include "lib/mbuf/verify.h"
#include "tests/oracle/oracle.h"
#include "tests/oracle/receive_zone.h"

namespace umbuf::test {
namespace {

using oracle::Bytes;
using oracle::Chain;
using oracle::Kind;
using oracle::Model;
using oracle::Storage;
using oracle::View;

constexpr size_t kPackets = 10;    // chains alive at once
constexpr size_t kLongest = 24;    // mbufs in one
constexpr size_t kLogLines = 40;

struct Pair {
    Mbuf* m;
    Chain model;
};

// Foreign storage, and what its free was told.
struct Buffer {
    std::unique_ptr<std::byte[]> bytes;
    uint32_t size;
    std::vector<Buffer*>* freed_now;
    uint32_t frees = 0;
    bool right = true;
    Bytes at_end;

    static void free(void* buf, uint32_t size, void* arg) {
        Buffer* self = static_cast<Buffer*>(arg);
        self->right = buf == self->bytes.get() && size == self->size;
        if (self->frees++ > 0) return;
        self->at_end.assign(self->bytes.get(), self->bytes.get() + self->size);
        self->freed_now->push_back(self);
    }
};

class Input {
  public:
    explicit Input(std::span<const uint8_t> bytes) : bytes_(bytes) {}
    [[nodiscard]] bool empty() const { return next_ >= bytes_.size(); }
    uint32_t byte() { return empty() ? 0U : bytes_[next_++]; }
    // below - 0 .. n - 1.
    uint32_t below(uint32_t n) {
        const uint32_t v = n > 256 ? byte() << 8 | byte() : byte();
        return n == 0 ? 0 : v % n;
    }
    bool one_in(uint32_t n) { return below(n) == n - 1; }

  private:
    std::span<const uint8_t> bytes_;
    size_t next_ = 0;
};

class Trace {
  public:
    Trace(std::span<const uint8_t> bytes, const TraceOptions& options)
        : in_(bytes), options_(options), leader_(std::string(refs_in_use().name) == "leader"), model_(leader_) {
        data_room_ = receive_zone()->size;
        for (const Zone* zone : zones()) base_level_.push_back(zone->in_use());
    }

    TraceResult run() {
        while (!in_.empty() && result_.steps < options_.steps && !result_.fault) {
            ++result_.steps;
            step();
            settle();
        }
        while (!pairs_.empty() && !result_.fault) {
            let_go(pairs_.size() - 1, 0);
            settle();
        }
        model_.take_ended();
        result_.text = "";
        for (const std::string& line : lines_) result_.text += line + "\n";
        if (result_.fault) result_.fault = "step " + std::to_string(result_.steps) + ": " + *result_.fault + "\n" + result_.text;
        return std::move(result_);
    }

  private:
    // ---- saying
    void note(const std::string& what) {
        line_ += (line_.empty() ? "" : " ") + what;
    }
    void note(const char* what, uint64_t n) { note(std::string(what) + "=" + std::to_string(n)); }
    void wrong(const std::string& what) {
        if (!result_.fault) result_.fault = what + "  [" + line_ + "]";
    }
    template <class T>
    bool agree(const char* what, const T& real, const T& model) {
        if (real == model) return true;
        wrong(std::string(what) + ": the mbufs say " + std::to_string(real) + ", the oracle " + std::to_string(model));
        return false;
    }
    bool agree(const char* what, bool real, bool model) {
        return agree(what, static_cast<int>(real), static_cast<int>(model));
    }

    // ---- choosing
    Bytes content(uint32_t n) {
        Bytes bytes(n);
        ++salt_;
        for (uint32_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i * 131 + salt_ * 29 + (i >> 8) + 1);
        return bytes;
    }
    uint32_t size() {  // most are small, some are of the largest cluster
        static constexpr uint32_t kMost[] = {16, 64, 256, 257, 600, 2048, 2049, 5000, 9216, 16384};
        return in_.below(kMost[in_.below(10)]) + 1;
    }
    size_t any() { return in_.below(static_cast<uint32_t>(pairs_.size())); }
    static Mbuf* nth(Mbuf* m, size_t i) {
        while (i-- > 0) m = m->next();
        return m;
    }

    // arm - perhaps an allocation of the next verb fails. The oracle goes first: it knows how many
    // proxies the real verb takes before that, each one allocation more.
    void arm() {
        const uint32_t k = in_.one_in(6) ? 1 + in_.below(5) : 0;
        fail_ = k;
        at_proxy_ = k != 0 && in_.one_in(2);
        for (Pair& pair : pairs_) tell_proxies(pair);
        model_.fail(k);
    }
    void arm_real() {
        if (fail_ == 0) return;
        const bool at_proxy = at_proxy_ && model_.failed_at_proxy();
        alloc_faults_arm(fail_ + model_.proxies_before() + (at_proxy ? 1 : 0));
    }
    void disarm() {
        alloc_faults_arm(0);
        if (model_.failed()) ++result_.failures;
        model_.fail(0);
    }
    static void tell_proxies(Pair& pair) {
        const bool takes = refs_in_use().takes_proxies;
        Mbuf* m = pair.m;
        for (View& view : pair.model.views) {
            uint64_t bits = 0;
            std::memcpy(&bits, m->view, sizeof bits);
            view.takes_proxy = takes && view.external() && view.storage->kind != Kind::packet && bits == 0;
            m = m->next();
        }
    }

    void add(Mbuf* m, std::optional<Chain> model) {
        if (!agree("made", m != nullptr, model.has_value()) || m == nullptr) return;
        note("len", model->length());
        pairs_.push_back({m, std::move(*model)});
    }
    void remove(size_t i) { pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(i)); }

    // ---- the verbs
    void step() {
        line_ = std::to_string(result_.steps);
        const uint32_t op = in_.below(26);
        if (pairs_.empty() || (op < 8 && pairs_.size() < kPackets)) return make(op % 8);
        const size_t i = any();
        if (pairs_.size() >= kPackets && op < 12) return let_go(i, in_.below(6));
        if (pairs_[i].model.views.size() >= kLongest) return let_go(i, in_.below(6));
        switch (op) {
        case 8: case 9: case 10: return copym(i);
        case 11: case 12: return split(i);
        case 13: return adj(i);
        case 14: return prepend(i);
        case 15: return pullup(i);
        case 16: case 17: return cat(i);
        case 18: return copyback(i);
        case 19: return write(i);
        case 20: return clone(i);
        case 21: return extfree(i);
        case 22: return zero(i);
        case 23: return ask_all();
        default: return let_go(i, in_.below(6));
        }
    }

    void make(uint32_t what) {
        switch (what) {
        case 0: case 1: return make_own(in_.below(oracle::kRoom + 1), 0);
        case 2: case 3: case 4: {
            const uint32_t n = size();
            return make_own(n, std::max(n, oracle::kRoom + 1));
        }
        case 5: return make_foreign();
        default: return make_received();
        }
    }
    void make_own(uint32_t n, uint32_t room) {
        note(room == 0 ? "inline" : "cluster");
        const Bytes bytes = content(n);
        arm();
        std::optional<Chain> model = model_.get(room == 0 ? oracle::kRoom : room, bytes);
        arm_real();
        Mbuf* m = room == 0 ? m_gethdr(M_NOWAIT, MT_DATA) : m_getjcl(M_NOWAIT, MT_DATA, M_PKTHDR, room);
        disarm();
        if (m != nullptr) fill(m, bytes);
        add(m, std::move(model));
    }
    static void fill(Mbuf* m, const Bytes& bytes) {
        std::memcpy(m->data(), bytes.data(), bytes.size());
        m->set_len(static_cast<uint32_t>(bytes.size()));
        m->rte.pkt_len = m->len();
    }
    void make_foreign() {
        note("foreign");
        const Bytes bytes = content(in_.one_in(8) ? 20000 : size());
        const bool read_only = in_.one_in(3);
        const uint32_t len = 1 + in_.below(static_cast<uint32_t>(bytes.size()));
        arm();
        std::optional<Chain> model = model_.get_foreign(bytes, read_only, len);
        arm_real();
        Mbuf* m = m_gethdr(M_NOWAIT, MT_DATA);
        if (m != nullptr && add_foreign(m, bytes, read_only) != 0) {
            m_free(m);
            m = nullptr;
        }
        disarm();
        if (m != nullptr) {
            m->set_len(len);
            m->rte.pkt_len = len;
        }
        add(m, std::move(model));
    }
    int add_foreign(Mbuf* m, const Bytes& bytes, bool read_only) {
        auto buffer = std::make_unique<Buffer>();
        buffer->size = static_cast<uint32_t>(bytes.size());
        buffer->bytes = std::make_unique<std::byte[]>(bytes.size());
        buffer->freed_now = &freed_now_;
        std::memcpy(buffer->bytes.get(), bytes.data(), bytes.size());
        const int error = m_extadd(m, buffer->bytes.get(), buffer->size, Buffer::free, buffer.get(),
                                   read_only ? uint32_t{M_RDONLY} : 0U);
        if (error == 0) buffers_.emplace(buffer->bytes.get(), std::move(buffer));
        return error;
    }
    void make_received() {
        note("received");
        std::vector<Bytes> segments;
        for (uint32_t n = in_.one_in(4) ? 1 + in_.below(3) : 1; n > 0; --n)
            segments.push_back(content(std::min(size(), data_room_)));
        Mbuf* first = nullptr;
        Mbuf* last = nullptr;
        for (const Bytes& bytes : segments) {
            Mbuf* m = Mbuf::of(rte_pktmbuf_alloc(receive_zone()->pool));
            fill(m, bytes);
            (first == nullptr ? first = m : (last->set_next(m), m));
            last = m;
        }
        Chain model = model_.receive(segments, data_room_);
        first->rte.nb_segs = static_cast<uint16_t>(segments.size());
        first->rte.pkt_len = model.length();
        if (segments.size() > 1) adopt_chain(first);
        add(first, std::move(model));
    }

    void copym(size_t i) {
        const uint32_t total = pairs_[i].model.length();
        const bool all = in_.one_in(2);
        const uint32_t off = all ? 0 : in_.below(total + 1);
        const uint32_t len = all ? M_COPYALL : in_.below(total - off + 1);
        const bool packet = all && pairs_[i].model.packet();
        note(packet ? "copypacket" : "copym");
        arm();
        std::optional<Chain> model = model_.copym(pairs_[i].model, off, len);
        arm_real();
        Mbuf* m = packet ? m_copypacket(pairs_[i].m, M_NOWAIT) : m_copym(pairs_[i].m, off, len, M_NOWAIT);
        disarm();
        add(m, std::move(model));
    }
    void split(size_t i) {
        note("split");
        const uint32_t at = in_.below(pairs_[i].model.length() + 2);
        arm();
        std::optional<Chain> model = model_.split(pairs_[i].model, at);
        arm_real();
        Mbuf* rest = m_split(pairs_[i].m, at, M_NOWAIT);
        disarm();
        add(rest, std::move(model));
    }
    void adj(size_t i) {
        note("adj");
        const int32_t n = static_cast<int32_t>(in_.below(pairs_[i].model.length() + 2));
        const int32_t signed_n = in_.one_in(2) ? -n : n;
        Model::adj(pairs_[i].model, signed_n);
        m_adj(pairs_[i].m, signed_n);
    }
    void prepend(size_t i) {
        note("prepend");
        const Bytes front = content(in_.below(in_.one_in(8) ? 270 : 70));
        arm();
        const bool can = model_.prepend(pairs_[i].model, front);
        arm_real();
        Mbuf* m = m_prepend(pairs_[i].m, static_cast<uint32_t>(front.size()), M_NOWAIT);
        disarm();
        if (m != nullptr) std::memcpy(m->data(), front.data(), front.size());
        replace(i, m, can);
    }
    void replace(size_t i, Mbuf* m, bool can) {
        note(can ? "ok" : "consumed");
        if (!agree("made", m != nullptr, can)) return;
        if (can)
            pairs_[i].m = m;
        else
            remove(i);
    }
    void pullup(size_t i) {
        note("pullup");
        const uint32_t len = in_.below(std::min(pairs_[i].model.length() + 2, 17000U));
        arm();
        const bool can = model_.pullup(pairs_[i].model, len);
        arm_real();
        Mbuf* m = m_pullup(pairs_[i].m, len);
        disarm();
        replace(i, m, can);
    }
    void cat(size_t i) {
        if (pairs_.size() < 2) return let_go(i, 0);
        note("cat");
        const size_t j = (i + 1 + in_.below(static_cast<uint32_t>(pairs_.size()) - 1)) % pairs_.size();
        model_.cat(pairs_[i].model, pairs_[j].model);
        m_cat(pairs_[i].m, pairs_[j].m);
        remove(j);
    }
    void copyback(size_t i) {
        if (!pairs_[i].model.packet()) return write(i);
        note("copyback");
        const uint32_t off = in_.below(pairs_[i].model.length() + 20);
        const Bytes bytes = content(size());
        arm();
        const int want = model_.copyback(pairs_[i].model, off, bytes);
        arm_real();
        const int error = m_copyback(pairs_[i].m, off, static_cast<uint32_t>(bytes.size()), bytes.data(), M_NOWAIT);
        disarm();
        if (want == EROFS) ++result_.refused;
        note("error", static_cast<uint64_t>(want));
        agree("error", error, want);
    }
    void write(size_t i) {
        note("write");
        std::vector<View>& views = pairs_[i].model.views;
        const uint32_t at = in_.below(static_cast<uint32_t>(views.size()));
        View& view = views[at];
        Mbuf* m = nth(pairs_[i].m, at);
        const bool may = model_.writable(view);
        note("may", may);
        if (!agree("writable", m_writable(m), may)) return;
        if (!may) {
            ++result_.refused;
            return;
        }
        const Bytes bytes = content(view.len);
        std::copy(bytes.begin(), bytes.end(), view.data().begin());
        std::memcpy(m->data(), bytes.data(), bytes.size());
    }
    void ask_all() {
        note("ask all");
        for (Pair& pair : pairs_) {
            Mbuf* m = pair.m;
            for (const View& view : pair.model.views) {
                if (!agree("writable", m_writable(m), model_.writable(view))) return;
                m = m->next();
            }
        }
    }
    void clone(size_t i) {
        note("clone");
        rte_mbuf* m = rte_pktmbuf_clone(&pairs_[i].m->rte, receive_zone()->pool);
        Chain model = Model::clone(pairs_[i].model);
        if (!pairs_[i].model.packet() && m != nullptr) totals(Mbuf::of(m), model);
        add(Mbuf::of(m), std::move(model));
    }
    // totals - of a chain that was no packet and is one now: that is its owner's work.
    static void totals(Mbuf* m, const Chain& model) {
        m->rte.nb_segs = static_cast<uint16_t>(model.views.size());
        m->rte.pkt_len = model.length();
    }
    void extfree(size_t i) {
        note("extfree");
        std::vector<View>& views = pairs_[i].model.views;
        const uint32_t at = in_.below(static_cast<uint32_t>(views.size()));
        View& view = views[at];
        const bool orphan = Model::would_orphan(view) && view.record.use_count() == 1;
        if (orphan && options_.alike) return note("not alike");
        Mbuf* m = nth(pairs_[i].m, at);
        const bool can = model_.extfree(view, data_room_);
        note("can", can);
        if (!agree("m_extfree", m_extfree(m), can) || !can) return;
        if (orphan) ++result_.orphans;
        if (at > 0) {
            m->clear_flags(M_PKTHDR);
            view.header = false;
        }
        if (view.storage->kind == Kind::room && in_.one_in(2)) attach(m, view);
        if (pairs_[i].model.packet()) totals(pairs_[i].m, pairs_[i].model);
    }
    void attach(Mbuf* m, View& view) {
        const bool foreign = in_.one_in(2);
        const Bytes bytes = content(in_.below(2000) + 1);
        arm();
        note(foreign ? "extadd" : "clget");
        const int want = foreign ? model_.attach_foreign(view, bytes, false) : model_.attach_cluster(view, 2048);
        arm_real();
        const int error = foreign ? add_foreign(m, bytes, false) : m_clget(m, M_NOWAIT, 2048);
        disarm();
        note("error", static_cast<uint64_t>(want));
        if (!agree("error", error, want) || want != 0) return;
        view.len = static_cast<uint32_t>(bytes.size());
        m->set_len(view.len);
        std::copy(bytes.begin(), bytes.end(), view.data().begin());
        std::memcpy(m->data(), bytes.data(), bytes.size());
    }
    void zero(size_t i) {
        note("zero");
        std::vector<View>& views = pairs_[i].model.views;
        const uint32_t at = in_.below(static_cast<uint32_t>(views.size()));
        nth(pairs_[i].m, at)->set_flags(M_ZEROIZE);
        if (views[at].foreign) return;  // its flags are fixed
        views[at].storage->asked = true;
        pairs_[i].model.tainted = true;
    }
    void let_go(size_t i, uint32_t how) {
        note("free");
        Pair& pair = pairs_[i];
        switch (how) {
        case 0: m_freem(pair.m); break;
        case 1: rte_pktmbuf_free(&pair.m->rte); break;
        case 2: return let_go_burst(i);
        case 3: return let_go_first(i);
        case 4: {
            for (Mbuf* m = pair.m; m != nullptr; m = m_free(m)) {}
            break;
        }
        default: {
            for (rte_mbuf* m = &pair.m->rte; m != nullptr;) {
                rte_mbuf* next = m->next;
                rte_pktmbuf_free_seg(m);
                m = next;
            }
        }
        }
        model_.free(pair.model);
        remove(i);
    }
    // let_go_burst - two packets at once, on a thread that may hold their releases back.
    void let_go_burst(size_t i) {
        note("burst");
        std::vector<rte_mbuf*> burst{&pairs_[i].m->rte};
        model_.free(pairs_[i].model);
        remove(i);
        if (!pairs_.empty()) {
            const size_t j = any();
            burst.push_back(&pairs_[j].m->rte);
            model_.free(pairs_[j].model);
            remove(j);
        }
        const MergedReleases merged;
        rte_pktmbuf_free_bulk(burst.data(), static_cast<unsigned>(burst.size()));
        refs_flush();
    }
    // let_go_first - one mbuf; what follows it is a chain, and a packet only if it says so itself.
    void let_go_first(size_t i) {
        note("first");
        Pair& pair = pairs_[i];
        const bool driver = in_.one_in(2);
        Mbuf* next = pair.m->next();
        model_.free_first(pair.model);
        if (driver)
            rte_pktmbuf_free_seg(&pair.m->rte);
        else if (m_free(pair.m) != next)
            wrong("m_free did not return the next mbuf");
        pair.m = next;
        if (next == nullptr) return remove(i);
        if (pair.model.packet()) totals(next, pair.model);
    }

    // ---- after each step
    void settle() {
        for (Pair& pair : pairs_) compare(pair);
        compare_places();
        compare_ended();
        compare_levels();
        while (spread_taint()) {}
        for (const char c : line_) result_.log = (result_.log ^ static_cast<uint8_t>(c)) * 0x100000001b3ULL;
        lines_.push_back(line_);
        if (lines_.size() > kLogLines) lines_.pop_front();
    }
    // A request is on an mbuf, and a packet's header takes it along; who is left alone with storage
    // that was asked for has it, too. One round; was there any to do?
    bool spread_taint() {
        bool more = false;
        for (Pair& pair : pairs_) {
            Chain& chain = pair.model;
            const bool before = chain.tainted;
            for (const View& view : chain.views)
                chain.tainted = chain.tainted || view.storage->asked || view.storage->tainted;
            more = more || chain.tainted != before;
            if (!chain.tainted) continue;
            for (View& view : chain.views) {
                more = more || !view.storage->tainted;
                view.storage->tainted = true;
            }
        }
        return more;
    }
    void compare(Pair& pair) {
        const Mbuf* m = pair.m;
        for (size_t i = 0; i < pair.model.views.size(); ++i, m = m->next()) {
            if (m == nullptr) return wrong("the chain ends too early");
            compare_one(m, pair.model.views[i], i);
            if (result_.fault) return;
        }
        if (m != nullptr) return wrong("the chain is too long");
        if (const auto fault = m_sanity(pair.m)) return wrong(*fault);
        if (!agree("has a packet header", pair.m->has_pkthdr(), pair.model.packet()) || !pair.model.packet()) return;
        agree("pkt_len", pair.m->pkt_len(), pair.model.length());
        agree("nb_segs", size_t{pair.m->rte.nb_segs}, pair.model.views.size());
    }
    void compare_one(const Mbuf* m, const View& view, size_t i) {
        if (!agree("len", m->len(), view.len)) return;
        Storage& storage = *view.storage;
        const std::byte* base = m->data() - view.at;
        if (storage.base == nullptr) storage.base = base;
        if (storage.base != base) return wrong("mbuf " + std::to_string(i) + " sees other storage than it should");
        if (std::memcmp(m->data(), view.data().data(), view.len) != 0)
            wrong("mbuf " + std::to_string(i) + " has other bytes than it should");
    }
    void compare_places() {
        std::map<const std::byte*, const Storage*> at;
        for (const Pair& pair : pairs_)
            for (const View& view : pair.model.views)
                if (at.try_emplace(view.storage->base, view.storage.get()).first->second != view.storage.get())
                    return wrong("two storages lie at the same place");
    }
    void compare_ended() {
        std::vector<oracle::Ended> ended = model_.take_ended();
        std::erase_if(ended, [](const oracle::Ended& e) { return e.kind != Kind::foreign; });
        std::sort(ended.begin(), ended.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
        for (const oracle::Ended& e : ended) {
            note("freed", e.id);
            const auto at = buffers_.find(e.base);
            if (at == buffers_.end()) return wrong("storage ended before anybody saw it");
            if (at->second->frees != 1) return wrong("foreign storage is not freed, but nobody holds it");
            compare_end(*at->second, e);
            std::erase(freed_now_, at->second.get());
            buffers_.erase(at);
        }
        if (!freed_now_.empty()) wrong("foreign storage is freed, but somebody holds it");
    }
    void compare_end(const Buffer& buffer, const oracle::Ended& e) {
        ++result_.freed;
        if (!buffer.right) return wrong("the free of foreign storage had wrong arguments");
        const bool zero = std::all_of(buffer.at_end.begin(), buffer.at_end.end(), [](std::byte b) { return b == std::byte{0}; });
        const bool same = buffer.at_end == e.bytes;
        if (e.asked && !e.read_only) {
            ++result_.zeroed;
            if (!zero) wrong("somebody asked for zeroes, and the storage was freed with bytes in it");
        } else if (!same && !(zero && e.tainted && !e.read_only)) {
            wrong("foreign storage has other bytes at its end than it should");
        }
    }
    void compare_levels() {
        uint32_t clones = 0;
        for (const Pair& pair : pairs_)
            for (const View& view : pair.model.views) clones += view.foreign ? 1 : 0;
        for (size_t i = 0; i < zones().size(); ++i) {
            const Zone* zone = zones()[i];
            const uint32_t used = zone->in_use() - base_level_[i];
            if (zone->kind == ZoneKind::cluster)
                agree(zone->name.c_str(), used, model_.alive_clusters(zone->size));
            else if (zone->kind == ZoneKind::control)
                agree(zone->name.c_str(), used, model_.alive(Kind::foreign));
            else if (zone == receive_zone() && !(leader_ && result_.orphans > 0))
                agree(zone->name.c_str(), used, model_.alive(Kind::packet) + clones);
        }
    }

    Input in_;
    const TraceOptions options_;
    const bool leader_;
    std::vector<Buffer*> freed_now_;
    // By the place of their bytes. One that was freed is gone from here in the same step.
    std::map<const std::byte*, std::unique_ptr<Buffer>> buffers_;
    Model model_;
    std::vector<Pair> pairs_;
    std::vector<uint32_t> base_level_;
    uint32_t data_room_ = 0;
    uint32_t salt_ = 0;
    uint32_t fail_ = 0;
    bool at_proxy_ = false;
    std::string line_;
    std::deque<std::string> lines_;
    TraceResult result_;
};

}  // namespace

TraceResult run_trace(std::span<const uint8_t> bytes, const TraceOptions& options) {
    return Trace(bytes, options).run();
}

}  // namespace umbuf::test
