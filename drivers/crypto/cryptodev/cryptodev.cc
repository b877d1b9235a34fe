// SPDX-License-Identifier: BSD-2-Clause
// cryptodev.cc - devices by name, and an engine's table for each.
#include "drivers/crypto/cryptodev/cryptodev.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <rte_cryptodev.h>
#include <rte_dev.h>
#include <rte_errno.h>

#include "drivers/crypto/cryptodev/device.h"

namespace umbuf {
namespace cryptodev {
namespace {

std::array<std::unique_ptr<Device>, kDevices> devices;  // [c] to change

// Table - an Engine's functions do not say which engine is meant; each place has its own.
template <size_t I>
struct Table {
    static Status ready() {
        if (devices[I] == nullptr) return Error{ENODEV, "the crypto device was closed"};
        if (!devices[I]->queues.empty()) return {};
        return Error{EIO, devices[I]->engine_name + " did not answer, and was stopped"};
    }
    static bool has(const Algorithm& algorithm) noexcept { return supports(*devices[I], algorithm); }
    static size_t key_bytes(const Algorithm&) noexcept { return sizeof(Key); }
    static Status key(const Algorithm& algorithm, std::span<const std::byte> raw, std::byte* to) {
        return make_key(*devices[I], algorithm, raw, to);
    }
    static void drop(std::byte* key) noexcept { drop_key(*devices[I], key); }
    static EngineLane* open(int socket) { return open_lane(*devices[I], socket); }
    static Engine make(const char* name) {
        return Engine{.name = name, .ready = ready, .supports = has, .key_bytes = key_bytes, .make_key = key, .open = open,
                      .close = close_lane, .run = run, .drop_key = drop, .submit = submit, .reap = reap};
    }
};

template <size_t... I>
Engine table_of(size_t place, const char* name, std::index_sequence<I...>) {
    Engine engine{};
    (void)((place == I && (engine = Table<I>::make(name), true)) || ...);
    return engine;
}

std::string names_there() {
    std::string all;
    for (uint8_t id = 0; id < RTE_CRYPTO_MAX_DEVS; ++id)
        if (rte_cryptodev_is_valid_dev(id) != 0) all += std::string(all.empty() ? "" : ", ") + rte_cryptodev_name_get(id);
    return all.empty() ? "none" : all;
}

// find - the device's number; made if it is a virtual one.
Result<uint8_t> find(const std::string& name, bool* made) {
    int id = rte_cryptodev_get_dev_id(name.c_str());
    *made = id < 0 && rte_eal_hotplug_add("vdev", name.c_str(), "") == 0;
    if (*made) id = rte_cryptodev_get_dev_id(name.c_str());
    if (id >= 0) return static_cast<uint8_t>(id);
    return Error{ENODEV, "there is no crypto device '" + name + "', and no driver makes a virtual one of that name: there are " +
                             names_there() + "; virtual ones are crypto_openssl, crypto_aesni_mb, crypto_aesni_gcm"};
}

Status start(Device& device) {
    rte_cryptodev_info info{};
    rte_cryptodev_info_get(device.id, &info);
    device.features = info.feature_flags;
    device.hardware = device.has(RTE_CRYPTODEV_FF_HW_ACCELERATED);
    device.erratic_chains = std::strcmp(info.driver_name, "crypto_aesni_mb") == 0;
    device.socket = std::max(0, static_cast<int>(rte_cryptodev_socket_id(device.id)));
    const auto failed = [&device](const char* what, int error) {
        return Error{error < 0 ? -error : error, device.engine_name + ": " + what + ": " + rte_strerror(error < 0 ? -error : error)};
    };
    if (!device.has(RTE_CRYPTODEV_FF_SYMMETRIC_CRYPTO)) return Error{ENOTSUP, device.engine_name + " has no symmetric cryptography"};
    rte_cryptodev_config config{};
    config.socket_id = device.socket;
    config.nb_queue_pairs = static_cast<uint16_t>(std::min<uint32_t>(info.max_nb_queue_pairs, kQueues));
    config.ff_disable = RTE_CRYPTODEV_FF_SECURITY | RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO;
    if (const int error = rte_cryptodev_configure(device.id, &config); error != 0) return failed("it cannot be configured", error);
    rte_cryptodev_qp_conf queue{};
    queue.nb_descriptors = kDescriptors;
    for (uint16_t q = 0; q < config.nb_queue_pairs; ++q)
        if (const int error = rte_cryptodev_queue_pair_setup(device.id, q, &queue, device.socket); error != 0)
            return failed("its queues cannot be set up", error);
    if (const int error = rte_cryptodev_start(device.id); error != 0) return failed("it cannot be started", error);
    device.queues.assign(config.nb_queue_pairs, nullptr);
    return {};
}

}  // namespace

// Chained - one job out of two pieces into the middle of a place; and what the place then looks like.
struct Chained {
    static constexpr size_t kHead = 24, kText = 480, kAt = 64;
    std::array<std::byte, kHead + kText> from{};
    std::array<std::byte, kAt + kText + 64> to;
    std::array<std::byte, kMaxIcv> icv{};
    bool failed = false, authentic = false;

