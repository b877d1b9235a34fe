// SPDX-License-Identifier: BSD-2-Clause
// oracle.h - what the verbs should do, told with a vector and a shared_ptr.
//
// A plain model of chains of mbufs, for tests that run the same verbs on both and compare. It shares
// no code with lib/mbuf and knows no count: storage is a std::shared_ptr, "may I write" is its
// use_count(), "when is it freed" its destructor. It is slow, and it allocates as it likes.
//
// It models each mbuf, not only the bytes, because errors depend on it: which byte is whose, where
// there is room, and how many allocations a verb makes, in which order.
//
// What lies beyond lib/mbuf/verbs.h and lib/mbuf/ext.h:
//   - An mbuf that is not attached has room for kRoom bytes of its own.
//   - A clone made by DPDK is never written, keeps the storage, and keeps the *record* of the mbuf it
//     was made of: as long as one does, m_extfree() of that mbuf is refused.
//   - The mbuf that shared a storage first leads it. Under the scheme "leader" a leader that takes
//     other storage while it is followed is an orphan: it can neither write nor share, and, freed, it
//     goes with its followers. Under all others an orphan is an mbuf like any other.
//   - Zeroing is asked for by storage. `asked`: then it must be zero at its end. `tainted`: a verb may
//     have carried the request along with a packet's header; then it may be zero.
//
// One thread. Nothing here is an mbuf; nothing is owned but memory.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace umbuf::oracle {

using Bytes = std::vector<std::byte>;

inline constexpr uint32_t kRoom = 256;                               // inside an mbuf
inline constexpr uint32_t kClusters[] = {2048, 4096, 9216, 16384};  // kinds of cluster
inline constexpr uint32_t kHeadroom = 128;                           // of a received packet

enum class Kind : uint8_t { room, cluster, packet, foreign };
inline constexpr uint32_t kKinds = 4;

struct View;
class Model;

// Storage - bytes that one or more mbufs see. Its destructor is the free.
struct Storage {
    Storage(Model& owner, Kind what, Bytes content, bool only_read = false);
    ~Storage();
    Storage(const Storage&) = delete;
    Storage& operator=(const Storage&) = delete;

    Model& model;
    const Kind kind;
    const bool read_only;
    const uint32_t id;
    Bytes bytes;
    bool asked = false;
    bool tainted = false;
    bool has_leader = false;
    const std::byte* base = nullptr;  // where the real bytes lie, once somebody has seen them
    std::vector<View> houses;         // orphans that were freed: they end after this
};

// View - one mbuf.
struct View {
    std::shared_ptr<Storage> storage;
    std::shared_ptr<int> record;  // its clones keep it, too; the value has no meaning
    std::weak_ptr<Storage> orphan_of;
    uint32_t begin = 0, end = 0;  // the part of the storage that it may use
    uint32_t at = 0, len = 0;     // its data
    bool foreign = false;         // made by DPDK's clone
    bool received = false;        // a received packet's own header
    bool header = false;          // M_PKTHDR
    bool leads = false;
    bool takes_proxy = false;     // its next share takes a proxy: told by whoever knows the real mbuf

    [[nodiscard]] bool external() const { return storage->kind != Kind::room && !received; }
    [[nodiscard]] bool has_header() const { return foreign || header; }
    [[nodiscard]] std::span<std::byte> data() const { return {storage->bytes.data() + at, len}; }
};

// Chain - mbufs in a row; empty: it was consumed.
struct Chain {
    std::vector<View> views;
    bool tainted = false;

    [[nodiscard]] uint32_t length() const;
    [[nodiscard]] Bytes bytes() const;
    [[nodiscard]] bool packet() const { return !views.empty() && views.front().has_header(); }
};

// Ended - a storage that was freed.
struct Ended {
    uint32_t id;
    Kind kind;
    bool read_only, asked, tainted;
    const std::byte* base;
    Bytes bytes;
};

class Model {
  public:
    // leader: the rules for orphans are those of the scheme "leader".
    explicit Model(bool leader) : leader_(leader) {}

    // The verbs. An allocation that fails is the n-th after fail(n). What can fail returns nullopt,
    // false or an errno, and what it consumes is then empty.
    std::optional<Chain> get(uint32_t size, std::span<const std::byte> data);
    Chain receive(const std::vector<Bytes>& segments, uint32_t data_room);
    std::optional<Chain> get_foreign(Bytes content, bool read_only, uint32_t len);
    std::optional<Chain> copym(Chain& m, uint32_t off, uint32_t len);
    std::optional<Chain> split(Chain& m, uint32_t at);
    bool prepend(Chain& m, std::span<const std::byte> data);
    static void adj(Chain& m, int32_t n);
    bool pullup(Chain& m, uint32_t len);
    void cat(Chain& m, Chain& n);
    int copyback(Chain& m, uint32_t off, std::span<const std::byte> data);
    static Chain clone(const Chain& m);
    bool extfree(View& view, uint32_t data_room);
    int attach_cluster(View& view, uint32_t size);
    int attach_foreign(View& view, Bytes content, bool read_only);
    void free(Chain& m);
    void free_first(Chain& m);

    [[nodiscard]] bool writable(const View& view) const;
    // would_orphan - extfree() of it would leave followers behind.
    [[nodiscard]] static bool would_orphan(const View& view);
    // shut - it is an orphan that the scheme "leader" still pins.
    [[nodiscard]] bool shut(const View& view) const;

    // fail - the n-th allocation or share from now fails; 0: none. A share that takes a proxy is one
    // event here; proxies_before() says how many proxies the real one takes before it fails.
    void fail(uint32_t n);
    [[nodiscard]] uint32_t proxies_before() const { return proxies_; }
    [[nodiscard]] bool failed_at_proxy() const { return failed_at_proxy_; }
    [[nodiscard]] bool failed() const { return failed_; }

    [[nodiscard]] uint32_t alive(Kind kind) const { return alive_[static_cast<size_t>(kind)]; }
    [[nodiscard]] uint32_t alive_clusters(uint32_t size) const;
    std::vector<Ended> take_ended();

  private:
    friend struct Storage;
    bool fires();
    std::optional<View> mbuf(bool header);
    bool cluster(View& view, uint32_t size);
    View show(View& source, uint32_t off, uint32_t len);
    std::optional<View> segment(View& source, uint32_t off, uint32_t len, bool header);
    [[nodiscard]] uint32_t leading(const View& view) const;
    [[nodiscard]] uint32_t trailing(const View& view) const;
    void gather(View& to, std::vector<View>& from, uint32_t n);
    uint32_t extend(Chain& m, uint32_t length, uint32_t want);
    void drop(View view);
    void drop_front(std::vector<View>& views);

    const bool leader_;
    uint32_t left_ = 0, proxies_ = 0;
    bool failed_ = false, failed_at_proxy_ = false;
    uint32_t next_id_ = 0;
    uint32_t alive_[kKinds] = {};
    uint32_t alive_clusters_[4] = {};
    std::vector<Ended> ended_;
};

}  // namespace umbuf::oracle
