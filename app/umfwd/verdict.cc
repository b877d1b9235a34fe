// SPDX-License-Identifier: BSD-2-Clause
// verdict.cc - judges a final report.
#include "app/umfwd/verdict.h"

#include <fmt/format.h>

namespace umbuf::fwd {

namespace {

Status pools_verdict(const Report& report) {
    for (const ZoneReport& zone : report.zones)
        if (zone.in_use != zone.expected)
            return Error{EBUSY, fmt::format("zone {} is not balanced: {} in use, {} expected; somebody "
                                            "still holds mbufs",
                                            zone.name, zone.in_use, zone.expected)};
    return {};
}

FaultPlan plan_of(const Settings& settings) {
    FaultPlan plan;  // check() has read the text before
    if (!settings.faults.empty())
        if (Result<FaultPlan> wanted = FaultPlan::parse(settings.faults); wanted) plan = wanted.value();
    return plan;
}

Status received_verdict(const RecvReport& recv, const Settings& settings) {
    if (recv.corrupt == 0 || plan_of(settings).corrupt != 0) return {};
    return Error{EBADMSG, fmt::format("mode recvfile got {} packets whose bytes are not those of {}", recv.corrupt, settings.sendfile)};
}

Status sequence_verdict(const SeqReport& seq, const Settings& settings) {
    const FaultPlan plan = plan_of(settings);
    if (seq.corrupt > 0 && plan.corrupt == 0)
        return Error{EBADMSG, fmt::format("mode seqgen got {} corrupt packets back: whoever carries them "
                                          "changes them", seq.corrupt)};
    if (seq.duplicate > 0 && plan.duplicate == 0)
        return Error{EBADMSG, fmt::format("mode seqgen got {} packets back twice: whoever carries them "
                                          "repeats them", seq.duplicate)};
    return {};
}

}  // namespace

Status verdict(const Report& report, const Settings& settings) {
    if (!report.problems.empty()) return Error{EIO, report.problems.front()};
    if (Status pools = pools_verdict(report); !pools) return pools;
    if (!report.conserved)
        return Error{EBADMSG, fmt::format("{} packets are not accounted for: see the streams marked NOT "
                                          "CONSERVED", report.surplus.value_or(0))};
    if (const uint64_t failed = report.file.truncated + report.file.errors; failed > 0)
        return Error{EIO, fmt::format("--sendfile={}: {} pages could not be read: it was not sent whole",
                                      settings.sendfile, failed)};
    if (report.file.pages_changed > 0)
        return Error{EIO, fmt::format("--sendfile={}: {} of {} cached pages are not as they were read", settings.sendfile,
                                      report.file.pages_changed, report.file.pages_compared)};
    if (Status received = received_verdict(report.recv, settings); !received) return received;
    return report.seq.used ? sequence_verdict(report.seq, settings) : Status{};
}

}  // namespace umbuf::fwd
