// SPDX-License-Identifier: BSD-2-Clause
// views.cc - which letter is which text.
#include "app/umstat/views.h"

namespace umbuf::umstat {

std::string text_of(View view, const stat::Sample& sample, const Options& options, const std::string& path) {
    switch (view) {
    case View::memory: return memory_text(sample);
    case View::interfaces: return interfaces_text(sample, options.interface);
    case View::protocols: return protocols_text(sample);
    case View::drops: return drops_text(sample);
    case View::owners: return owners_text(sample);
    case View::trace: return trace_text(path, options.all);
    }
    return {};
}

}  // namespace umbuf::umstat
