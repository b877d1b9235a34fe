#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
# check_floors_test.py - every rule of scripts/check-floors bites, and where it should not it does not.
#
# Method: a small clean tree in a temporary folder; each case plants one file in it and names the
# words that the one line about it must hold. A case without words is code that must pass.
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
CHECK = TOP / "scripts" / "check-floors"


def header(name, body):
    return f"// SPDX-License-Identifier: BSD-2-Clause\n// {name} - a test's file.\n#pragma once\n{body}\n"


CLEAN = {
    "lib/base/a.h": header("a.h", "#include <cstdint>"),
    "lib/ref/b.h": header("b.h", '#include "lib/base/a.h"'),
    "lib/mbuf/c.h": header("c.h", '#include <rte_mbuf.h>\n#include "lib/ref/b.h"'),
    "drivers/net/d.h": header("d.h", '#include <rte_ethdev.h>\n#include "lib/mbuf/c.h"'),
}


def run(files, *options):
    with tempfile.TemporaryDirectory() as folder:
        for path, text in (CLEAN | files).items():
            target = pathlib.Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        done = subprocess.run([CHECK, "--root", folder, *options], capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()


class CheckFloors(unittest.TestCase):
    def bites(self, path, body, *words, options=()):
        name = path.rsplit("/", 1)[-1]
        status, lines = run({path: header(name, body)}, *options)
        self.assertEqual((status, len(lines)), (1, 1), lines)
        for word in (path, *words):
            self.assertIn(word, lines[0])

    def passes(self, path, body):
        status, lines = run({path: header(path.rsplit("/", 1)[-1], body)})
        self.assertEqual((status, lines), (0, []))

    def test_a_clean_tree_passes(self):
        self.assertEqual(run({}), (0, []))

    def test_a_lower_floor_may_not_know_an_upper_one(self):
        self.bites("lib/base/x.h", '#include "lib/ref/b.h"', ":4:", "floor 0", "floor 1")
        self.bites("lib/ref/x.h", '#include "lib/mbuf/c.h"', "floor 1", "floor 2")
        self.bites("lib/mbuf/x.h", '#include "drivers/net/d.h"', "floor 2", "floor 4")

    def test_the_same_floor_and_lower_ones_may_be_included(self):
        self.passes("lib/ref/x.h", '#include "lib/ref/b.h"\n#include "lib/base/a.h"')
        self.passes("app/x/x.h", '#include "drivers/net/d.h"\n#include "lib/base/a.h"')

    def test_base_and_ref_run_without_dpdk(self):
        self.bites("lib/base/x.h", "#include <rte_common.h>", "without DPDK")
        self.bites("lib/ref/x.h", "  #  include <rte_mbuf.h>", "without DPDK")
        self.bites("lib/mbuf/x.h", "#include <rte_ethdev.h>", "drivers/")

    def test_the_plugin_stands_on_base_alone(self):
        path = "drivers/mempool/checked/x.h"
        self.passes(path, '#include <rte_mempool.h>\n#include "lib/base/a.h"')
        self.bites(path, '#include "lib/ref/b.h"', "floor 0", "floor 1")
        self.bites(path, "#include <rte_ethdev.h>", "drivers/")

    def test_includes_are_named_from_the_top_and_exist(self):
        self.bites("lib/mbuf/x.h", '#include "c.h"', "from the top")
        self.bites("lib/mbuf/x.h", "#include <lib/mbuf/c.h>", "<>")
        self.bites("lib/mbuf/x.h", '#include "lib/mbuf/none.h"', "does not exist")

    def test_a_folder_on_no_floor_is_refused(self):
        self.bites("lib/extra/x.h", "", "no floor")

    def test_atomics_come_from_the_seam(self):
        self.bites("lib/mbuf/x.h", "std::atomic<int> a;", "sync.h")
        self.bites("app/x/x.h", "int a = __atomic_load_n(p, 0);", "sync.h")
        self.bites("app/x/x.h", "#include <atomic>", "sync.h")
        self.passes("lib/base/sync.h", "#include <atomic>\nstd::atomic<int> a;")
        self.passes("tests/unit/x.h", "#include <atomic>\nstd::atomic<int> a;")

    def test_comments_and_strings_may_name_what_code_may_not(self):
        self.passes("lib/mbuf/x.h", '// not std::atomic\n/* throw\n   throw */ auto s = "throw";')
        self.bites("lib/mbuf/x.h", "/* prose */ throw 1;", "throw")

    def test_only_compat_knows_the_dpdk_version(self):
        self.bites("drivers/net/x.h", "#if RTE_VERSION > 1\n#endif", "compat.h")
        self.passes("lib/mbuf/compat.h", "#if RTE_VERSION > 1\n#endif")

    def test_unfinished_work_is_not_left_in_words(self):
        for word in ("TO" "DO", "FIX" "ME", "X" "XX"):
            self.bites("app/x/x.h", f"// {word}: later", word)

    def test_a_library_does_not_print(self):
        self.bites("lib/mbuf/x.h", "inline void f() { std::cout << 1; }", "does not print")
        self.bites("drivers/net/x.h", 'inline void f() { printf("x"); }', "does not print")

    def test_a_file_says_its_licence_and_what_it_is(self):
        status, lines = run({"lib/base/x.h": "#pragma once\n"})
        self.assertTrue(status == 1 and "licence" in lines[0], lines)
        status, lines = run({"lib/base/x.h": header("y.h", "")})
        self.assertTrue(status == 1 and "x.h - what it is" in lines[0], lines)
        status, lines = run({"scripts/x": "#!/bin/sh\n# SPDX-License-Identifier: BSD-2-Clause\n"})
        self.assertTrue(status == 1 and "# x - what it is" in lines[0], lines)

    def test_a_header_compiles_alone(self):
        self.bites("lib/base/x.h", "inline std::string s;", "compile alone", options=["--headers"])


if __name__ == "__main__":
    sys.exit(unittest.main())
