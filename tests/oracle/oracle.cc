// SPDX-License-Identifier: BSD-2-Clause
// oracle.cc - the verbs on vectors.
#include "tests/oracle/oracle.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace umbuf::oracle {

namespace {

size_t cluster_kind(size_t size) {
    const auto* kind = std::find(std::begin(kClusters), std::end(kClusters), size);
    if (kind == std::end(kClusters)) std::abort();
    return static_cast<size_t>(kind - std::begin(kClusters));
}

void copy_bytes(const View& from, uint32_t off, uint32_t n, const View& to, uint32_t at) {
    const Bytes moved(from.data().begin() + off, from.data().begin() + off + n);
    std::copy(moved.begin(), moved.end(), to.storage->bytes.begin() + at);
}

void append(View& to, const View& from, uint32_t n) {
    copy_bytes(from, 0, n, to, to.at + to.len);
    to.len += n;
}

}  // namespace

Storage::Storage(Model& owner, Kind what, Bytes content, bool only_read)
    : model(owner), kind(what), read_only(only_read), id(owner.next_id_++), bytes(std::move(content)) {
    ++model.alive_[static_cast<size_t>(kind)];
    if (kind == Kind::cluster) ++model.alive_clusters_[cluster_kind(bytes.size())];
}

Storage::~Storage() {
    --model.alive_[static_cast<size_t>(kind)];
    if (kind == Kind::cluster) --model.alive_clusters_[cluster_kind(bytes.size())];
    model.ended_.push_back({id, kind, read_only, asked, tainted, base, std::move(bytes)});
}

uint32_t Chain::length() const {
    uint32_t n = 0;
    for (const View& view : views) n += view.len;
    return n;
}

Bytes Chain::bytes() const {
    Bytes all;
    for (const View& view : views) all.insert(all.end(), view.data().begin(), view.data().end());
    return all;
}

// ---- what fails, and what is left
void Model::fail(uint32_t n) {
    left_ = n;
    proxies_ = 0;
    failed_ = failed_at_proxy_ = false;
}

bool Model::fires() {
    if (left_ == 0 || --left_ != 0) return false;
    failed_ = true;
    return true;
}

uint32_t Model::alive_clusters(uint32_t size) const { return alive_clusters_[cluster_kind(size)]; }

std::vector<Ended> Model::take_ended() { return std::exchange(ended_, {}); }

// ---- questions
bool Model::shut(const View& view) const { return leader_ && !view.orphan_of.expired(); }

bool Model::writable(const View& view) const {
    return !view.foreign && !view.storage->read_only && view.storage.use_count() == 1 && !shut(view);
}

bool Model::would_orphan(const View& view) { return view.leads && view.storage.use_count() > 1; }

uint32_t Model::leading(const View& view) const { return writable(view) ? view.at - view.begin : 0; }
uint32_t Model::trailing(const View& view) const {
    return writable(view) ? view.end - view.at - view.len : 0;
}

// ---- make
std::optional<View> Model::mbuf(bool header) {
    if (fires()) return std::nullopt;
    View view;
    view.storage = std::make_shared<Storage>(*this, Kind::room, Bytes(kRoom));
    view.end = kRoom;
    view.header = header;
    return view;
}

bool Model::cluster(View& view, uint32_t size) {
    if (size > kClusters[3]) return false;  // before anything is asked for
    if (fires()) return false;
    const uint32_t room = *std::lower_bound(std::begin(kClusters), std::end(kClusters), size);
    view.storage = std::make_shared<Storage>(*this, Kind::cluster, Bytes(room));
    view.record = std::make_shared<int>();
    view.begin = view.at = view.len = 0;
    view.end = room;
    view.leads = false;
    return true;
}

std::optional<Chain> Model::get(uint32_t size, std::span<const std::byte> data) {
    std::optional<View> view = mbuf(true);
    if (!view || (size > kRoom && !cluster(*view, size))) return std::nullopt;
    std::copy(data.begin(), data.end(), view->storage->bytes.begin());
    view->len = static_cast<uint32_t>(data.size());
    Chain chain;
    chain.views.push_back(std::move(*view));
    return chain;
}

Chain Model::receive(const std::vector<Bytes>& segments, uint32_t data_room) {
    Chain chain;
    for (const Bytes& segment : segments) {
        View view;
        Bytes content(kHeadroom + data_room);
        std::copy(segment.begin(), segment.end(), content.begin() + kHeadroom);
        view.storage = std::make_shared<Storage>(*this, Kind::packet, std::move(content));
        view.end = kHeadroom + data_room;
        view.at = kHeadroom;
        view.len = static_cast<uint32_t>(segment.size());
        view.received = true;
        view.header = chain.views.empty();
        chain.views.push_back(std::move(view));
    }
    return chain;
}

std::optional<Chain> Model::get_foreign(Bytes content, bool read_only, uint32_t len) {
    std::optional<View> view = mbuf(true);
    if (!view || attach_foreign(*view, std::move(content), read_only) != 0) return std::nullopt;
    view->len = len;
    Chain chain;
    chain.views.push_back(std::move(*view));
    return chain;
}