    Chained(EngineLane& lane, const std::byte* key, bool encrypt, const Chained* sealed) {
        to.fill(std::byte{0x5a});
        for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(7 * i + 1);
        if (encrypt) std::copy_n(from.begin(), kHead, to.begin() + kAt - kHead);  // it lies before the room
        if (sealed != nullptr) {
            std::copy_n(sealed->to.begin() + kAt, kText, from.begin() + kHead);
            icv = sealed->icv;
        }
        // Not side by side: a driver that takes a chain for one piece is found out.
        std::array<std::byte, kText> second, first;
        std::copy_n(from.begin() + kHead + 20, kText - 20, second.begin());
        std::copy_n(from.begin() + kHead, 20, first.begin());
        const Piece pieces[] = {{first.data(), 20}, {second.data(), kText - 20}};
        const Room room{to.data() + kAt, kText};
        Job job{.key = key, .source = pieces, .to = {&room, 1}, .whole = encrypt ? to.data() + kAt - kHead : nullptr,
                .len = kText, .encrypt = encrypt, .extended = false};
        std::copy(icv.begin(), icv.end(), job.icv);
        std::memcpy(&job.head, from.data(), kHead);
        run(lane, &job, 1);
        std::copy_n(job.icv, icv.size(), icv.begin());
        failed = job.failed;
        authentic = job.authentic;
    }
    [[nodiscard]] bool same_as(const Chained& other) const { return !failed && to == other.to && icv == other.icv; }
};

// on_trial - `what(lane, key)` with a lane of the device and a key of zeros, if it has the algorithm.
template <class What>
static void on_trial(Device& device, const char* name, What what) {
    const Algorithm algorithm = find_algorithm(name).value();
    if (device.hardware || !supports(device, algorithm)) return;
    EngineLane* lane = open_lane(device, -1);
    if (lane == nullptr) return;
    alignas(Key) std::byte key[sizeof(Key)];
    const std::array<std::byte, kMaxKey> raw{};
    if (make_key(device, algorithm, {raw.data(), algorithm.key_bytes()}, key).ok()) {
        what(*lane, key);
        drop_key(device, key);
    }
    close_lane(lane);
}

void try_chains(Device& device) {
    on_trial(device, "aes-cbc-128+hmac-sha1", [&](EngineLane& lane, const std::byte* key) {
        const Chained sealed(lane, key, true, nullptr), opened(lane, key, false, &sealed);
        device.chains[true] = true;
        device.chains[true] = Chained(lane, key, true, nullptr).same_as(sealed);
        device.chains[false] = true;
        const Chained again(lane, key, false, &sealed);
        device.chains[false] = again.authentic && again.same_as(opened);
    });
}

// Burst - some AEAD jobs at once, each from three pieces that are not side by side.
struct Burst {
    static constexpr uint16_t kJobs = 12;
    static constexpr uint32_t kText = 96;
    std::array<std::array<std::byte, kText>, kJobs> to{};
    std::array<std::array<std::byte, 16>, kJobs> icv{};
    bool failed = false;

