# SPDX-License-Identifier: BSD-2-Clause
# test.py - the test driver: after scripts/test has built everything, run it and count.
#
# A step is a function that prints a line per test and returns a Tally. Logs go to build/test-logs/.
import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from plugin import loadable  # noqa: E402
ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
BUILD = BUILD if BUILD.is_absolute() else ROOT / BUILD
LOGS = BUILD / "test-logs"
HANGS_S = 900  # for a whole step, against hanging only
POLITELY = ["nice", "-n", "19"]  # before compilers that run beside tests
GENTLY = ["nice", "-n", "10"]    # before tests that run beside others, and are given a time to end in


@dataclasses.dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other):
        return Tally(self.passed + other.passed, self.failed + other.failed,
                     self.skipped + other.skipped)

    def __str__(self):
        words = f"{self.passed} passed, {self.failed} failed"
        return words + (f", {self.skipped} skipped" if self.skipped else "")


def show(verdict, seconds, name, note=""):
    text = f"{verdict:4} {seconds:6.1f} s  {name}" + (f"  ({note})" if note else "")
    print(f"{text}\n", end="", flush=True)  # at once: two threads print
    return Tally(int(verdict == "ok"), int(verdict == "FAIL"), int(verdict == "skip"))


def wanted(name, names):
    return not names or any(n in name for n in names)


def last_lines(path, n=15):
    lines = path.read_text(errors="replace").strip().splitlines()[-n:]
    return "".join(f"     {line}\n" for line in lines)


def command(argv, log, env=None):
    """Run to the end with its output in a log: (exit status, seconds)."""
    begin = time.monotonic()
    with open(log, "wb") as out:
        try:
            status = subprocess.run([str(a) for a in argv], cwd=ROOT, stdin=subprocess.DEVNULL,
                                    stdout=out, stderr=subprocess.STDOUT, timeout=HANGS_S,
                                    env={**os.environ, **(env or {})}).returncode
        except subprocess.TimeoutExpired:
            out.write(f"it did not end within {HANGS_S} s\n".encode())
            status = "none"
    return status, time.monotonic() - begin


def one_command(name, argv):
    """A step that is one test: passed when the command says so."""
    log = LOGS / f"{name.replace(' ', '-').replace('/', '-')}.log"
    status, seconds = command(argv, log)
    tally = show("ok" if status == 0 else "FAIL", seconds, name)
    if status != 0:
        print(f"{last_lines(log)}     exit status {status}, log: {log}", flush=True)
    return tally


# ---- the steps

def checks(names):
    """Small scripts that look at the sources; each is one test."""
    total = Tally()
    for name, argv in (
            ("floors", [ROOT / "scripts" / "check-floors"]),
            ("floors test", ["/usr/bin/python3", "-B", ROOT / "tests" / "tools" / "check_floors_test.py"]),
            ("man pages", [ROOT / "scripts" / "check-man"])):
        if wanted(name, names):
            total += one_command(name, argv)
    return total


def part():
    """UM_PART=I/3: a third of what takes long. (I, "I/3"), or (None, None): all of it."""
    said = os.environ.get("UM_PART")
    return (int(said.split("/")[0]), said) if said else (None, None)


def another_part(name, mine):
    """What a part leaves to another one: a skip that says so."""
    if part()[0] in (None, mine):
        return None
    return show("skip", 0, name, f"part {part()[1]}: it belongs to part {mine}/3")


def clang(names):
    """The programs, built by the other compiler: a warning is an error there, too."""
    name = "clang without warnings"
    if not wanted(name, names):
        return Tally()
    if skipped := another_part(name, 0):
        return skipped
    if not shutil.which("clang++"):
        return show("skip", 0, name, "there is no clang++; scripts/deps test brings it")
    # The objects are never run: no optimisation and no debug information, to have them soon. And no
    # precompiled headers, so that each source must include what it needs.
    build = ('[ -e "$1/build.ninja" ] || CXX=clang++ meson setup -Dtests=false -Doptimization=0 '
             '-Ddebug=false -Db_pch=false "$1" && exec ninja -C "$1" --quiet')
    return one_command(name, [*POLITELY, "sh", "-c", build, "sh", BUILD / "clang"])


def unit_tests(names):
    """Every GoogleTest case is a test. A crash is a failure of the case that did not report."""
    total = Tally()
    for program in sorted((BUILD / "tests").glob("**/*_tests")):
        if program.is_file() and os.access(program, os.X_OK):
            for scheme in schemes_of(program):
                total += google_test(program, names, scheme)
    return total


def over_checked_pools(names):
    """The unit tests once more, every mbuf and cluster in a checked pool: the library frees once."""
    name = "unit tests over checked pools"
    plugin, program = BUILD / "drivers" / "librte_mempool_checked.so", BUILD / "tests/unit/unit_tests"
    if not wanted(name, names):
        return Tally()
    accepted = loadable(plugin)
    if accepted is None:
        return show("skip", 0, name, "EAL loads no plug-in from a folder that all may write to")
    return one_command(name, [
        "env", f"UM_EAL=-d {accepted} --mbuf-pool-ops-name=checked", program])


