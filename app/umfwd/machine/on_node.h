// SPDX-License-Identifier: BSD-2-Clause
// on_node.h - an object in the memory of the NUMA node whose lcore uses it.
#pragma once
#include <memory>
#include <new>
#include <utility>

#include <rte_malloc.h>

#include "lib/base/check.h"

namespace umbuf::fwd {

template <class T>
struct NodeDelete {
    void operator()(T* object) const noexcept {
        object->~T();
        rte_free(object);
    }
};
template <class T>
using NodePtr = std::unique_ptr<T, NodeDelete<T>>;

// make_on_node - null when EAL has no memory left. A node without memory gives way to another one.
template <class T, class... Args>
[[nodiscard]] NodePtr<T> make_on_node(int node, Args&&... args) {
    static_assert(alignof(T) <= RTE_CACHE_LINE_SIZE);
    void* at = rte_zmalloc_socket("um_object", sizeof(T), RTE_CACHE_LINE_SIZE, node);
    if (at == nullptr) at = rte_zmalloc("um_object", sizeof(T), RTE_CACHE_LINE_SIZE);
    return NodePtr<T>(at == nullptr ? nullptr : new (at) T{std::forward<Args>(args)...});
}

}  // namespace umbuf::fwd
