// SPDX-License-Identifier: BSD-2-Clause
// checked_pool.h - a pool of the checked handler for a test, and what the handler counted in it.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "drivers/mempool/checked/checked.h"

namespace umbuf::test {

inline int64_t scan(rte_mempool* pool) { return um_checked_scan(pool); }
inline um_checked_counts counts(rte_mempool* pool) {
    um_checked_counts out{};
    EXPECT_EQ(um_checked_read(pool, &out), 0);
    return out;
}
inline uint64_t faults(rte_mempool* pool) {
    const um_checked_counts c = counts(pool);
    return c.double_puts + c.strangers + c.unfit + c.late_writes + c.overruns;
}

// Pools that count, unless a test asks for more; at the end every object is home.
class CheckedTest : public ::testing::Test {
  protected:
    static constexpr uint32_t kN = 96;      // objects
    static constexpr uint32_t kSize = 256;  // bytes of one
    static constexpr uint32_t kKeep = 64;

    void SetUp() override { set("UM_CHECKED", "count"); }
    void TearDown() override {
        for (rte_mempool* pool : pools_) {
            EXPECT_EQ(rte_mempool_avail_count(pool), pool->size) << pool->name << " is not balanced";
            rte_mempool_free(pool);
        }
        for (const std::string& name : set_) unsetenv(name.c_str());
    }

    // set - a variable of the environment, for pools made after it in this test.
    void set(const char* name, const char* value) {
        setenv(name, value, 1);
        set_.insert(name);
    }
    // raw - a pool of kN objects of `size` bytes; null when the handler refuses.
    rte_mempool* raw(uint32_t size = kSize, uintptr_t keep = kKeep, unsigned flags = 0) {
        rte_mempool* pool = rte_mempool_create_empty(name().c_str(), kN, size, 0, 0, 0, flags);
        EXPECT_EQ(rte_mempool_set_ops_byname(pool, "checked", reinterpret_cast<void*>(keep)), 0);
        refused_ = rte_mempool_populate_default(pool);
        if (refused_ < 0) {
            rte_mempool_free(pool);
            return nullptr;
        }
        return keep_pool(pool);
    }
    rte_mempool* mbufs(uint16_t priv = 64, uint16_t room = 512) {
        return keep_pool(rte_pktmbuf_pool_create(name().c_str(), kN, 0, priv, room, 0));
    }
    rte_mempool* keep_pool(rte_mempool* pool) {
        EXPECT_NE(pool, nullptr);
        pools_.push_back(pool);
        return pool;
    }
    static std::string name() {
        static int n = 0;
        return "checked_" + std::to_string(++n);
    }
    int refused_ = 0;

  private:
    std::vector<rte_mempool*> pools_;
    std::set<std::string> set_;
};

// A byte that a death test writes: EAL's memory is shared with the child that dies, so the parent
// has to put it back.
class Byte {
  public:
    explicit Byte(void* at) : at_(static_cast<char*>(at)), was_(*at_) {}
    ~Byte() { *at_ = was_; }
    Byte(const Byte&) = delete;
    Byte& operator=(const Byte&) = delete;
    void write(char c) { *at_ = c; }

  private:
    char* at_;
    char was_;
};

inline char* take(rte_mempool* pool) {
    void* object = nullptr;
    EXPECT_EQ(rte_mempool_get(pool, &object), 0);
    return static_cast<char*>(object);
}
inline std::vector<void*> take(rte_mempool* pool, uint32_t n) {
    std::vector<void*> objects(n);
    EXPECT_EQ(rte_mempool_get_bulk(pool, objects.data(), n), 0);
    return objects;
}
inline void put(rte_mempool* pool, const std::vector<void*>& objects) {
    rte_mempool_put_bulk(pool, objects.data(), static_cast<unsigned>(objects.size()));
}
// turn_over - take everything and put it back: so every object is looked at.
inline void turn_over(rte_mempool* pool) { put(pool, take(pool, pool->size)); }

}  // namespace umbuf::test
