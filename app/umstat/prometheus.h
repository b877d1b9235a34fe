// SPDX-License-Identifier: BSD-2-Clause
// prometheus.h - a sample as Prometheus wants it, and the server that it asks.
#pragma once
#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/stat/reader.h"

namespace umbuf::umstat {

// metric_name - umbuf_<name>_<unit>, the unit not twice, and _total behind a counter.
[[nodiscard]] std::string metric_name(const stat::Number& number);

// families - all numbers of a sample: counters, gauges (also for peaks and limits), and histograms with
// bounds of 0, 1, 2, 4, 8 ... Histograms by lcore (named *_lcores) are counters with a label lcore.
[[nodiscard]] std::vector<prometheus::MetricFamily> families(const stat::Sample& sample);
// forwarder_families - umbuf_up, and who it is. null: there is none. The numbers of one that has ended or
// died are not among them: an alert on them would never end.
[[nodiscard]] std::vector<prometheus::MetricFamily> forwarder_families(const stat::Sample* sample);

// address_of - "9464" and ":9464" are of loopback. Error: no port.
[[nodiscard]] Result<std::string> address_of(const std::string& where);

// serve - GET /metrics there, each answer sampled when it is asked for, until SIGINT or SIGTERM. There
// need not be a forwarder. Error: the address cannot be had, or the file may not be read.
[[nodiscard]] Status serve(const std::string& where, const std::string& path);

}  // namespace umbuf::umstat
