// SPDX-License-Identifier: BSD-2-Clause
// eal_why.cc - the reason behind a device, or all of DPDK, that could not be had.
//
// First the facts (is the file there, may we write it, is anybody listening), because they give the
// remedy; DPDK's own words only when the facts explain nothing.
#include <net/if.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <rte_config.h>
#include <rte_errno.h>

#include "drivers/net/eal.h"
#include "drivers/net/eal_args.h"

namespace umbuf {

namespace {

using Text = std::string_view;
using Reason = std::optional<std::string>;

std::vector<Text> lines_of(Text text) {
    std::vector<Text> lines;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        if (end != 0) lines.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

bool has(Text text, Text part) {
    return text.find(part) != Text::npos;
}

// is_chatter - a line that every start prints, or that only repeats that something failed.
bool is_chatter(Text line) {
    static constexpr Text kChatter[] = {"EAL: Detected",
                                        "EAL: Multi-process",
                                        "EAL: Selected IOVA",
                                        "EAL: Physical addresses",
                                        "EAL: FATAL",
                                        "EAL: Cannot init",
                                        "EAL: Invalid 'command line'",
                                        "EAL: Bus (",
                                        "TELEMETRY:",
                                        "vdev_probe():",
                                        "EAL: Unable to parse device",
                                        "EAL: No free ",
                                        "EAL: Cannot create runtime",
                                        "EAL: No available",
                                        "EAL: VFIO support",
                                        "EAL: Probe PCI"};
    return std::any_of(std::begin(kChatter), std::end(kChatter),
                       [&](Text start) { return line.starts_with(start); });
}

// last_words - the last line before the usage page that says something.
std::string last_words(Text said) {
    std::string words;
    for (const Text line : lines_of(said.substr(0, said.find("\nUsage:"))))
        if (!is_chatter(line)) words = line;
    if (words.starts_with("EAL: ")) words.erase(0, 5);
    return words;
}

// words_about - the first of the lines that end in "failed to initialize NAME device": drivers tell
// the cause first and then, frame by frame, that it went wrong.
std::string words_about(Text name, Text said) {
    std::string words;
    for (const Text line : lines_of(said)) {
        if (line.starts_with("EAL:") || line.starts_with("TELEMETRY:")) {
            if (has(line, name) && !is_chatter(line)) return std::string(line);
            words.clear();
        } else if (has(line, "failed to initialize")) {
            if (has(line, name)) return words;
            words.clear();
        } else if (words.empty()) {
            words = line;
        }
    }
    return {};
}

std::string value_in(Text devargs, Text key) {
    for (size_t at = devargs.find(','); at != Text::npos;) {
        const Text item = devargs.substr(at + 1);
        at = devargs.find(',', at + 1);
        if (item.size() > key.size() && item.starts_with(key) && item[key.size()] == '=') {
            const Text value = item.substr(key.size() + 1);
            return std::string(value.substr(0, value.find(',')));
        }
    }
    return {};
}

std::string folder_of(const std::string& path) {
    const std::string folder = std::filesystem::path(path).parent_path().string();
    return folder.empty() ? "." : folder;
}

// ---- what each driver needs ---------------------------------------------------------------------

// nobody_listens - tries what the driver tried.
bool nobody_listens(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return true;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    const bool refused = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0;
    close(fd);
    return refused;
}

Reason virtio_user(Text args) {
    const std::string path = value_in(args, "path");
    if (path.empty())
        return "it needs path=SOCKET, the vhost-user side's socket, or path=/dev/vhost-net";
    if (value_in(args, "server") == "1") {
        if (access(path.c_str(), F_OK) == 0)
            return fmt::format(
                "the socket {} is there already: if no other program uses it, it is "
                "left from an earlier run: remove it",
                path);
        return access(folder_of(path).c_str(), W_OK) == 0
                   ? Reason{}
                   : fmt::format("cannot make the socket {}: {}", path, std::strerror(errno));
    }
    struct ::stat st {};
    if (::stat(path.c_str(), &st) != 0) {
        if (path.starts_with("/dev/"))
            return fmt::format(
                "there is no {}: load the kernel's module for it (modprobe vhost_net)", path);
        if (errno == EACCES)
            return fmt::format("no right to reach {}: run as its owner, or as root", path);
        return fmt::format(
            "there is no socket {}: start the vhost-user side first, or add server=1 and "
            "let it connect here",
            path);
    }
    if (access(path.c_str(), R_OK | W_OK) != 0)
        return fmt::format("no right to open {}: run as root, or get the right (chmod, chown)",
                           path);
    if (S_ISSOCK(st.st_mode)) {
        if (nobody_listens(path))
            return fmt::format(
                "nobody listens on {}: start the vhost-user side first (the file is left "
                "from an earlier run)",
                path);
        return {};
    }
    if (!S_ISCHR(st.st_mode)) return fmt::format("{} is neither a socket nor a vhost device", path);
    return {};
}

Reason interface(Text args, Text key, Text said) {
    const std::string name = value_in(args, key);
    if (name.empty()) return fmt::format("it needs {}=NAME, a network interface (ip link)", key);
    if (if_nametoindex(name.c_str()) == 0)
        return fmt::format(
            "there is no network interface '{}' in this network namespace; 'ip link' "
            "lists those there are",
            name);
    if (has(said, "Could not open AF_PACKET socket") || geteuid() != 0)
        return "no right to open a packet socket: run as root, or give the program CAP_NET_RAW "
               "(setcap cap_net_raw,cap_net_admin+ep PROGRAM)";
    return {};
}

Reason pcap(Text args) {
    if (const std::string in = value_in(args, "rx_pcap"); !in.empty()) {
        if (access(in.c_str(), R_OK) != 0)
            return fmt::format("cannot read {}: {}; rx_pcap= names an existing capture", in,
                               std::strerror(errno));
    }
    if (const std::string out = value_in(args, "tx_pcap"); !out.empty()) {
        const std::string where = access(out.c_str(), F_OK) == 0 ? out : folder_of(out);
        if (access(where.c_str(), W_OK) != 0)
            return fmt::format("cannot write {}: {}: {}", out, where, std::strerror(errno));
    }
    for (const Text key : {"iface", "rx_iface", "rx_iface_in", "tx_iface"})
        if (!value_in(args, key).empty())
            if (Reason r = interface(args, key, {})) return r;
    return {};
}

Reason memif(Text args) {
    const std::string path = value_in(args, "socket");
    if (path.empty() || value_in(args, "socket-abstract") != "no") return {};
    const std::string folder = folder_of(path);
    if (access(folder.c_str(), F_OK) != 0)
        return fmt::format("there is no folder {} for its socket: {}", folder,
                           std::strerror(errno));
    if (access(folder.c_str(), W_OK | X_OK) != 0)
        return fmt::format("no right to use the folder {} for its socket: {}", folder,
                           std::strerror(errno));
    return {};
}

Reason tap(Text said) {
    if (access("/dev/net/tun", F_OK) != 0) return "there is no /dev/net/tun: modprobe tun";
    if (has(said, "Operation not permitted") || access("/dev/net/tun", R_OK | W_OK) != 0)
        return "no right to make a TAP interface: run as root, or give the program CAP_NET_ADMIN "
               "(setcap cap_net_admin+ep PROGRAM)";
    return {};
}

Reason vdev_fact(Text args, Text said) {
    if (args.starts_with("net_virtio_user")) return virtio_user(args);
    if (args.starts_with("net_af_packet") || args.starts_with("net_af_xdp"))
        return interface(args, "iface", said);
    if (args.starts_with("net_pcap")) return pcap(args);
    if (args.starts_with("net_memif")) return memif(args);
    if (args.starts_with("net_tap")) return tap(said);
    return {};
}

// ---- PCI ----------------------------------------------------------------------------------------

Reason pci_fact(const std::string& address) {
    namespace fs = std::filesystem;
    const fs::path device = "/sys/bus/pci/devices/" + address;
    std::error_code none;
    if (!fs::exists(device, none))
        return "there is no such PCI device; 'lspci -D' lists those there are";
    const fs::path driver = fs::read_symlink(device / "driver", none).filename();
    const std::string bind = fmt::format(
        "dpdk-devbind.py --bind=vfio-pci {} (the kernel then loses it: not the interface that you "
        "are logged in by)",
        address);
    if (driver.empty()) return fmt::format("no kernel driver has it; give it to DPDK: {}", bind);
    static constexpr Text kForDpdk[] = {"vfio-pci", "uio_pci_generic", "igb_uio", "mlx4_core",
                                        "mlx5_core"};
    if (std::find(std::begin(kForDpdk), std::end(kForDpdk), driver.string()) == std::end(kForDpdk))
        return fmt::format("the kernel's driver {} has it; give it to DPDK: {}", driver.string(),
                           bind);
    if (geteuid() != 0)
        return fmt::format(
            "{} has it, but this user may not open it: run as root, or get the right to "
            "its /dev/vfio group",
            driver.string());
    return {};
}

// ---- EAL ----------------------------------------------------------------------------------------

uint64_t free_hugepages() {
    uint64_t sum = 0;
    std::error_code none;
    for (const auto& size : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", none)) {
        uint64_t n = 0;
        std::ifstream(size.path() / "free_hugepages") >> n;
        sum += n;
    }
    return sum;
}

std::vector<std::string> hugetlbfs_mounts() {
    std::vector<std::string> mounts;
    std::ifstream file("/proc/mounts");
    for (std::string what, where, type, rest;
         file >> what >> where >> type && std::getline(file, rest);)
        if (type == "hugetlbfs") mounts.push_back(where);
    return mounts;
}

Reason hugepages(const EalArgs& args) {
    if (args.no_huge) return {};
    constexpr Text kInstead = "or run without them: --no-huge -m 512";
    if (free_hugepages() == 0)
        return fmt::format(
            "no hugepages are free: as root, echo 512 > "
            "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages; {}",
            kInstead);
    if (args.in_memory) return {};
    std::vector<std::string> mounts = hugetlbfs_mounts();
    if (!args.huge_dir.empty()) mounts = {args.huge_dir};
    if (mounts.empty())
        return fmt::format(
            "hugetlbfs is not mounted: as root, mount -t hugetlbfs none /dev/hugepages; "
            "or add --in-memory; {}",
            kInstead);
    const bool may = std::any_of(mounts.begin(), mounts.end(), [](const std::string& mount) {
        return access(mount.c_str(), R_OK | W_OK | X_OK) == 0;
    });
    if (!may)
        return fmt::format(
            "no right to make files in {}: run as root, chown it, or add --in-memory; {}",
            mounts.front(), kInstead);
    return {};
}

// unknown_device - EAL says which device no bus and no driver wanted.
Reason unknown_device(const EalArgs& args, Text said) {
    constexpr Text kMark = "failed to parse device \"";
    const size_t at = said.find(kMark);
    if (at == Text::npos) return {};
    const Text rest = said.substr(at + kMark.size());
    const std::string name(rest.substr(0, rest.find_first_of(",\"")));
    const bool vdev = std::any_of(args.vdevs.begin(), args.vdevs.end(),
                                  [&](const std::string& v) { return v.starts_with(name); });
    if (!vdev)
        return fmt::format(
            "-a {}: this is neither a PCI address (0000:3b:00.0) nor a device of another "
            "bus; 'lspci -D' lists the addresses",
            name);
    return fmt::format(
        "--vdev={}: no driver of this DPDK has that name; check the spelling, or install "
        "its package (librte-net-...; drivers are loaded from {})",
        name, RTE_EAL_PMD_PATH);
}

Reason plugin(const EalArgs& args, Text said) {
    for (const std::string& path : args.plugins)
        if (access(path.c_str(), R_OK) != 0 && has(said, path))
            return fmt::format(
                "-d {}: {}; it names a driver's .so, or a folder of them (Debian's are in "
                "{})",
                path, std::strerror(errno), RTE_EAL_PMD_PATH);
    return {};
}

Reason runtime_folder(const EalArgs& args, Text said) {
    if (has(said, "Is another primary process running?"))
        return fmt::format(
            "another DPDK program runs with --file-prefix={}; give this one another prefix",
            args.file_prefix.empty() ? "rte (the default)" : args.file_prefix);
    if (has(said, "Cannot create runtime directory"))
        return fmt::format(
            "DPDK cannot make its folder ({}); set XDG_RUNTIME_DIR to a folder that this "
            "user may write",
            last_words(said));
    return {};
}

}  // namespace

std::string why_no_device(Text devargs, Text said) {
    const std::string name(devargs.substr(0, devargs.find(',')));
    std::string address = name.size() == 7 && name[2] == ':' ? "0000:" + name : name;
    const bool pci = address.size() == 12 && address[4] == ':' && address[7] == ':';
    Reason fact = pci ? pci_fact(address) : vdev_fact(devargs, said);
    const std::string option = pci ? "-a " + name : fmt::format("--vdev={}", devargs);
    if (fact) return fmt::format("{}: {}", option, *fact);
    const std::string words = words_about(name, said);
    if (!words.empty())
        return fmt::format("{}: the driver could not be started; it said: {}", option, words);
    return fmt::format(
        "{}: the driver could not be started and gave no reason; check its arguments, and "
        "that no two devices have this name (more with --log-level=pmd:debug)",
        option);
}

std::string why_no_eal(const EalArgs& args, int code, Text said) {
    if (Reason r = unknown_device(args, said)) return *r;
    if (Reason r = plugin(args, said)) return *r;
    if (Reason r = runtime_folder(args, said)) return *r;
    if (!has(said, "\nUsage:") && has(said, "huge"))
        if (Reason r = hugepages(args)) return *r;
    const std::string words = last_words(said);
    const bool usage = has(said, "\nUsage:");
    if (words.empty()) return fmt::format("DPDK did not start: {}", rte_strerror(code));
    return fmt::format("DPDK did not start: {}{}", words,
                       usage ? "; --help lists its options, ours come after --" : "");
}

}  // namespace umbuf
