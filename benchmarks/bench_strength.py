"""Strength of the bench: share of changed Verilog that it refuses.

``python -m benchmarks.bench_strength [--designs NAME ...] [--mutants N] [--seed S]`` exports small designs of every
family, makes mutants of their Verilog and runs the bench of ``ternforge verify`` on each. All mutants of a design stand
in one model (mutant schemata: every changed expression asks which mutant is wanted), so a design is built once. A
mutant that lives is compared with the original by induction over its module; those that no input tells apart are
equivalent and count for nothing. See docs/verification.md for the outcome.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from blueprint import registry
from blueprint.spec import Spec
from generator.export import write_hardware
from simulator.cosim import check as cosim
from toolchain import process, yosys

DESIGNS: dict[str, tuple[str, dict[str, object]]] = {
    "tables": (
        "ternary_lut",
        {"mu": 2, "lut_count": 2, "fetch_count": 2, "act_width": 4, "k_max": 40, "n_max": 10, "m_max": 6},
    ),
    "tables, pipelined": (
        "ternary_lut",
        {"mu": 3, "lut_count": 1, "fetch_count": 2, "act_width": 3, "k_max": 30, "n_max": 12, "m_max": 4,
         "fetch_register": True},
    ),
    "sums stay": (
        "systolic",
        {"organization": "output_stationary", "pe": "ternary", "rows": 2, "cols": 3, "act_width": 4,
         "weight_width": 2, "k_max": 30, "n_max": 14, "m_max": 6},
    ),
    "weights stay": (
        "systolic",
        {"organization": "weight_stationary", "pe": "mac", "rows": 2, "cols": 2, "act_width": 4,
         "weight_width": 2, "k_max": 20, "n_max": 9, "m_max": 7},
    ),
    "attention": (
        "streaming_attention",
        {"dim": 2, "keys_max": 14, "queries_max": 6, "heads_max": 3, "mask": "causal", "parallel": 2},
    ),
    "attention, lambda": (
        "streaming_attention",
        {"dim": 2, "keys_max": 10, "queries_max": 5, "heads_max": 2, "mask": "lambda", "graph": "reordered"},
    ),
    "rows": (
        "vector",
        {"lanes": 2, "length_max": 7, "rows_max": 3, "format": "bf16", "rotates": True, "dots": True},
    ),
}  # fmt: skip

_SELECT = "ternforge_mutant"
_ASSIGN = re.compile(r"^  assign (?P<left>\w+) = (?P<right>.+);$")
_RESET = re.compile(r"^(?P<head>    if \()(?P<right>\w+)(?P<tail>\) (?P<what>\S+) <= (?P<value>.+);)$")
_ENABLE = re.compile(r"^(?P<head>    (?:else )?if \()(?P<right>.+?)(?P<tail>\) \S+ <= .+;)$")
_STORE = re.compile(r"^(?P<head>.*\S+ <= )(?P<right>[^;]+)(?P<tail>;)$")
_CONSTANT = re.compile(r"\b(\d+)'([hd])([0-9a-f]+)\b")
_SWAPS = ((" & ", " | "), (" | ", " & "), (" + ", " - "), (" - ", " + "), (" ^ ", " | "), (" == ", " != "),
          (" != ", " == "), (" <= ", " < "), (" < ", " <= "), (" >= ", " > "), (" > ", " >= "))  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of one expression of one module: ``span`` in the file's text is replaced by ``text``."""

    file: str
    place: str
    kind: str
    line: int
    span: tuple[int, int]
    before: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.kind}: {self.before} -> {self.text}"


def mutants(file: str, place: str, text: str) -> list[Mutant]:
    """Every mutant of one module."""
    widths = _widths(text)
    found, at = [], 0
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        for kind, begin, end, changed in _changes(line.rstrip("\n"), widths):
            before = line[begin:end]
            found.append(Mutant(file, place, kind, number, (at + begin, at + end), before, changed))
        at += len(line)
    return found


def _widths(text: str) -> dict[str, int]:
    """Bits of every signal of a module."""
    pattern = re.compile(
        r"^  (?:input|output|reg|wire|wire signed) (?:\[(\d+):0\] )?(\w+)(?: =.*)?;", re.MULTILINE
    )
    return {name: int(high or 0) + 1 for high, name in pattern.findall(text)}