def said_by(program, question):
    return subprocess.run([program, question], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout.decode()


def schemes_of(program):
    """The reference-count schemes that a program is run under; None: the default one, not named."""
    of_mbufs = program.name.endswith(("mbuf_tests", "verb_tests", "page_tests", "esp_tests"))
    every = said_by(program, "--refcnt-names").split() if of_mbufs else []
    if program.name == "esp_tests":  # counts nothing itself: one scheme of each kind
        every = [scheme for scheme in every if scheme in ("list", "native", "weighted")]
    return every or [None]


def schemes():
    return schemes_of(BUILD / "tests" / "unit" / "mbuf_tests")


def google_test(program, names, scheme):
    prefix = "asan" if program.parent.name == "asan" else "unit"
    prefix += f"[{scheme}]" if scheme else ""
    listing = said_by(program, "--gtest_list_tests")
    cases = [case for case in listed_cases(listing) if wanted(f"{prefix} {case}", names)]
    if scheme and scheme != schemes()[0]:  # these see all schemes in one run
        cases = [case for case in cases if not case.startswith("EachScheme.")]
    if not cases:
        return Tally()
    file = f"{program.name}-{scheme}" if scheme else program.name
    log, report = LOGS / f"{file}.log", LOGS / f"{file}.json"
    report.unlink(missing_ok=True)
    # ThreadSanitizer of GCC 12 refuses kernels that randomise more address bits than it knows.
    fixed = ["setarch", "-R"] if program.parent.name == "tsan" else []
    status, seconds = command([
        *fixed, program, f"--gtest_output=json:{report}", *([f"--gtest_filter={':'.join(cases)}"] if names or scheme else [])],
        log, {"UM_REFCNT": scheme} if scheme else None)
    if not report.exists():
        tally = show("FAIL", seconds, f"{prefix} {program.name}", f"ended with status {status}")
        print(f"{last_lines(log)}     log: {log}", flush=True)
        return tally
    total = Tally()
    for suite in json.loads(report.read_text())["testsuites"]:
        for case in suite["testsuite"]:
            total += show_case(prefix, suite["name"], case, log)
    if status != 0 and total.failed == 0:
        total += show("FAIL", 0, f"{prefix} {program.name}", f"all cases passed, but it ended with {status}")
    if total.failed:
        print(f"     log: {log}", flush=True)
    return total


def show_case(prefix, suite, case, log):
    name = f"{prefix} {suite}.{case['name']}"
    seconds = float(case.get("time", "0s").rstrip("s"))
    if case.get("failures"):
        tally = show("FAIL", seconds, name)
        for failure in case["failures"]:
            print("".join(f"     {line}\n" for line in failure["failure"].splitlines()), end="")
        return tally
    if case.get("result") == "SKIPPED" or case.get("skipped"):
        return show("skip", seconds, name, why_skipped(f"{suite}.{case['name']}", log))
    return show("ok", seconds, name)


def why_skipped(case, log):
    """GTEST_SKIP()'s message, which GoogleTest 1.12 prints, but does not report."""
    said = re.search(rf"\[ RUN      \] {re.escape(case)}\n.*?Skipped\n(.*?)\n\[  SKIPPED \]",
                     log.read_text(errors="replace"), re.DOTALL)
    return " ".join(said.group(1).split()) if said else f"see {log}"


def listed_cases(text):
    """The names in --gtest_list_tests: a suite's line ends in a dot, its cases are indented."""
    suite = ""
    for line in text.splitlines():
        word = line.split("#")[0].rstrip()
        if re.fullmatch(r"[\w/]+\.", word):
            suite = word
        elif suite and re.fullmatch(r"  [\w/]+", word):
            yield suite + word.strip()


def c_programs(names):
    """Programs in C that check themselves: each is one test."""
    name = "c bsd_example"
    if not wanted(name, names):
        return Tally()
    program = BUILD / "tests" / "c" / "bsd_example"
    if not program.exists():
        return show("skip", 0, name, "there is no C compiler")
    return one_command(name, [program])


FUZZ = "fuzz verbs"
# Fuzzers that do not care who counts references: their names, programs, corpora, runs, and the longest input.
OTHER_FUZZERS = (("fuzz esp", "esp_fuzz", "corpus_esp", 8000, 400),
                 ("fuzz esp headers", "header_fuzz", "corpus_headers", 200000, 160),
                 ("fuzz fragments", "fragment_fuzz", "corpus_fragments", 10000, 400))


def schemes_to_fuzz(names):
    return [s for s in schemes() if wanted(f"{FUZZ} {s}", names)]


def others_to_fuzz(names):
    return [fuzzer for fuzzer in OTHER_FUZZERS if wanted(fuzzer[0], names)]


def fuzz_builds(names):
    """Built on its own: another compiler."""
    programs = ["verbs_fuzz"] * bool(schemes_to_fuzz(names)) + [f[1] for f in others_to_fuzz(names)]
    if not programs:
        return Tally()
    if skipped := another_part("fuzz", 1):
        return skipped
    if not shutil.which("clang++"):
        return show("skip", 0, "fuzz", "there is no clang++; scripts/deps test brings it")
    if not has_libfuzzer():
        return show("skip", 0, "fuzz", "clang++ has no libFuzzer; scripts/deps test brings it (libclang-rt-dev)")
    build = ('[ -e "$1/build.ninja" ] || CXX=clang++ meson setup -Dtests=false -Dfuzz=true '
             '-Db_sanitize=address -Db_lundef=false -Doptimization=1 "$1" && '
             'folder=$1 && shift && exec ninja -C "$folder" --quiet "$@"')
    return one_command("fuzz builds", [*POLITELY, "sh", "-c", build, "sh", BUILD / "fuzz",
                                       *(f"tests/fuzz/{p}" for p in programs)])


def fuzz(names):
    """libFuzzer, some thousand inputs for each, from the corpus."""
    total, folder = Tally(), BUILD / "fuzz/tests/fuzz"
    if part()[0] not in (None, 1):
        return total
    runs = [(f"{FUZZ} {scheme}", "verbs_fuzz", "corpus", 1500, 400, scheme) for scheme in schemes_to_fuzz(names)]
    runs += [(*fuzzer, None) for fuzzer in others_to_fuzz(names)]
    for name, program, corpus, n, longest, scheme in runs:
        if not (folder / program).exists():
            continue
        found = LOGS / f"fuzz-{scheme or program}"
        shutil.rmtree(found, ignore_errors=True)
        found.mkdir()
        total += one_command(name, [
            "env", *([f"UM_REFCNT={scheme}"] if scheme else []), folder / program, f"-runs={n}",
            f"-max_len={longest}", f"-artifact_prefix={found}/", found, ROOT / "tests/fuzz" / corpus])
    return total


def has_libfuzzer():
    program = 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }'
    return subprocess.run(["clang++", "-x", "c++", "-", "-fsanitize=fuzzer,address", "-o", "/dev/null"],
                          input=program.encode(), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def models(names):
    return counted_script("models") if wanted("models", names) else Tally()


def mutants(names):
    share = part()[1]
    return counted_script("mutants", *(["--share", share] if share else []), before=GENTLY) if wanted("mutants", names) else Tally()


def counted_script(name, *arguments, before=()):
    """A script that ends with its own 'N passed, N failed'."""
    log = LOGS / f"{name}.log"
    status, seconds = command([*before, ROOT / "scripts" / name, *arguments], log)
    counts = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$",
                        log.read_text(errors="replace"), re.MULTILINE)
    if not counts:
        show("FAIL" if status else "ok", seconds, name)
        if status:
            print(f"{last_lines(log)}     exit status {status}, log: {log}", flush=True)
        return Tally(passed=int(status == 0), failed=int(status != 0))
    tally = Tally(*(int(n or 0) for n in counts[-1]))
    if status and not tally.failed:
        tally.failed = 1
    show("FAIL" if tally.failed else "ok" if tally.passed else "skip", seconds, name, str(tally))
    if tally.failed:
        print(f"{last_lines(log)}     exit status {status}, log: {log}", flush=True)
    return tally


