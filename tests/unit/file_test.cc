// SPDX-License-Identifier: BSD-2-Clause
// file_test.cc - files in pages: read right by every backend, cached, evicted, and failed as they should.
#include <rte_errno.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "tests/unit/file_fixture.h"

namespace umbuf::test {
namespace {

// all_of - a file as the cache tells it.
std::string all_of(PageCache& cache, const InputFile& file) {
    std::string all;
    for (uint64_t i = 0; i * cache.unit() < file.size(); ++i) {
        Mbuf* m = cache.get(file, i);
        if (m == nullptr) return "no page " + std::to_string(i);
        while (m_notready(m) == EBUSY) std::this_thread::yield();
        all += bytes_of(m);
        m_freem(m);
    }
    return all;
}

TEST_F(FileTest, EachBackendReadsAllOfAFileAtEveryLength) {
    for (const auto backend : {uring_backend, pread_backend}) {
        Result<std::unique_ptr<ReadBackend>> made = backend();
        if (!made) {
            std::printf("not here: %s\n", made.error().text.c_str());
            EXPECT_NE(backend, pread_backend) << "pread is everywhere";
            continue;
        }
        start(FileReader::open(kPages, std::move(made).value()));
        for (const size_t n : {1U, 4095U, 4096U, 4097U, kUnit - 1, kUnit, kUnit + 1, 20 * kUnit + 77}) {
            const NamelessFile file(pattern(n));
            const auto input = opened(file);
            EXPECT_EQ(all_of(*cache_, *input), pattern(n)) << n << " by " << reader_->backend_name();
        }
        EXPECT_EQ(reader_->counters().truncated + reader_->counters().errors, 0U);
        stop();
    }
}

// A line of /proc/self/maps.
struct Mapping {
    uintptr_t from = 0, to = 0;
    char rights[5] = {};
    uint64_t offset = 0;
    unsigned long inode = 0;
};
std::vector<Mapping> mappings() {
    std::ifstream maps("/proc/self/maps");
    std::vector<Mapping> all;
    for (std::string line; std::getline(maps, line);) {
        Mapping m;
        if (std::sscanf(line.c_str(), "%lx-%lx %4s %lx %*s %lu", &m.from, &m.to, m.rights, &m.offset, &m.inode) == 5)
            all.push_back(m);
    }
    return all;
}
// writers_of - mappings by which this process can write what lies at the address.
size_t writers_of(const void* address) {
    const auto at = reinterpret_cast<uintptr_t>(address);
    const std::vector<Mapping> all = mappings();
    const auto own = std::find_if(all.begin(), all.end(), [at](const Mapping& m) { return at >= m.from && at < m.to; });
    if (own == all.end()) return SIZE_MAX;
    const uint64_t place = own->offset + (at - own->from);
    return static_cast<size_t>(std::count_if(all.begin(), all.end(), [&](const Mapping& m) {
        return m.inode == own->inode && place >= m.offset && place - m.offset < m.to - m.from && m.rights[1] == 'w';
    }));
}

// P2: the window is gone, and pages are filled nevertheless.
TEST_F(FileTest, IoUringFillsPagesThatNoAddressOfOursCanWrite) {
    Result<std::unique_ptr<ReadBackend>> uring = uring_backend();
    if (!uring) GTEST_SKIP() << uring.error().text;
    start(FileReader::open(kPages, std::move(uring).value()));
    const NamelessFile file(pattern(kUnit));
    const auto input = opened(file);
    Mbuf* m = cache_->get(*input, 0);
    EXPECT_EQ(writers_of(m->data()), 0U);
    EXPECT_EQ(text(m), pattern(kUnit));
    {
        const FillWindow window = FillWindow::open().value();
        EXPECT_EQ(writers_of(m->data()), 1U) << "so it would be seen";
    }
    m_freem(m);
}

TEST_F(FileTest, RepeatedReadsAreNoReads) {
    start();
    const NamelessFile file(pattern(kPages * kUnit));
    const auto input = opened(file);
    for (int round = 0; round < 5; ++round) EXPECT_EQ(all_of(*cache_, *input), pattern(kPages * kUnit));
    EXPECT_EQ(reader_->counters().bytes, kPages * kUnit);
    EXPECT_EQ(cache_->counters().misses, kPages);
    EXPECT_EQ(cache_->counters().hits, 4 * kPages);
    EXPECT_EQ(cache_->counters().evictions, 0U);
}

TEST_F(FileTest, AHeldPageIsNotEvictedAndAFreedOneIs) {
    start();
    const NamelessFile file(pattern(3 * kPages * kUnit));
    const auto input = opened(file);
    std::vector<Mbuf*> held;
    for (uint32_t i = 0; i < kPages; ++i) {
        held.push_back(cache_->get(*input, i));
        ASSERT_NE(held.back(), nullptr);
    }
    EXPECT_EQ(cache_->get(*input, kPages), nullptr);
    EXPECT_EQ(rte_errno, ENOBUFS);
    EXPECT_EQ(cache_->counters().no_page, 1U);
    for (Mbuf* m : held) EXPECT_EQ(arrival(m), 0);
    EXPECT_EQ(cache_->get(*input, kPages), nullptr) << "ready, but held";
    // A window of a view holds the page as the view did.
    Mbuf* piece = m_copym(held[3], 100, 50, M_NOWAIT);
    m_freem(held[3]);
    EXPECT_EQ(cache_->get(*input, kPages), nullptr);
    m_freem(piece);
    Mbuf* next = cache_->get(*input, kPages);
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(text(next), pattern(3 * kPages * kUnit).substr(kPages * kUnit, kUnit));
    EXPECT_EQ(cache_->counters().evictions, 1U);
    for (uint32_t i = 0; i < kPages; ++i)
        if (i != 3) {
            EXPECT_EQ(text(held[i]), pattern(3 * kPages * kUnit).substr(i * kUnit, kUnit));
            m_freem(held[i]);
        }
    m_freem(next);
    EXPECT_EQ(all_of(*cache_, *input), pattern(3 * kPages * kUnit));
}

TEST_F(FileTest, WhatWasAskedForSinceTheHandsVisitStaysOnceMore) {
    start();
    const NamelessFile file(pattern(4 * kPages * kUnit));
    const auto input = opened(file);
    const auto touch = [&](uint64_t i) {
        Mbuf* m = cache_->get(*input, i);
        ASSERT_NE(m, nullptr);
        EXPECT_EQ(arrival(m), 0);
        m_freem(m);
    };
    for (uint64_t i = 0; i <= kPages; ++i) touch(i);  // the hand has been everywhere, and took one
    for (uint64_t i = kPages + 1; i < 2 * kPages; ++i) {
        touch(kPages);
        touch(i);
    }
    const uint64_t misses = cache_->counters().misses;
    touch(kPages);
    EXPECT_EQ(cache_->counters().misses, misses);
}

TEST_F(FileTest, AFillingPageIsSharedAndReadOnce) {
    BadDisk& disk = start_with_bad_disk();
    disk.hold();
    const NamelessFile file(pattern(kUnit));
    const auto input = opened(file);
    Mbuf* a = cache_->get(*input, 0);
    Mbuf* b = cache_->get(*input, 0);
    EXPECT_EQ(m_notready(a), EBUSY);
    EXPECT_EQ(m_notready(b), EBUSY);
    EXPECT_NE(b->flags() & M_NOTREADY, 0U);
    disk.release(0);
    EXPECT_EQ(text(a), pattern(kUnit));
    EXPECT_EQ(text(b), pattern(kUnit));
    EXPECT_EQ(reader_->counters().reads, 1U);
    m_freem(a);
    m_freem(b);
}

// C1: what the disk still writes to must not be given to another.
TEST_F(FileTest, AFillingPageIsNotEvictedAlthoughNobodyHoldsIt) {
    BadDisk& disk = start_with_bad_disk();
    disk.hold();
    const NamelessFile file(pattern(2 * kPages * kUnit));
    const auto input = opened(file);
    for (uint32_t i = 0; i < kPages; ++i) m_freem(cache_->get(*input, i));
    EXPECT_EQ(cache_->get(*input, kPages), nullptr);
    EXPECT_EQ(cache_->counters().evictions, 0U);
    disk.release_all();
    EXPECT_EQ(all_of(*cache_, *input), pattern(2 * kPages * kUnit));
}

TEST_F(FileTest, ShortReadsGoOnWhereTheyEnded) {
    BadDisk& disk = start_with_bad_disk();
    const NamelessFile file(pattern(2 * kUnit));
    const auto input = opened(file);
    disk.fate(0, {.most = 4096});
    disk.fate(4096, {.most = 1000});
    disk.fate(5096, {.most = 1});
    disk.fate(kUnit, {.most = UINT32_MAX, .error = EINTR});
    EXPECT_EQ(all_of(*cache_, *input), pattern(2 * kUnit));
    EXPECT_EQ(reader_->counters().short_reads, 3U);
    EXPECT_EQ(reader_->counters().reads, 6U);
    EXPECT_EQ(reader_->counters().bytes, 2 * kUnit);
}

TEST_F(FileTest, AFileSystemThatRefusesDirectReadsIsReadOtherwise) {
    BadDisk& disk = start_with_bad_disk();
    const NamelessFile file(pattern(2 * kUnit));
    const auto input = opened(file);
    if (input->direct_fd() < 0) GTEST_SKIP() << "no O_DIRECT here";
    disk.fate(0, {.most = UINT32_MAX, .error = EINVAL});
    EXPECT_EQ(all_of(*cache_, *input), pattern(2 * kUnit));
    EXPECT_EQ(reader_->counters().direct_refused, 1U);
    EXPECT_EQ(input->direct_fd(), -1);
}

TEST_F(FileTest, AnErrorFailsThePageOnceAndTheNextQuestionReadsAnew) {
    BadDisk& disk = start_with_bad_disk();
    const NamelessFile file(pattern(2 * kUnit));
    const auto input = opened(file);
    disk.fate(0, {.most = UINT32_MAX, .error = EIO});
    Mbuf* failed = cache_->get(*input, 0);
    EXPECT_EQ(arrival(failed), EIO);
    EXPECT_EQ(reader_->counters().errors, 1U);
    Mbuf* anew = cache_->get(*input, 0);
    EXPECT_EQ(text(anew), pattern(2 * kUnit).substr(0, kUnit));
    EXPECT_EQ(m_notready(failed), EIO) << "the old page stays what it was";
    EXPECT_NE(page_of(failed), page_of(anew));
    EXPECT_EQ(cache_->counters().retried, 1U);
    m_freem(failed);
    m_freem(anew);
}

TEST_F(FileTest, AFileThatWasCutFailsWhereItEnds) {
    start();
    const NamelessFile file(pattern(3 * kUnit));
    const auto input = opened(file);
    file.cut(kUnit + 5000);
    Mbuf* pages[3];
    for (uint64_t i = 0; i < 3; ++i) pages[i] = cache_->get(*input, i);
    EXPECT_EQ(text(pages[0]), pattern(3 * kUnit).substr(0, kUnit));
    EXPECT_EQ(arrival(pages[1]), EIO);
    EXPECT_EQ(arrival(pages[2]), EIO);
    EXPECT_EQ(reader_->counters().truncated, 2U);
    EXPECT_EQ(reader_->counters().errors, 0U);
    for (Mbuf* m : pages) m_freem(m);
}

TEST_F(FileTest, AFileThatGrowsIsServedUpToItsSizeAtTheOpening) {
    start();
    const NamelessFile file(pattern(kUnit + 100));
    const auto input = opened(file);
    file.cut(3 * kUnit);  // longer, in truth
    EXPECT_EQ(all_of(*cache_, *input), pattern(kUnit + 100));
}

TEST_F(FileTest, AFileWithoutANameIsStillRead) {
    start();
    std::unique_ptr<InputFile> input;
    {
        const NamelessFile file(pattern(2 * kUnit));
        input = opened(file);
    }
    EXPECT_EQ(all_of(*cache_, *input), pattern(2 * kUnit));
}

TEST_F(FileTest, WhatIsNoFileIsRefusedWithASentence) {
    EXPECT_EQ(InputFile::open("umbuf_no_such_file").error().code, ENOENT);
    EXPECT_EQ(InputFile::open(".").error().code, EISDIR);
    EXPECT_NE(InputFile::open("/dev/null").error().text.find("no regular file"), std::string::npos);
    const std::string fifo = "umbuf_test_fifo";
    ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_EQ(InputFile::open(fifo).error().code, EINVAL);
    ::unlink(fifo.c_str());
}

TEST_F(FileTest, TheCacheGoesWhileOthersHoldViews) {
    start();
    const NamelessFile file(pattern(2 * kUnit));
    const auto input = opened(file);
    Mbuf* a = cache_->get(*input, 0);
    Mbuf* b = cache_->get(*input, 1);
    m_freem(b);  // perhaps while it is filling
    stop();
    EXPECT_EQ(text(a), pattern(2 * kUnit).substr(0, kUnit));
    EXPECT_EQ(page_counters().in_use[0], 1U);
    m_freem(a);
}

TEST_F(FileTest, ManyThreadsShareOneCache) {
    start();
    const std::string bytes = pattern(6 * kPages * kUnit);
    const NamelessFile file(bytes);
    const auto input = opened(file);
    sync::atomic<uint32_t> wrong{0}, looked{0};
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < 3; ++t)
        threads.emplace_back([&, t] {
            std::mt19937_64 random(seed() + t);
            for (uint32_t n = 0; n < 400;) {
                const uint64_t i = random() % (6 * kPages);
                Mbuf* m = cache_->get(*input, i);
                if (m == nullptr) continue;
                ++n;
                while (m_notready(m) == EBUSY) std::this_thread::yield();
                if (bytes_of(m) != bytes.substr(i * kUnit, kUnit)) wrong.fetch_add(1, sync::relaxed);
                looked.fetch_add(1, sync::relaxed);
                m_freem(m);
                refs_flush();
            }
        });
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(wrong.load(sync::relaxed), 0U);
    EXPECT_EQ(looked.load(sync::relaxed), 1200U);
    EXPECT_GT(cache_->counters().evictions, 0U);
}

}  // namespace
}  // namespace umbuf::test