def _changes(line: str, widths: dict[str, int]) -> Iterator[tuple[str, int, int, str]]:
    if match := _ASSIGN.match(line):
        begin, end = match.span("right")
        if "$signed" in match["right"]:
            return  # a choice between expressions would make it unsigned
        wide = widths.get(match["left"], 1)
        for kind, changed in _expressions(match["right"], wide):
            yield kind, begin, end, changed
    elif (match := _RESET.match(line)) and "else" not in match["head"]:
        begin, end = match.span("right")
        yield "reset tied off", begin, end, "1'h0"
        begin, end = match.span("value")
        if constant := _CONSTANT.fullmatch(match["value"]):
            yield "reset value", begin, end, _constant(constant, 1)
    elif match := _ENABLE.match(line):
        begin, end = match.span("right")
        yield "enable stuck at 1", begin, end, "1'h1"
        yield "enable dropped", begin, end, "1'h0"


def _expressions(right: str, width: int) -> Iterator[tuple[str, str]]:
    """Changed writings of an expression of ``width`` bits."""
    if right.startswith("~ "):
        yield "inversion dropped", right[2:]
    for old, new in _SWAPS:
        if right.count(old) == 1 and not right.startswith("{"):
            yield f"{old.strip()} for {new.strip()}", right.replace(old, new)
    if match := re.fullmatch(r"(\S+) \? (.+?) : (.+)", right):
        if "x" not in match[2] + match[3] and "{" not in right:
            yield "branches swapped", f"{match[1]} ? {match[3]} : {match[2]}"
    for match in _CONSTANT.finditer(right):
        changed = right[: match.start()] + _constant(match, 1) + right[match.end() :]
        yield "constant off by one", changed
        if int(match[1]) >= 16:
            bit = 1 << (sum(map(ord, right)) % int(match[1]))
            yield (
                "constant's bit flipped",
                right[: match.start()] + _constant(match, bit) + right[match.end() :],
            )
    if "x" not in right.replace("'hx", "x") or "'h" in right:
        yield from _stuck(right, width)


def _stuck(right: str, width: int) -> Iterator[tuple[str, str]]:
    bit = sum(map(ord, right)) % width
    mask = 1 << bit
    yield "bit stuck at 0", f"({right}) & ~{width}'h{mask:x}"
    yield "bit stuck at 1", f"({right}) | {width}'h{mask:x}"
    if width == 1:
        yield "inverted", f"~({right})"


def _constant(match: re.Match[str], flip: int) -> str:
    width, base = int(match[1]), 16 if match[2] == "h" else 10
    value = (int(match[3], base) ^ flip) & ((1 << width) - 1)
    return f"{width}'h{value:x}"


