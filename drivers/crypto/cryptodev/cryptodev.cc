// SPDX-License-Identifier: BSD-2-Clause
// cryptodev.cc - devices by name, and an engine's table for each.
#include "drivers/crypto/cryptodev/cryptodev.h"

#include <algorithm>
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