def system_tests(names):
    """Two drivers, a half of the files each: most of the time a test waits. They print their own lines."""
    total = Tally()
    with concurrent.futures.ThreadPoolExecutor(2) as drivers:
        for tally in drivers.map(lambda half: half_of_the_system_tests(half, names), (0, 1)):
            total += tally
    return total


def half_of_the_system_tests(half, names):
    """The counts come back in a file."""
    counts = LOGS / f"system-{half}.json"
    counts.unlink(missing_ok=True)
    status = subprocess.run(["/usr/bin/python3", "-B", "tests/system/run.py", "--tally", str(counts), f"--share={half}/2",
                             *names], cwd=ROOT, stdin=subprocess.DEVNULL).returncode
    if not counts.exists():
        return show("FAIL", 0, f"system, half {half}", f"the driver ended with status {status}")
    return Tally(**json.loads(counts.read_text()))


def main():
    os.environ.setdefault("TSAN_OPTIONS", "halt_on_error=1 exitcode=66")
    os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    parser = argparse.ArgumentParser(prog="scripts/test", description="Run umbuf's tests.")
    parser.add_argument("names", nargs="*", help="only tests whose name contains one of these")
    names = parser.parse_args().names
    LOGS.mkdir(parents=True, exist_ok=True)
    total = checks(names)
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        # Most unit tests keep one processor busy, or none: compilers may have the other.
        compilers = beside.submit(lambda: clang(names) + fuzz_builds(names))
        for step in (unit_tests, over_checked_pools, c_programs, models):
            total += step(names)
        total += compilers.result()
    total += fuzz(names)
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        # System tests wait most of the time, for kernels and for peers.
        killed = beside.submit(mutants, names)
        total += system_tests(names)
        total += killed.result()
    if total == Tally():
        print(f"scripts/test: no test has {' or '.join(names)} in its name", file=sys.stderr)
        total.failed = 1
    print(total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("scripts/test: interrupted", file=sys.stderr)
        sys.exit(130)
