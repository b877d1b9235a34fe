# SPDX-License-Identifier: BSD-2-Clause
# mutant_targets.py - mutants of a meson target: linked from what is built already, and from what the
# mutant changes.
#
# Only the objects that depend on a patched file are compiled, with the build's own commands, without
# optimisation and debug information: nobody will measure them or look into them. The patched files lie
# in a folder that is searched before the sources.
import concurrent.futures
import fnmatch
import os
import pathlib
import re
import shlex
import shutil
import tempfile
import threading
import time

from mutant import BUILD, LIMIT, TOP, WORK, Failed, compile_or_link, died, must

# The linker that is soonest done, of those that are there.
LINKER = ["-Wl,--strip-debug"] + (["-fuse-ld=lld"] if shutil.which("ld.lld") else [])
PLAIN = ["-O0", "-g0", "-w"]


def output_of(command):
    """Compilers and linkers are told by -o; an archive is removed before it is made."""
    return command[command.index("-o") + 1] if "-o" in command else command[2]


def outside(path):
    """A path that a command in BUILD names, seen from the top; None: it is not one of the sources."""
    full = pathlib.Path(os.path.normpath(BUILD / path))
    return full.relative_to(TOP) if full.is_relative_to(TOP) and not full.is_relative_to(BUILD) else None


class Precompiled:
    """The precompiled headers of the build, made anew for compilers that are told PLAIN: GCC takes one
    only if it was made as the source is. One serves all targets that name it; should one of them be
    too different, the header itself lies beside it, and the compiler reads that."""

    def __init__(self):
        self.lock, self.made = threading.Lock(), {}

    def header(self, command):
        """The header to include instead of the one that this command makes."""
        source = outside(command[-1])
        with self.lock:
            if source not in self.made:
                self.made[source] = self.make(command, source)
        return self.made[source]

    @staticmethod
    def make(command, source):
        to = WORK / "precompiled" / source.name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / source, to)
        words = plain(command, f"{to}.gch")
        compile_or_link(words, f"{source} does not compile", cwd=BUILD)
        return to


def plain(command, output):
    """A compiler's command with another output, and what mutants are compiled with."""
    words, left = [], iter(command)
    for word in left:
        if word in ("-MQ", "-MF"):
            next(left)
        elif word == "-o":
            next(left)
            words += [*PLAIN, word, output]
        elif word not in ("-MD", "-fPIC"):  # all of it is for a program
            words.append(word)
    return words


class Target:
    """How ninja makes a program: its commands in their order, and what each object was made from."""

    precompiled = Precompiled()

    def __init__(self, name):
        self.name = name
        told = must(["ninja", "-t", "commands", name], "ninja does not know it", cwd=BUILD).stdout
        commands = [shlex.split(line) for line in told.splitlines()]
        makes_header = [c for c in commands if output_of(c).endswith((".gch", ".pch"))]
        self.commands = [c for c in commands if c not in makes_header]
        self.headers = {}  # by the folder of their target and their name
        for c in makes_header:
            self.headers[os.path.dirname(output_of(c)), os.path.basename(c[-1])] = c
        objects = [output_of(c) for c in self.commands if "-c" in c]
        told = must(["ninja", "-t", "deps", *objects], "ninja has not made it", cwd=BUILD).stdout
        self.made_from = {}
        for line in told.splitlines():
            if not line.startswith(" "):
                files = self.made_from.setdefault(line.split(":")[0], set())
            else:
                files.add(os.path.relpath(BUILD / line.strip(), TOP))

    def objects_of(self, files):
        return {o for o, made_from in self.made_from.items() if made_from.intersection(files)}

    def make(self, files, folder, only=lambda command: True):
        """The program, with what depends on these files made anew; the files are in folder/tree, if
        they are not the sources' own."""
        def private(output):  # relative, because a thin archive names its members from where it is
            return os.path.relpath(folder / output.replace("/", "_"), BUILD)
        depend = self.objects_of(files)
        if not depend:
            raise Failed(f"nothing in {self.name} is made from {' or '.join(files)}")
        commands = [c for c in self.commands if "-c" in c and output_of(c) in depend and only(c)]
        new = {output_of(c): private(output_of(c)) for c in commands}
        with concurrent.futures.ThreadPoolExecutor(max(1, len(commands))) as pool:
            list(pool.map(lambda c: self.compile(c, new[output_of(c)], files, folder), commands))
        for command in self.commands:
            if "-c" not in command and (output_of(command) == self.name or not new.keys().isdisjoint(command)):
                output = output_of(command)
                new[output] = private(output)
                words = [new.get(word, word) for word in command] + (LINKER if "-o" in command else [])
                shell = " ".join(w if w == "&&" else shlex.quote(w) for w in words)
                compile_or_link(["sh", "-c", shell], "does not link", cwd=BUILD)
        return BUILD / new[self.name]

    def compile(self, command, output, files, folder):
        tree, folder_of_target = folder / "tree", os.path.dirname(output_of(command))
        words, left = [], iter(plain(command, output))
        for word in left:
            path = word if words and words[-1] == "-c" else word[2:] if word.startswith("-I") else None
            ours = outside(path) if path is not None else None
            if word in ("-include", "-include-pch"):
                named = next(left)
                makes = self.headers.get((folder_of_target, os.path.basename(named).removesuffix(".pch")))
                words += ["-include", self.precompiled.header(makes) if makes else named]
            elif word.startswith("-I") and ours is not None:
                words += [f"-I{tree / ours}", word]
            elif ours is not None and (tree / ours).exists():
                words.append(tree / ours)
            elif word != "-fpch-preprocess":
                words.append(word)
        seen = pathlib.Path(BUILD / f"{output}.d")
        compile_or_link([*words, "-MMD", "-MF", seen], "does not compile", cwd=BUILD)
        if tree.exists():
            self.must_not_have_read(files, seen)

    @staticmethod
    def must_not_have_read(files, seen):
        """The unbroken one of a file that is broken."""
        read = {str(outside(word)) for word in seen.read_text().replace("\\\n", " ").split()[1:]}
        if unbroken := read.intersection(files):
            raise Failed(f"{' and '.join(unbroken)} was included past the mutant's folder: include it by "
                         "its path from the top")


