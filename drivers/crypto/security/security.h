// SPDX-License-Identifier: BSD-2-Clause
// security.h - ESP's cryptography inside a NIC, on the way to the wire (rte_security, inline crypto): what a
// port offers, and an SA in it.
//
// Inline crypto suits what this library is for: the NIC reads the packet by DMA where it lies, shared or
// unmapped, and nobody writes it. Inline protocol, where the NIC makes the headers and counts the numbers, is
// left alone: its replay window, its sequence numbers and its outer headers would be the device's, each with
// its own rules, where ours are tested (docs/ipsec.md).
//
// No NIC here has it. The checks, and the frames (frames.h), are tested with a stand-in; no mode of umfwd uses them
// (docs/ipsec.md, "In a NIC").
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "lib/base/result.h"
#include "lib/ipsec/engine.h"
#include "lib/ipsec/sa.h"

struct rte_mbuf;
struct rte_mempool;
struct rte_security_ctx;

namespace umbuf {

// SecurityPort - a port, as far as this is about it.
struct SecurityPort {
    std::string name;
    rte_security_ctx* context;  // null: its NIC does no ESP
};
[[nodiscard]] SecurityPort security_port(uint16_t port);

// security_offers - can this port's NIC protect (outbound) or open packets of such an SA? Error: "no device",
// and what is missing: rte_security at all, inline crypto for ESP in this mode and direction, the algorithm
// with its sizes, ESN, UDP encapsulation. Control thread.
[[nodiscard]] Status security_offers(const SecurityPort& port, const SaTerms& terms, bool outbound);

// SecuritySession - an SA in a NIC. Control thread.
class SecuritySession {
  public:
    // make - `raw` is the key as Sa::make() has it, and the caller wipes it. Error: security_offers()'s, or
    // what the driver says.
    [[nodiscard]] static Result<std::unique_ptr<SecuritySession>> make(const SecurityPort& port, const SaTerms& terms,
                                                                       std::span<const std::byte> raw, bool outbound);
    ~SecuritySession();
    SecuritySession(const SecuritySession&) = delete;
    SecuritySession& operator=(const SecuritySession&) = delete;

    // offload_flags - what a packet for this session says in ol_flags.
    [[nodiscard]] uint64_t offload_flags() const noexcept;
    // wants_metadata - has set_metadata() to be called for each packet?
    [[nodiscard]] bool wants_metadata() const noexcept;
    // set_metadata - tell the driver of the packet. 0, or a negative errno. The packet's lcore.
    [[nodiscard]] int set_metadata(rte_mbuf* packet) noexcept;

  private:
    SecuritySession(rte_security_ctx* context, void* session, rte_mempool* pool, uint32_t flags) noexcept
        : context_(context), session_(session), pool_(pool), flags_(flags) {}
    rte_security_ctx* context_;
    void* session_;
    rte_mempool* pool_;
    uint32_t flags_;  // RTE_SECURITY_TX_*, of the capability
};

// no_security_device - why --esp-engine=security cannot be had here: a sentence that begins with "no device"
// and names each port.
[[nodiscard]] Error no_security_device();

}  // namespace umbuf
