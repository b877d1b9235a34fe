// SPDX-License-Identifier: BSD-2-Clause
// views.cc - which letter is which text.
#include "app/umstat/views.h"

namespace umbuf::umstat {

std::string text_of(View view, const stat::Sample& sample, const std::string& only, const std::string& path) {
    switch (view) {
    case View::memory: return memory_text(sample);
    case View::interfaces: return interfaces_text(sample, only);
    case View::protocols: return protocols_text(sample);
    case View::drops: return drops_text(sample);
    case View::owners: return owners_text(sample);
    case View::trace: return trace_text(path);
    }
    return {};
}

}  // namespace umbuf::umstat