int Model::attach_cluster(View& view, uint32_t size) {
    // A clone that reads its room keeps the room; the mbuf must not go on without it.
    if (view.storage.use_count() != 1) return EBUSY;
    return cluster(view, size) ? 0 : ENOBUFS;
}

int Model::attach_foreign(View& view, Bytes content, bool read_only) {
    if (view.storage.use_count() != 1) return EBUSY;
    if (fires()) return ENOBUFS;
    view.end = static_cast<uint32_t>(content.size());
    view.storage = std::make_shared<Storage>(*this, Kind::foreign, std::move(content), read_only);
    view.record = std::make_shared<int>();
    view.begin = view.at = view.len = 0;
    view.leads = false;
    return 0;
}

// ---- copy
// A second view of the same bytes, and of no others.
View Model::show(View& source, uint32_t off, uint32_t len) {
    if (source.storage->kind != Kind::packet && !source.storage->has_leader) {
        source.storage->has_leader = true;
        source.leads = true;
    }
    View copy;
    copy.storage = source.storage;
    copy.record = std::make_shared<int>();
    copy.begin = copy.at = source.at + off;
    copy.end = copy.begin + len;
    copy.len = len;
    return copy;
}

// Shared where there is storage to share, else copied.
std::optional<View> Model::segment(View& source, uint32_t off, uint32_t len, bool header) {
    std::optional<View> view = mbuf(header);
    if (!view || len == 0) return view;
    if (!source.foreign && source.storage->kind != Kind::room) {
        const bool proxy = source.takes_proxy;
        if (fires()) {
            failed_at_proxy_ = proxy;
            return std::nullopt;
        }
        if (shut(source)) return std::nullopt;
        if (proxy) ++proxies_;
        view = show(source, off, len);
        view->header = header;
        return view;
    }
    if (len > kRoom && !cluster(*view, len)) return std::nullopt;
    copy_bytes(source, off, len, *view, 0);
    view->len = len;
    return view;
}

std::optional<Chain> Model::copym(Chain& m, uint32_t off, uint32_t len) {
    const bool packet = off == 0 && m.packet();
    Chain copy;
    copy.tainted = m.tainted;
    for (View& view : m.views) {
        const uint32_t skip = std::min(off, view.len);
        off -= skip;
        const uint32_t n = std::min(len, view.len - skip);
        if (n == 0) continue;
        std::optional<View> piece = segment(view, skip, n, false);
        if (!piece) {
            free(copy);
            return std::nullopt;
        }
        copy.views.push_back(std::move(*piece));
        len -= n;
    }
    if (copy.views.empty()) {
        std::optional<View> nothing = mbuf(false);
        if (!nothing) return std::nullopt;
        copy.views.push_back(std::move(*nothing));
    }
    copy.views.front().header = packet;
    return copy;
}

Chain Model::clone(const Chain& m) {
    Chain copy;
    copy.tainted = m.tainted;
    for (const View& view : m.views) {
        View one = view;
        one.foreign = true;
        one.received = false;
        one.leads = false;
        one.orphan_of.reset();
        copy.views.push_back(std::move(one));
    }
    return copy;
}

// ---- cut and join
std::optional<Chain> Model::split(Chain& m, uint32_t at) {
    size_t i = 0;
    while (i < m.views.size() && at > m.views[i].len) at -= m.views[i++].len;
    if (i == m.views.size()) return std::nullopt;
    const bool packet = m.packet();
    Chain rest;
    rest.tainted = m.tainted;
    const bool between = at == m.views[i].len && i + 1 < m.views.size();
    if (!between) {
        View& cut = m.views[i];
        std::optional<View> piece = segment(cut, at, cut.len - at, packet);
        if (!piece) return std::nullopt;
        rest.views.push_back(std::move(*piece));
        cut.len = at;
        if (cut.external()) cut.end = cut.at + at;
    }
    const auto tail = m.views.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    rest.views.insert(rest.views.end(), std::make_move_iterator(tail), std::make_move_iterator(m.views.end()));
    m.views.erase(tail, m.views.end());
    if (packet) rest.views.front().header = true;
    return rest;
}

bool Model::prepend(Chain& m, std::span<const std::byte> data) {
    const uint32_t n = static_cast<uint32_t>(data.size());
    if (leading(m.views.front()) >= n) {
        m.views.front().at -= n;
        m.views.front().len += n;
    } else {
        std::optional<View> first = n > kRoom ? std::nullopt : mbuf(m.packet());
        if (!first) {
            free(m);
            return false;
        }
        m.views.front().header = false;
        first->at = (kRoom - n) & ~7U;
        first->len = n;
        m.views.insert(m.views.begin(), std::move(*first));
    }
    std::copy(data.begin(), data.end(), m.views.front().data().begin());
    return true;
}