def chosen(every: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """A sample in which every place, and in it every kind of change, comes in turn."""
    random = np.random.default_rng(seed)
    piles: dict[str, dict[str, list[Mutant]]] = {}
    for mutant in random.permutation(np.array(every, dtype=object)):
        piles.setdefault(mutant.place, {}).setdefault(mutant.kind, []).append(mutant)
    found: list[Mutant] = []
    while len(found) < count and any(pile for kinds in piles.values() for pile in kinds.values()):
        for kinds in piles.values():
            kind = next(
                (k for k in sorted(kinds, key=lambda k: (sum(m.kind == k for m in found), k)) if kinds[k]),
                None,
            )
            if kind is not None and len(found) < count:
                found.append(kinds[kind].pop())
    return found


def schema(folder: Path, among: Sequence[Mutant]) -> None:
    """Write all mutants into the Verilog of a folder; ``+mutant=N`` then chooses number N, from 1 on."""
    for file in {mutant.file for mutant in among}:
        path = folder / file
        text = path.read_text()
        spans: dict[tuple[int, int], list[tuple[int, Mutant]]] = {}
        for number, mutant in enumerate(among, start=1):
            if mutant.file == file:
                spans.setdefault(mutant.span, []).append((number, mutant))
        for (begin, end), here in sorted(spans.items(), reverse=True):
            chain = "".join(f"({_SELECT} == {number}) ? ({mutant.text}) : " for number, mutant in here)
            text = f"{text[:begin]}({chain}({text[begin:end]})){text[end:]}"
        first = re.search(r"^  (assign|always)", text, re.MULTILINE)
        assert first is not None
        ask = f'  reg [31:0] {_SELECT};\n  initial if (!$value$plusargs("mutant=%d", {_SELECT})) {_SELECT} = 0;\n'
        path.write_text(text[: first.start()] + ask + text[first.start() :])


def every_mutant(folder: Path) -> list[Mutant]:
    """Every mutant of an exported design."""
    manifest = json.loads((folder / "manifest.json").read_text())
    found = []
    for file in manifest["files"]:
        name = Path(file).stem
        place = manifest["modules"][name]["place"]
        found += mutants(file, place, (folder / file).read_text())
    return found


def apply(folder: Path, mutant: Mutant) -> None:
    """Make the one change in the Verilog of a folder."""
    path = folder / mutant.file
    text, (begin, end) = path.read_text(), mutant.span
    path.write_text(f"{text[:begin]}{mutant.text}{text[end:]}")


def equivalent(folder: Path, mutant: Mutant) -> bool:
    """True if no input tells the module from the changed one, once both were reset; don't-cares of the original are."""
    manifest = json.loads((folder / "manifest.json").read_text())
    name = Path(mutant.file).stem
    others = [file for file in manifest["files"] if file != mutant.file]
    text, (begin, end) = (folder / mutant.file).read_text(), mutant.span
    resets = re.search(r"^  input rst;", text, re.MULTILINE) is not None
    with tempfile.TemporaryDirectory(prefix="ternforge-equivalent-") as scratch:
        gold, gate = Path(scratch) / "gold.v", Path(scratch) / "gate.v"
        gold.write_text(text)
        gate.write_text(f"{text[:begin]}{mutant.text}{text[end:]}")
        read = "\n".join(f'read_verilog -lib "{(folder / file).resolve()}"' for file in others)
        # Only ports and registers are points of comparison.
        # What stands inside has its ports outside, so that it is the same in both.
        one = "hierarchy -top {name}\nproc\nrename -hide w:* x:* %d t:*dff* %co1:+[Q] w:* %i %d\n"
        one += "opt -full\nopt_clean\nexpose -evert\ndesign -stash {stash}\n"
        script = "".join(
            f'{read}\nread_verilog "{path}"\n' + one.format(name=name, stash=stash)
            for stash, path in (("gold", gold), ("gate", gate))
        )
        script += f"design -copy-from gold -as gold {name}\ndesign -copy-from gate -as gate {name}\n"
        same = "equiv_make gold gate same\nhierarchy -top same\nclean\nequiv_simple\n"
        same += "equiv_induct -seq 2\nequiv_status -assert\n"
        if _holds(script + same):
            return True
        script += "miter -equiv -ignore_gold_x -flatten gold gate miter\nhierarchy -top miter\n"
        script += (
            "sat -verify -tempinduct -maxsteps 5 -timeout 20 -enable_undef -set-def-inputs -prove trigger 0"
        )
        script += " -seq 1 -set-at 1 in_rst 1 miter\n" if resets else " miter\n"
        return _holds(script)


def _holds(script: str) -> bool:
    try:
        yosys.run(script, timeout_s=120)
    except process.ToolError:
        return False
    return True


@dataclass(frozen=True)
class Tried:
    """A mutant and what the bench said of it, "" where it lives."""

    mutant: Mutant
    said: str
    equivalent: bool = False


def strength(spec: Spec, among: int, seed: int, folder: Path) -> list[Tried]:
    """The bench on a sample of mutants of a design."""
    write_hardware(spec, folder / "original")
    write_hardware(spec, folder / "mutants")
    sample = chosen(every_mutant(folder / "original"), among, seed)
    schema(folder / "mutants", sample)
    bench = cosim.prepare(spec, folder / "mutants", cosim.cases(spec, 8, seed), seed=seed)
    assert bench.run().ok, f"the original of {spec.name} must pass: {bench.run().failure}"
    found = []
    for number, mutant in enumerate(sample, start=1):
        report = bench.run([f"+mutant={number}"], timeout_s=120)
        tried = Tried(mutant, "" if report.ok else report.failure or "fails")
        if report.ok:
            tried = replace(tried, equivalent=equivalent(folder / "original", mutant))
        state = "equivalent" if tried.equivalent else "alive" if report.ok else "killed"
        print(f"{number:4} {state:10} {mutant}"[:230], f"| {tried.said}"[:150], flush=True)
        found.append(tried)
    return found


def main() -> None:
    """Print every mutant and, in the end, the share that was killed, by design and by kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--mutants", type=int, default=60, help="of each design")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kinds: Counter[str] = Counter()
    rows: list[tuple[str, tuple[int, int, int, int]]] = []
    for name in options.designs:
        family, parameters = DESIGNS[name]
        spec = registry.get(family).from_mapping(parameters)
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="ternforge-strength-") as scratch:
            tried = strength(spec, options.mutants, options.seed, Path(scratch))
        different = [one for one in tried if not one.equivalent]
        killed = [one for one in different if one.said]
        kinds.update(one.mutant.kind for one in different if not one.said)
        same, alive = len(tried) - len(different), len(different) - len(killed)
        rows.append((name, (len(tried), same, len(killed), alive)))
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    totals = [sum(counts[place] for _, counts in rows) for place in range(4)]
    rows.append(("all", (totals[0], totals[1], totals[2], totals[3])))
    print("| design | mutants | equivalent | killed | alive | share killed |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (count, same, killed_count, alive) in rows:
        print(
            f"| {name} | {count} | {same} | {killed_count} | {alive} | {100 * killed_count / (count - same):.1f} % |"
        )
    print("alive, by kind:", dict(kinds))


if __name__ == "__main__":
    main()
