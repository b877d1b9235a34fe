# SPDX-License-Identifier: BSD-2-Clause
# mutant_models.py - mutants of models: many of them in one program.
#
# A model is one source file, and most of what its compiler does is the same for each mutant: to read
# the standard library and relacy. So the model and all of our headers that it includes are written out
# once for each mutant, each in a namespace of its own, behind those includes. A process of the program
# runs one of them.
#
# Each suite must pass while nothing is broken, in the build's own program; and so that all of this does
# not break it, one unbroken suite is among the mutants, made as they are.
import os
import pathlib
import re
import shlex
import tempfile

from mutant import BUILD, LIMIT, TOP, WORK, Failed, compile_or_link, died

MOST = 32  # in one program: the compiler needs 10 MB for each
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
DEFINE = re.compile(r"\s*#\s*define\s+(\w+)")


class Text:
    """A source with our headers written out, and what it includes and defines besides."""

    def __init__(self, name, tree):
        self.tree, self.seen, self.lines, self.system, self.macros = tree, set(), [], {}, {}
        self.add(name)

    def add(self, name):
        """Each of our headers says #pragma once, so it is there once, where it is first included."""
        if name in self.seen:
            return
        self.seen.add(name)
        path = self.tree / name if (self.tree / name).exists() else TOP / name
        self.lines.append(f'#line 1 "{path}"')
        for number, line in enumerate(path.read_text().splitlines(), 1):
            include, define = INCLUDE.match(line), DEFINE.match(line)
            if define:
                self.macros[define.group(1)] = None
            if include and include.group(1) == '"':
                self.add(include.group(2))
                self.lines.append(f'#line {number + 1} "{path}"')
                continue
            if include:
                self.system[include.group(2)] = None
            self.lines.append("" if include or line.strip() == "#pragma once" else line)


class Variants:
    """A program of some mutants of one model: number 0 is not broken, i + 1 is mutant i."""

    def __init__(self, model, mutants):
        self.model, self.mutants = model, mutants

    def make(self, folder):
        texts = [self.text(None, folder / "0")]
        texts += [self.text(m, folder / str(i)) for i, m in enumerate(self.mutants, 1)]
        source = folder / f"{self.model}.cc"
        source.write_text("\n".join(self.source(texts)) + "\n")
        # A name, so that two models of one run are told from each other by who looks what is running.
        self.program = folder / self.model
        compile_or_link([*shlex.split(os.environ.get("CXX", "g++")), "-std=c++20", "-O0", "-w",
                         "-fno-sized-deallocation", source, "-o", self.program], "does not compile")

    def text(self, mutant, tree):
        if mutant:
            mutant.broken_files(tree)
        return Text(f"tests/model/{self.model}.cc", tree)

    def source(self, texts):
        # The standard headers must come before relacy, which redefines new, free and errno.
        headers = {h: None for text in texts for h in text.system}
        relacy_last = sorted(headers, key=lambda h: h.startswith("relacy/"))
        yield from (f"#include <{h}>" for h in ["cstdlib", *relacy_last])
        for i, (suite, text) in enumerate(zip([self.mutants[0].args, *(m.args for m in self.mutants)], texts)):
            yield f"#define UM_ONLY_SUITE {suite}"
            yield f"namespace variant_{i} {{"
            yield from text.lines
            yield "}"
            yield from (f"#undef {macro}" for macro in ["UM_ONLY_SUITE", *text.macros])
        yield "int main(int argc, char** argv) {"
        yield "    switch (std::atoi(argv[1])) {"
        yield from (f"    case {i}: return variant_{i}::main(argc - 1, argv + 1);" for i in range(len(texts)))
        yield "    }"
        yield "    return 3;"
        yield "}"

    def unbroken_died(self):
        suites = sorted({m.args for m in self.mutants})
        return died([BUILD / f"tests/model/{self.model}", *suites], 10 * LIMIT) or \
            died([self.program, "0", self.mutants[0].args], 10 * LIMIT)

    def died(self, mutant):
        return died([self.program, str(self.mutants.index(mutant) + 1), mutant.args])


def programs(mutants):
    """The (model, mutants) of each program, the largest first."""
    by_model = {}
    for m in mutants:
        by_model.setdefault(m.target, []).append(m)
    parts = [(model, of[i::-(-len(of) // MOST)]) for model, of in by_model.items() for i in range(-(-len(of) // MOST))]
    return sorted(parts, key=lambda part: len(part[1]), reverse=True)


def kill(model, mutants, report):
    """Tell report(mutant, kill) of each, where kill() says how it died. What is wrong with the unbroken
    model, or None."""
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        variants = Variants(model, mutants)
        try:
            variants.make(pathlib.Path(folder))
        except Failed as error:
            return kill_apart(model, mutants, report, error)
        how = variants.unbroken_died()
        if how:
            return how
        for mutant in mutants:
            report(mutant, lambda m=mutant: variants.died(m))
    return None


def kill_apart(model, mutants, report, error):
    """One of them keeps the program from being made: which?"""
    if len(mutants) > 1:
        wrong = [kill(model, [m], report) for m in mutants]
        return next(filter(None, wrong), None)

    def failed():
        raise error
    report(mutants[0], failed)
    return None