void Model::adj(Chain& m, int32_t n) {
    if (n >= 0) {
        uint32_t left = static_cast<uint32_t>(n);
        for (View& view : m.views) {
            const uint32_t cut = std::min(left, view.len);
            view.at += cut;
            view.len -= cut;
            left -= cut;
        }
        return;
    }
    uint32_t left = static_cast<uint32_t>(-static_cast<int64_t>(n));
    for (auto view = m.views.rbegin(); view != m.views.rend(); ++view) {
        const uint32_t cut = std::min(left, view->len);
        view->len -= cut;
        left -= cut;
    }
}

// Bytes of `from` behind to's own; mbufs that are empty by then are freed, while bytes are wanted.
void Model::gather(View& to, std::vector<View>& from, uint32_t n) {
    while (n > 0) {
        View& front = from.front();
        const uint32_t taken = std::min(n, front.len);
        append(to, front, taken);
        front.at += taken;
        front.len -= taken;
        n -= taken;
        if (front.len == 0) drop_front(from);
    }
}

bool Model::pullup(Chain& m, uint32_t len) {
    if (m.views.front().len >= len) return true;
    if (m.length() < len || len > kClusters[3]) {
        free(m);
        return false;
    }
    const bool packet = m.packet();
    const uint32_t more = len - m.views.front().len;
    if (trailing(m.views.front()) >= more) {
        View first = std::move(m.views.front());
        m.views.erase(m.views.begin());
        gather(first, m.views, more);
        m.views.insert(m.views.begin(), std::move(first));
        return true;
    }
    std::optional<View> first = mbuf(packet);
    if (!first || (len > kRoom && !cluster(*first, len))) {
        free(m);
        return false;
    }
    m.views.front().header = false;
    gather(*first, m.views, len);
    m.views.insert(m.views.begin(), std::move(*first));
    return true;
}

void Model::cat(Chain& m, Chain& n) {
    m.tainted = m.tainted || n.tainted;
    while (!n.views.empty() && trailing(m.views.back()) >= n.views.front().len) {
        append(m.views.back(), n.views.front(), n.views.front().len);
        drop_front(n.views);
    }
    if (!n.views.empty()) n.views.front().header = false;
    m.views.insert(m.views.end(), std::make_move_iterator(n.views.begin()), std::make_move_iterator(n.views.end()));
    n.views.clear();
}

uint32_t Model::extend(Chain& m, uint32_t length, uint32_t want) {
    while (length < want) {
        View& last = m.views.back();
        const uint32_t n = std::min(want - length, trailing(last));
        const auto gap = last.storage->bytes.begin() + last.at + last.len;
        std::fill(gap, gap + n, std::byte{0});
        last.len += n;
        length += n;
        if (length == want) break;
        const uint32_t left = want - length;
        std::optional<View> more = mbuf(false);
        if (!more || (left > kRoom && !cluster(*more, std::min(left, kClusters[3])))) break;
        m.views.push_back(std::move(*more));
    }
    return length;
}

int Model::copyback(Chain& m, uint32_t off, std::span<const std::byte> data) {
    const uint32_t want = off + static_cast<uint32_t>(data.size());
    uint32_t begins = 0;
    for (const View& view : m.views) {
        const uint32_t ends = begins + view.len;
        if (begins < want && ends > off && view.len > 0 && !writable(view)) return EROFS;
        begins = ends;
    }
    const uint32_t reached = begins < want ? extend(m, begins, want) : want;
    begins = 0;
    for (const View& view : m.views) {
        for (uint32_t i = 0; i < view.len; ++i) {
            const uint32_t here = begins + i;
            if (here >= off && here < want) view.data()[i] = data[here - off];
        }
        begins += view.len;
    }
    return reached == want ? 0 : ENOBUFS;
}

// ---- let go
bool Model::extfree(View& view, uint32_t data_room) {
    if (view.received) {
        if (view.storage.use_count() != 1) return false;
        view.at = view.begin;
        view.len = 0;
        return true;
    }
    if (view.foreign) {  // its header is from the packet zone, and has its own cluster again
        drop(std::move(view));
        view = receive({Bytes{}}, data_room).views.front();
        view.at = view.begin;
        return true;
    }
    if (view.storage->kind != Kind::room) {
        if (view.record.use_count() != 1) return false;
        std::weak_ptr<Storage> left_behind;
        if (would_orphan(view)) left_behind = view.storage;
        view.storage = std::make_shared<Storage>(*this, Kind::room, Bytes(kRoom));
        if (!left_behind.expired()) view.orphan_of = left_behind;
        view.record.reset();
        view.begin = 0;
        view.end = kRoom;
        view.leads = false;
    }
    view.at = view.begin;
    view.len = 0;
    return true;
}

// An orphan is the house of its followers' count: it ends when they have.
void Model::drop(View view) {
    if (!leader_) return;
    if (const std::shared_ptr<Storage> left = view.orphan_of.lock()) left->houses.push_back(std::move(view));
}

void Model::drop_front(std::vector<View>& views) {
    drop(std::move(views.front()));
    views.erase(views.begin());
}

void Model::free(Chain& m) {
    while (!m.views.empty()) drop_front(m.views);
}

void Model::free_first(Chain& m) { drop_front(m.views); }

}  // namespace umbuf::oracle