def arguments(kind, args):
    return [f"--gtest_filter={args}"] if kind == "gtest" else shlex.split(args)


class Baseline:
    """The named tests must pass while nothing is broken; and how long may each take when something is?

    What mutants change is made as they make it: if another linker or less optimisation made a test
    fail, each mutant would be found dead."""

    def __init__(self, mutants):
        self.targets = {name: Target(name) for name in sorted({m.target for m in mutants})}
        self.seconds = {}  # of (target, arguments)
        self.checks = {(m.kind, m.target): [] for m in mutants}
        for m in mutants:
            self.checks[m.kind, m.target].append(m)

    def wrong(self, kind, name):
        """What is wrong with the unbroken tests of a program: (test, how it died)."""
        mutants, target = self.checks[kind, name], self.targets[name]
        known = {f for m in mutants for f in m.files if target.objects_of([f])}
        if not known:
            return []  # then each mutant says so
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            # What is not optimised in the build, either, is that already.
            program = target.make(known, pathlib.Path(folder), lambda command: "-O0" not in command)
            return [(f"{name} {args}", how) for args, how in self.run(kind, name, program, mutants) if how]

    def run(self, kind, name, program, mutants):
        every = sorted({m.args for m in mutants})
        for args in [":".join(every)] if kind == "gtest" else every:
            begin, heard = time.monotonic(), []
            yield args, died([program, *arguments(kind, args)], 10 * LIMIT, heard)
            self.seconds[name, args] = time.monotonic() - begin
            for one in every if kind == "gtest" else []:
                self.seconds[name, one] = sum(passed_in(line, one) for line in heard)

    def cost(self, mutant):
        """The longest are to be begun first."""
        return len(self.targets[mutant.target].objects_of(mutant.files))

    def kill(self, mutant):
        """How it died, or None."""
        taken = self.seconds.get((mutant.target, mutant.args), 0)
        # Far beyond what its test takes. The watchdog of the unit tests counts CPU time.
        limit, watchdog = min(LIMIT, 10 + 20 * taken), str(int(3 + 5 * taken))
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            mutant.broken_files(pathlib.Path(folder, "tree"))
            program = self.targets[mutant.target].make(mutant.files, pathlib.Path(folder))
            return died([program, *arguments(mutant.kind, mutant.args)], limit,
                        env={**os.environ, "UM_WATCHDOG": watchdog})


def passed_in(line, patterns):
    """Seconds, if the line says that a test passed that one of these patterns names; else 0."""
    ok = re.match(r"\[ +OK \] (\S+) \((\d+) ms\)", line)
    named = ok and any(fnmatch.fnmatchcase(ok.group(1), p) for p in patterns.split(":"))
    return int(ok.group(2)) / 1000 if named else 0
