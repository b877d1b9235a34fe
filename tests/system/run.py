# SPDX-License-Identifier: BSD-2-Clause
# run.py - find the system tests, run those that match, print one line each.
#
# usage: /usr/bin/python3 tests/system/run.py [--list] [--tally FILE] [--share I/N] [NAME...]
# Two may run side by side. A test is named "system file.sentence"; a NAME matches any part of that. Exit status 1: something failed.
import argparse
import json
import pathlib
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import case  # noqa: E402
import lab   # noqa: E402


def short_name(test):
    module, *_, method = test.id().split(".")
    return f"system {module.removeprefix('test_')}.{method.removeprefix('test_')}"


def all_tests(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from all_tests(item)
        else:
            yield item


class Lines(unittest.TestResult):
    """One line per test: ok, FAIL or skip, the time it took, its name."""

    def __init__(self):
        super().__init__()
        self.tally = {"passed": 0, "failed": 0, "skipped": 0}

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()
        self.verdict = ("ok", "")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.verdict = ("FAIL", self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        # A sentence of ours needs no stack.
        text = str(err[1]) if isinstance(err[1], lab.LabError) else self.errors[-1][1]
        self.verdict = ("FAIL", text)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.verdict = ("FAIL", f"{subtest.id()}: {err[1]}")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.verdict = ("skip", reason)

    def stopTest(self, test):
        super().stopTest(test)
        word, text = self.verdict
        self.tally[{"ok": "passed", "FAIL": "failed", "skip": "skipped"}[word]] += 1
        said = f"{word:4} {time.monotonic() - self.started:6.1f} s  {short_name(test)}" + (f"  ({text})" if word == "skip" else "") + "\n"
        if word == "FAIL":
            said += "".join(f"     {line}\n" for line in text.splitlines())
            said += f"     SEED={case.SEED}, logs: {case.LOGS / test.id()}\n"
        print(said, end="", flush=True)  # at once: another one may print, too


def of_share(tests, share):
    """Every N-th file's, from the I-th on: a file's tests stay together."""
    if not share:
        return tests
    i, n = map(int, share.split("/"))
    files = sorted({type(test).__module__ for test in tests})
    return [test for test in tests if files.index(type(test).__module__) % n == i]


def main():
    parser = argparse.ArgumentParser(description="umbuf's system tests")
    parser.add_argument("--list", action="store_true", help="print the names only")
    parser.add_argument("--tally", help="write {passed, failed, skipped} to this file as JSON")
    parser.add_argument("--share", metavar="I/N", help="every N-th file, from the I-th on (0/N, 1/N ...)")
    parser.add_argument("names", nargs="*", help="run the tests whose name contains one of these")
    options = parser.parse_args()

    found = all_tests(unittest.defaultTestLoader.discover(str(pathlib.Path(__file__).parent)))
    tests = [t for t in found if not options.names or any(n in short_name(t) for n in options.names)]
    tests = of_share(tests, options.share)
    if options.list:
        print("\n".join(short_name(t) for t in tests))
        return 0

    result = Lines()
    # Pages for two processes at a time, for as long as the tests run.
    with lab.Hugepages(2 * 128) if tests else lab.Hugepages(0):
        if tests:
            lab.forget_the_dead()
            print(f"SEED={case.SEED}", flush=True)
        unittest.TestSuite(tests).run(result)
    tally = result.tally
    if options.tally:
        pathlib.Path(options.tally).write_text(json.dumps(tally))
    else:
        print(", ".join(f"{n} {word}" for word, n in tally.items()))
    return 1 if tally["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
