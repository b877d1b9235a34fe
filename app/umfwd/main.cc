// SPDX-License-Identifier: BSD-2-Clause
// main.cc - the program umfwd: from the command line to the exit status.
//
//      umfwd [EAL options] [--conf FILE] -- [options]
//      umfwd --check-conf FILE
//
// Status 0: all that was asked was done, each stream's packets add up, every pool is whole, and mode
// seqgen saw nothing corrupt or twice that --faults did not make. What it misses is printed and no
// failure: one side cannot know what the other counted.
// Status 1: anything else, with one sentence on standard error.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <rte_cycles.h>

#include "app/umfwd/conf/command_line.h"
#include "app/umfwd/engines/engines.h"
#include "app/umfwd/gateway/gateway.h"
#include "app/umfwd/machine/capture.h"
#include "app/umfwd/machine/forwarder.h"
#include "app/umfwd/machine/stats_file.h"
#include "app/umfwd/machine/telemetry.h"
#include "app/umfwd/prompt/control.h"
#include "app/umfwd/prompt/prompt.h"
#include "app/umfwd/say.h"
#include "app/umfwd/prompt/show.h"
#include "app/umfwd/signals.h"
#include "app/umfwd/verdict.h"
#include "drivers/net/eal.h"
#include "lib/mbuf/trace.h"

namespace umbuf::fwd {
namespace {

int complain(const Error& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "umfwd: %s\n", error.text.c_str());
    return 1;
}

// own_arguments - where the "--" is; without one, all arguments are EAL's. Somebody who only asks for
// help has not read that yet.
int own_arguments(int argc, char** argv) {
    for (int i = 1; i < argc; ++i)
        if (std::strcmp(argv[i], "--") == 0) return i;
    for (const char* question : {"--help", "-h", "--version"})
        if (argc > 1 && std::strcmp(argv[1], question) == 0) return 0;
    return argc;
}

double seconds_since(uint64_t tsc) {
    return static_cast<double>(rte_rdtsc() - tsc) / static_cast<double>(rte_get_tsc_hz());
}

// Run - one life of the forwarder, in the order of its functions.
class Run {
  public:
    // `control`: null: there is none.
    Run(const Settings& settings, Forwarder& forwarder, const Signals& signals, Control* control)
        : settings_(settings), forwarder_(forwarder), signals_(signals), control_(control),
          prompt_(commands(), session_) {
        session_.forwarder = &forwarder;
        session_.print = [](const std::string& text) { say(text); };
        if (control_ != nullptr) prompt_.listen(control_->fd(), [this] { serve(); });
    }
    ~Run() {
        if (told_by_ != nullptr) told_by_->tell({});
    }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    [[nodiscard]] Status commands_then_packets();

  private:
    [[nodiscard]] Status start();
    [[nodiscard]] bool time_is_up() const;
    void tick();
    void serve();
    void hear_of_sas();
    void print_period();
    void wait_for_the_end();

