// SPDX-License-Identifier: BSD-2-Clause
// eal.cc - rte_eal_init() with its output caught, its crashes turned into an exit, and its silence
// about missing devices ended.
#include "drivers/net/eal.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_log.h>

#include "drivers/net/eal_args.h"
#include "drivers/net/interrupt_thread.h"

namespace umbuf {

namespace {

std::string g_log;  // [c] what DPDK said

// The catch: standard output and error, and with them DPDK's log, go to a memory file while
// rte_eal_init() runs. One per process, in plain ints, because a signal handler reads it.
struct Catch {
    int file = -1, out = -1, err = -1;
};
Catch g_catch;

void write_all(int fd, const char* text, size_t n) noexcept {
    while (n > 0) {
        const ssize_t w = write(fd, text, n);
        if (w <= 0) return;
        text += w;
        n -= static_cast<size_t>(w);
    }
}

void give_back() noexcept {
    std::fflush(stdout);
    std::fflush(stderr);
    dup2(g_catch.out, STDOUT_FILENO);
    dup2(g_catch.err, STDERR_FILENO);
}

// Async-signal-safe: system calls only.
void tell_and_copy(const char* sentence) noexcept {
    write_all(g_catch.err, sentence, std::strlen(sentence));
    char block[4096];
    lseek(g_catch.file, 0, SEEK_SET);
    for (ssize_t n; (n = read(g_catch.file, block, sizeof block)) > 0;)
        write_all(g_catch.err, block, static_cast<size_t>(n));
}

extern "C" void died_inside(int) {
    tell_and_copy("umbuf: DPDK crashed while it started; this is what it said before:\n");
    _exit(EXIT_FAILURE);
}

// exit() inside rte_eal_init(), by a driver or a plug-in.
void left_inside() {
    if (g_catch.file < 0) return;
    give_back();
    tell_and_copy("umbuf: DPDK ended the process while it started; this is what it said before:\n");
}

constexpr int kDeadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};

bool begin_catch(struct sigaction* old) {
    g_catch.file = memfd_create("umbuf-eal", MFD_CLOEXEC);
    if (g_catch.file < 0) return false;
    std::fflush(stdout);
    std::fflush(stderr);
    g_catch.out = dup(STDOUT_FILENO);
    g_catch.err = dup(STDERR_FILENO);
    dup2(g_catch.file, STDOUT_FILENO);
    dup2(g_catch.file, STDERR_FILENO);
    static const bool registered = std::atexit(left_inside) == 0;
    static_cast<void>(registered);
    struct sigaction action {};
    action.sa_handler = died_inside;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    for (const int number : kDeadly)
        sigaction(number, &action, old++);
    return true;
}

std::string end_catch(const struct sigaction* old) {
    for (const int number : kDeadly)
        sigaction(number, old++, nullptr);
    give_back();
    std::string said(static_cast<size_t>(std::max<off_t>(0, lseek(g_catch.file, 0, SEEK_END))),
                     '\0');
    const ssize_t n = pread(g_catch.file, said.data(), said.size(), 0);
    said.resize(static_cast<size_t>(std::max<ssize_t>(0, n)));
    close(g_catch.file);
    close(g_catch.out);
    close(g_catch.err);
    g_catch = {};
    return said;
}

// init - rte_eal_init(), quiet. Without a memory file it is loud, which is no reason to fail.
int init(int argc, char** argv) {
    struct sigaction old[std::size(kDeadly)];
    if (!begin_catch(old)) return rte_eal_init(argc, argv);
    // EAL's own stream keeps a copy of the file number of standard error, which is ours again after
    // end_catch(): nothing is left to restore.
    const int used = rte_eal_init(argc, argv);
    const int code = rte_errno;
    g_log = end_catch(old);
    rte_errno = code;
    return used;
}

std::string name_in(const std::string& devargs) {
    return devargs.substr(0, devargs.find(','));
}

// Network devices only: other classes have no list that says what came of a name.
bool is_network(const std::string& vdev) {
    return vdev.starts_with("net_") || vdev.starts_with("eth_");
}

bool vdev_is_there(const std::string& devargs) {
    uint16_t port = 0;
    return rte_eth_dev_get_port_by_name(name_in(devargs).c_str(), &port) == 0;
}

// "3b:00.0" and "0000:3b:00.0" are the same device; a card with several ports adds "_0", "_1".
bool pci_is_there(const std::string& devargs) {
    std::string address = name_in(devargs);
    if (address.size() == 7) address = "0000:" + address;
    for (uint16_t port = 0; port < RTE_MAX_ETHPORTS; ++port) {
        char name[RTE_ETH_NAME_MAX_LEN] = "";
        if (rte_eth_dev_is_valid_port(port) != 0 && rte_eth_dev_get_name_by_port(port, name) == 0 &&
            std::string_view(name).starts_with(address))
            return true;
    }
    return false;
}

// looks_like_nic - is this an address of the PCI bus that is absent, or of a network device? (An
// accelerator that was allowed by -a has no port, and is not ours to judge.)
bool looks_like_nic(const std::string& devargs) {
    std::string address = name_in(devargs);
    if (address.size() == 7) address = "0000:" + address;
    if (address.size() != 12 || address[4] != ':' || address[7] != ':' || address[10] != '.')
        return false;
    std::FILE* file = std::fopen(("/sys/bus/pci/devices/" + address + "/class").c_str(), "r");
    if (file == nullptr) return true;
    unsigned device_class = 0;
    const bool read = std::fscanf(file, "%x", &device_class) == 1;
    std::fclose(file);
    return read && device_class >> 16 == 0x02;
}

Status all_devices(const EalArgs& args) {
    for (const std::string& vdev : args.vdevs)
        if (is_network(vdev) && !vdev_is_there(vdev))
            return Error{ENODEV, why_no_device(vdev, g_log)};
    for (const std::string& pci : args.allowed)
        if (looks_like_nic(pci) && !pci_is_there(pci))
            return Error{ENODEV, why_no_device(pci, g_log)};
    return {};
}

// What EAL does not refuse, but hangs or dies of.
Status check_before(const EalArgs& args) {
    if (args.no_huge && args.memory_mb != 0) {
        const auto have = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                              static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) >>
                          20;
        if (args.memory_mb > have)
            return Error{ENOMEM, fmt::format("-m {}: the machine has {} MB of memory; ask for less",
                                             args.memory_mb, have)};
    }
    for (const std::string& vdev : args.vdevs)
        if (vdev.starts_with("net_virtio_user") && vdev.find("server=1") != std::string::npos)
            fmt::print(stderr, "umbuf: {} waits for the other side to connect\n", name_in(vdev));
    return {};
}

}  // namespace

const std::string& eal_log() noexcept {
    return g_log;
}

Result<int> eal_start(int argc, char** argv) {
    const EalArgs args = EalArgs::of(argc, argv);    // now: EAL overwrites one of them
    if (args.help) return rte_eal_init(argc, argv);  // prints, and does not come back
    if (Status s = check_before(args); !s.ok()) return s.error();
    // A vhost-user peer that dies leaves a socket that virtio-user still writes to when its port is
    // stopped: that must be an error of one port, not the end of the process.
    std::signal(SIGPIPE, SIG_IGN);
    const int used = init(argc, argv);
    if (args.log_level) fmt::print(stderr, "{}", g_log);
    if (used < 0) {
        const int code = rte_errno == 0 ? EBUSY : rte_errno;
        return Error{code, why_no_eal(args, code, g_log)};
    }
    if (Status s = all_devices(args); !s.ok()) {
        rte_eal_cleanup();
        return s.error();
    }
    return used;
}

void eal_end() {
    if (on_interrupt_thread([] {})) rte_eal_cleanup();
}

}  // namespace umbuf