    Burst(EngineLane& lane, const std::byte* key) {
        std::array<std::array<std::byte, 3 * kText>, kJobs> from{};
        std::array<std::array<Piece, 3>, kJobs> pieces;
        std::array<Room, kJobs> rooms;
        std::array<Job, kJobs> jobs;
        for (uint16_t i = 0; i < kJobs; ++i) {
            for (size_t b = 0; b < from[i].size(); ++b) from[i][b] = static_cast<std::byte>(13 * b + 29u * i + 5);
            const uint32_t cut = 5u + i;
            pieces[i] = {{{from[i].data() + 2 * kText, cut}, {from[i].data(), 40}, {from[i].data() + kText, kText - 40 - cut}}};
            rooms[i] = {to[i].data(), kText};
            jobs[i] = Job{.key = key, .source = pieces[i], .to = {&rooms[i], 1}, .whole = nullptr, .len = kText, .encrypt = true, .extended = false};
            jobs[i].head.iv[0] = static_cast<std::byte>(i);
        }
        run(lane, jobs.data(), kJobs);
        for (uint16_t i = 0; i < kJobs; ++i) {
            failed = failed || jobs[i].failed;
            std::copy_n(jobs[i].icv, 16, icv[i].begin());
        }
    }
};

void try_pieces(Device& device) {
    device.pieces = device.hardware;  // what it says is believed; the self-test comes after
    on_trial(device, "aes-gcm-128", [&](EngineLane& lane, const std::byte* key) {
        const Burst copied(lane, key);
        device.pieces = true;
        const Burst shown(lane, key);
        device.pieces = !shown.failed && shown.to == copied.to && shown.icv == copied.icv;
    });
}

namespace {

bool has_any(const Device& device) {
    for (const CipherKind& c : cipher_kinds()) {
        if (c.icv != 0 && supports(device, {&c, nullptr})) return true;
        if (c.icv != 0) continue;
        for (const IntegrityKind& i : integrity_kinds())
            if (supports(device, {&c, &i})) return true;
    }
    return false;
}

void stop(Device& device) {
    bury(device);
    for (const Lane* lane : device.queues) UM_ASSERT_MSG(lane == nullptr, "%s is closed, and a lane is open", device.name.c_str());
    if (!device.graves.empty()) return;  // it did not answer, and was stopped: what it may still read stays
    rte_cryptodev_stop(device.id);
    (void)rte_cryptodev_close(device.id);
    for (rte_mempool* pool : device.pools) rte_mempool_free(pool);
    if (device.made) (void)rte_eal_hotplug_remove("vdev", device.name.c_str());
}

const Device* device_of(const Engine& engine) noexcept {
    for (const auto& device : devices)
        if (device != nullptr && &device->engine == &engine) return device.get();
    return nullptr;
}

}  // namespace
}  // namespace cryptodev

Result<const Engine*> cryptodev_engine(const std::string& name) {
    using namespace cryptodev;
    for (const auto& device : devices)
        if (device != nullptr && device->name == name) return &device->engine;
    const auto place = std::find(devices.begin(), devices.end(), nullptr);
    if (place == devices.end())
        return Error{ENOSPC, "no more than " + std::to_string(kDevices) + " crypto devices can be in use at a time"};
    auto device = std::make_unique<Device>();
    device->name = name;
    device->engine_name = "cryptodev:" + name;
    const Result<uint8_t> id = find(name, &device->made);
    if (!id) return id.error();
    device->id = id.value();
    Status status = start(*device);
    if (status.ok() && !has_any(*device)) status = Error{EOPNOTSUPP, device->engine_name + " has none of ESP's algorithms"};
    if (status.ok()) try_pieces(*device);
    if (status.ok() && !device->erratic_chains) try_chains(*device);
    if (!status) {
        stop(*device);
        return status.error();
    }
    device->engine = table_of(static_cast<size_t>(place - devices.begin()), device->engine_name.c_str(), std::make_index_sequence<kDevices>());
    *place = std::move(device);
    return &(*place)->engine;
}

void cryptodev_close_all() {
    for (auto& device : cryptodev::devices) {
        if (device == nullptr) continue;
        cryptodev::stop(*device);
        device.reset();
    }
}

CryptodevCounters cryptodev_counters(const Engine& engine) {
    const cryptodev::Device* device = cryptodev::device_of(engine);
    if (device == nullptr) return {};
    CryptodevCounters sum{.jobs = device->jobs.read(), .failed = device->failed.read(), .copied = device->copied.read(),
                          .copied_bytes = device->copied_bytes.read(), .full = device->full.read()};
    for (const cryptodev::Lane* lane : device->queues)
        if (lane != nullptr) cryptodev::add_counters(*lane, sum);
    return sum;
}

}  // namespace umbuf