    const Settings& settings_;
    Forwarder& forwarder_;
    const Signals& signals_;
    Control* const control_;
    Book* told_by_ = nullptr;  // whose events the control socket gets
    Session session_;
    Prompt prompt_;
    uint64_t began_ = rte_rdtsc(), printed_ = rte_rdtsc();
};

Status Run::start() {
    Status status = forwarder_.start(settings_.tx_first);
    if (status) say(forwarder_.config_text());
    began_ = printed_ = rte_rdtsc();
    return status;
}

bool Run::time_is_up() const {
    return settings_.seconds > 0 && seconds_since(began_) >= settings_.seconds;
}

// hear_of_sas - there is a book from the first start of mode esp on.
void Run::hear_of_sas() {
    if (told_by_ != nullptr || forwarder_.gateway() == nullptr) return;
    told_by_ = &forwarder_.gateway()->book();
    told_by_->tell([this](SaEvent event, const std::string& name) { control_->tell(fmt::format("{} {}", name_of(event), name)); });
}

void Run::serve() {
    if (control_ == nullptr) return;
    hear_of_sas();
    control_->serve();
    if (control_->quit()) session_.quit = true;
}

void Run::tick() {
    serve();
    forwarder_.poll();
    print_period();
    if (time_is_up()) session_.quit = true;
}

void Run::print_period() {
    if (settings_.stats_period_s == 0 || seconds_since(printed_) < settings_.stats_period_s) return;
    printed_ = rte_rdtsc();
    std::string text = "\nPort statistics ====================================\n";
    for (const PortForward& port : forwarder_.report().ports)
        if (!port.gone)
            text += show::port_stats(port.port, port.nic, session_.shown[port.port], rte_rdtsc(),
                                     rte_get_tsc_hz());
    say(text);
}

void Run::wait_for_the_end() {
    constexpr double kTick = 0.1;
    for (uint64_t ticked = rte_rdtsc(); !session_.quit;) {
        double left = kTick - seconds_since(ticked);
        if (settings_.seconds > 0) left = std::min(left, settings_.seconds - seconds_since(began_));
        if (signals_.wait(static_cast<int>(std::max(0.0, left) * 1000), control_ != nullptr ? control_->fd() : -1)) return;
        serve();
        if (seconds_since(ticked) < kTick && !time_is_up()) continue;
        ticked = rte_rdtsc();
        tick();
    }
}

// With neither a prompt nor a file of commands there is only one thing that can be meant: forward.
Status Run::commands_then_packets() {
    const bool alone = !settings_.interactive && settings_.cmdline_files.empty();
    for (const std::string& file : settings_.cmdline_files) {
        Status status = prompt_.run_file(file, settings_.strict, signals_.fd(), [this] { tick(); });
        if (!status) return status;
        if (session_.quit || signals_.wait(0)) return {};
    }
    // A file may have said "start" itself.
    if ((settings_.auto_start || alone) && !forwarder_.running())
        if (Status status = start(); !status) return status;
    if (settings_.interactive)
        return prompt_.interact(signals_.fd(), [this] { tick(); }, settings_.strict);
    if (forwarder_.running() || control_ != nullptr) wait_for_the_end();
    return {};
}

Status write_json(const Report& report, const std::string& file) {
    if (file.empty()) return {};
    const std::string text = to_json(report);
    if (file == "-") {
        const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
        if (written && std::fflush(stdout) == 0) return {};
        return Error{EIO, "--json=-: standard output took no more"};
    }
    std::ofstream out(file);
    out << text;
    out.close();
    if (out) return {};
    return Error{EIO, fmt::format("--json={}: cannot be written: {}", file, std::strerror(errno))};
}

// finish - halt, report, judge. The first thing that went wrong is the one to tell.
Status finish(Forwarder& forwarder, const Settings& settings, Status so_far) {
    const bool was_running = forwarder.running();
    if (was_running) say("Telling cores to stop...\nWaiting for lcores to finish...\n");
    const Report report = forwarder.halt();
    // Who has said 'stop' has seen the packets' part.
    say(was_running ? to_text(report) : final_text(report));
    Status written = write_json(report, settings.json_file);
    if (!so_far) return so_far;
    if (Status judged = verdict(report, settings); !judged) return judged;
    if (!written) return written;
    say("\nBye...\n");
    return {};
}

Status run(const Settings& settings) {
    Result<Signals> signals = Signals::create();
    if (!signals) return signals.error();
    const StatsFile stats(settings);
    telemetry_commands();
    if (settings.trace_refcnt)
        if (Status status = trace::start(); !status) return status;
    const Capture capture;
    Result<std::unique_ptr<Forwarder>> forwarder = Forwarder::create(settings);
    if (!forwarder) return forwarder.error();
    Result<std::unique_ptr<Control>> control = std::unique_ptr<Control>();
    if (!settings.control.empty()) control = Control::open(settings.control, forwarder.value().get());
    if (!control) return control.error();
    Status status = Run(settings, *forwarder.value(), signals.value(), control.value().get()).commands_then_packets();
    control.value().reset();
    return finish(*forwarder.value(), settings, std::move(status));
}

int main_with(int given, char** arguments) {
    Beginning with = begin(given, arguments);
    if (with.end) return with.status;
    std::vector<char*> words;
    for (std::string& word : with.argv) words.push_back(word.data());
    const int argc = static_cast<int>(words.size());
    words.push_back(nullptr);
    char** argv = words.data();
    const int own = own_arguments(argc, argv);
    if (Status status = check_eal_side(own, argv); !status) return complain(status.error());
    Result<ParsedArgs> parsed = parse_args(argc - own, argv + own, with.base);  // without "--": none at all
    if (!parsed) return complain(parsed.error());
    if (parsed.value().exit_now) return 0;
    const Settings& settings = parsed.value().settings;
    if (settings.json_file == "-") say_on_standard_error();
    for (const std::string& note : parsed.value().notes) say(note);
    if (Status status = check_files(settings); !status) return complain(status.error());
    if (const Result<int> eal = eal_start(argc, argv); !eal) return complain(eal.error());
    Status status = run(settings);
    esp_close();
    eal_end();
    return status ? 0 : complain(status.error());
}

}  // namespace
}  // namespace umbuf::fwd

int main(int argc, char** argv) { return umbuf::fwd::main_with(argc, argv); }
