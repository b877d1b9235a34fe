// SPDX-License-Identifier: BSD-2-Clause
// page_fixture.h - an arena for each test, and pages with something in them.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "lib/mbuf/window.h"
#include "lib/page/arena.h"
#include "lib/page/extpg.h"
#include "lib/page/fault.h"
#include "lib/page/page.h"
#include "tests/unit/fixture.h"

namespace umbuf::test {

// Every test ends with all pages home: arena_close() says nothing.
class PageTest : public MbufTest {
  protected:
    static ArenaConfig config() {
        ArenaConfig c;
        c.cache = {32, 65536};
        c.anonymous = {64, 16384};
        c.device = {4, kFrame};
        c.pool_cache = 0;  // so that "none left" means it
        return c;
    }
    void SetUp() override { open(config()); }
    void open(const ArenaConfig& c) {
        const Status opened = arena_open(c, 0);
        ASSERT_TRUE(opened.ok()) << opened.error().text;
        MbufTest::SetUp();
    }
    void TearDown() override {
        refs_flush();
        MbufTest::TearDown();
        for (const Unbalanced& u : arena_close()) ADD_FAILURE() << u.zone << ": " << u.in_use << " pages are held";
    }
};

class StrictPageTest : public PageTest {
  protected:
    void SetUp() override {
        ArenaConfig c = config();
        c.strict = true;
        open(c);
    }
};

// filled - a ready page of the class with these bytes, in one unmapped mbuf (no packet).
inline Mbuf* filled(PageClass cls, const std::string& bytes) {
    Mbuf* m = mb_alloc_ext_pgs(cls, static_cast<uint32_t>(bytes.size()), M_NOWAIT, "test");
    if (m == nullptr || cls == PageClass::device) return m;
    if (cls == PageClass::anonymous) {
        const WriteWindow out(m, 0, m->len());
        std::memcpy(out.bytes(), bytes.data(), bytes.size());
        return m;
    }
    Page* page = page_of(m);
    FillWindow fill = FillWindow::open().value();
    std::memcpy(fill.at(page), bytes.data(), bytes.size());
    page_ready(page);
    return m;
}

// headed - a packet whose first mbuf has `head` inside, followed by m.
inline Mbuf* headed(const std::string& head, Mbuf* m) {
    Mbuf* first = inlined(head);
    m_cat(first, m);
    return first;
}

// page_bytes - all of a page, whatever mbufs show of it.
inline std::string page_bytes(const Page* page) {
    const std::byte* at = page_ops->open(page->ctl.base, page->ctl.size);
    std::string s(reinterpret_cast<const char*>(at), page->ctl.size);
    page_ops->close(at, page->ctl.size);
    return s;
}

inline bool is_native() { return std::string(refs_in_use().name) == "native"; }

}  // namespace umbuf::test
