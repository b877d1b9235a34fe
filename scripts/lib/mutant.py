# SPDX-License-Identifier: BSD-2-Clause
# mutant.py - a mutant: a patch that breaks the code, the test that must notice, and how a test dies.
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import threading

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.path.normpath(TOP / os.environ.get("BUILD", "build")))
WORK = BUILD / "mutants"
LIMIT = 40  # seconds for one test, which takes a few; a mutant that hangs it is dead


class Mutant:
    def __init__(self, path):
        self.name, self.path, text = path.stem, path, path.read_text()
        kills = re.search(r"^# kills: (model|gtest|run) (\S+)(?: (.*))?$", text, re.M)
        why = re.search(r"^# why: (\S.*)$", text, re.M)
        if not kills or not why:
            sys.exit(f"{path}: needs the lines '# kills: model|gtest|run ...' and '# why: ...'")
        self.kind, self.target, self.args, self.why = *kills.groups(default=""), why.group(1)
        if self.kind == "model" and not self.args:
            sys.exit(f"{path}: a model needs the suite that must fail")
        self.files = re.findall(r"^\+\+\+ b/(\S+)", text, re.M)

    @property
    def program(self):
        """What ninja makes, unbroken."""
        return f"tests/model/{self.target}" if self.kind == "model" else self.target

    @property
    def test(self):
        return f"{self.target.rsplit('/', 1)[-1]} {self.args}".strip()

    def broken_files(self, tree):
        """Put the files that it patches, patched, and no others into a folder."""
        for name in self.files:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, tree / name)
        must(["patch", "-p1", "--quiet", "--forward", "--fuzz=0", "-i", self.path],
             "the patch no longer applies: make it again", cwd=tree)


class Failed(Exception):
    pass


# Compilers and linkers at once: they are what a processor is busy with. Tests may run besides; what is
# waited for when one hangs is nobody's processor.
slots = threading.Semaphore(1)


def run(command, **more):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, errors="replace", **more)


def must(command, what, **more):
    done = run(command, **more)
    if done.returncode:
        tail = (done.stderr.strip() or done.stdout.strip()).splitlines()[-12:]
        raise Failed(what + "\n    " + "\n    ".join(tail))
    return done


def compile_or_link(command, what, **more):
    with slots:
        return must(command, what, **more)


def died(command, limit=LIMIT, heard=None, **more):
    """How a test ended, or None if it passed. What it said is added to `heard`."""
    try:
        done = run(command, timeout=limit, **more)
    except subprocess.TimeoutExpired:
        return f"it hung for {limit:.0f} s"
    if "[==========] 0 tests" in done.stdout:
        raise Failed(f"no such test: {shlex.join(map(str, command))}")
    if done.returncode == 2 and "suites exist" in done.stdout:
        raise Failed(f"no such suite: {shlex.join(map(str, command))}")
    if heard is not None:
        heard += done.stdout.splitlines()
    if done.returncode < 0:
        return f"signal {-done.returncode}"
    return f"exit status {done.returncode}" if done.returncode else None
