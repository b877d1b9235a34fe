// SPDX-License-Identifier: BSD-2-Clause
// misuse.h - what a wrong program does to references, done so that the parent of a death test is well.
//
// EAL's memory without hugepages is shared with a forked child. What the child breaks before it dies
// is broken for us, too; so it is kept and put back.
#pragma once
#include <array>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "tests/unit/fixture.h"

namespace umbuf::test {

// Kept - headers and control lines as they were, until put_back().
class Kept {
  public:
    Kept(std::initializer_list<Mbuf*> headers, ExtControl* control) {
        for (Mbuf* m : headers) keep(m, sizeof *m);
        keep(control, sizeof *control);
    }
    void put_back() const {
        for (const Piece& p : pieces_) std::memcpy(p.at, p.bytes.data(), p.bytes.size());
    }

  private:
    struct Piece {
        void* at;
        std::vector<char> bytes;
    };
    void keep(void* at, size_t n) {
        pieces_.push_back({at, std::vector<char>(n)});
        std::memcpy(pieces_.back().bytes.data(), at, n);
    }
    std::vector<Piece> pieces_;
};

// raw_copy - a header that has m's view without having taken it.
inline Mbuf* raw_copy(const Mbuf* m) {
    Mbuf* copy = m_get(M_NOWAIT, MT_DATA);
    std::memcpy(copy->view, m->view, sizeof copy->view);
    copy->ctl.store(m->ctl.load(sync::relaxed), sync::relaxed);
    copy->ext_type = m->ext_type;
    copy->ext_zone = m->ext_zone;
    return copy;
}
// end_of_raw_copy - the header without the view.
inline void end_of_raw_copy(Mbuf* copy) {
    std::memset(copy->view, 0, sizeof copy->view);
    copy->ctl.store(nullptr, sync::relaxed);
    copy->ext_type = ExtType::none;
    m_free(copy);
}
// release - what a driver's free runs into.
inline void release(Mbuf* m) { m->shinfo.free_cb(m->rte.buf_addr, m); }

}  // namespace umbuf::test
