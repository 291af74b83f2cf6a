"""All 2**32 operand pairs of the FP16 and of the BF16 adder: RTL against an independent oracle, bit for bit.

    python -m benchmarks.float_soak [--format fp16] [--processes 2] [--engine verilator] [--record docs/soak.yaml]

The exported Verilog is compiled into a C++ program that adds in double precision beside it and rounds with code of
its own. The work is cut into blocks of operands ``a``; finished blocks are kept in ``sim_build/soak``, under the hash
of the RTL, so that an interrupted run goes on where it was. The record names the date, the count, the mismatches, the
RTL's hash and the results' hash: SHA-256 over the 65536 hashes (FNV-1a, 64 bits, hexadecimal, one a line) of the
results of each ``a`` in order. A test compares the record with the current RTL.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import yaml

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FloatFormat
from generator.arithmetic.floating import FloatAdd
from generator.emission import emit
from toolchain import cxxrtl, process, verilator

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "docs" / "soak.yaml"
STATE = ROOT / "sim_build" / "soak"
PROGRAM = Path(__file__).with_suffix(".cpp")
FORMATS = ("fp16", "bf16")
OPERANDS, BLOCK = 65536, 128


def rtl(fmt: FloatFormat) -> tuple[str, str]:
    """(top module, Verilog) of what is checked."""
    emitted = emit(FloatAdd(fmt))
    return emitted.top, "\n".join(emitted.modules.values())


def rtl_hash(text: str) -> str:
    """SHA-256 of the Verilog."""
    return hashlib.sha256(text.encode()).hexdigest()


def build(top: str, text: str, engine: str) -> Path:
    """The compiled program."""
    with tempfile.TemporaryDirectory(prefix="ternforge-soak-") as scratch:
        source = Path(scratch) / "adder.v"
        source.write_text(text)
        if engine == "cxxrtl":
            flags = ["-DSOAK_CXXRTL", f"-DSOAK_TOP={cxxrtl.mangle(top)}"]
            sources = {"main.cc": PROGRAM.read_text()}
            return cxxrtl.executable([source], top, sources, optimize="-O3", flags=flags)
        sources = {"soak.cpp": PROGRAM.read_text()}
        return verilator.executable([source], top, sources, arguments=["-O3"], optimize="-O3")


def run_block(program: Path, fmt: FloatFormat, first: int, count: int = BLOCK) -> dict[str, Any]:
    """Hashes and mismatches of a range of operands ``a``."""
    numbers = (fmt.exponent_bits, fmt.fraction_bits, first, count)
    log = process.run([program, *map(str, numbers)], tool="soak", timeout_s=3600).log
    lines = log.splitlines()
    hashes = [line for line in lines if len(line) == 16 and " " not in line]
    wrong = [line for line in lines if " must be " in line]
    (mismatches,) = (int(line.split()[1]) for line in lines if line.startswith("mismatches "))
    return {"first": first, "hashes": hashes, "mismatches": mismatches, "wrong": wrong}


def finished(path: Path) -> dict[int, dict[str, Any]]:
    """Blocks that were already checked; a line that was cut off is not one."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            block = json.loads(line)
            found[block["first"]] = block
        except ValueError:
            continue
    return found


def run(fmt: FloatFormat, engine: str, processes: int) -> dict[str, Any]:
    """Check all pairs of one format; returns its part of the record."""
    top, text = rtl(fmt)
    digest = rtl_hash(text)
    program = build(top, text, engine)
    STATE.mkdir(parents=True, exist_ok=True)
    path = STATE / f"{fmt.name}_{digest[:16]}.jsonl"
    done = finished(path)
    missing = [first for first in range(0, OPERANDS, BLOCK) if first not in done]
    began = perf_counter()
    with path.open("a") as state, ThreadPoolExecutor(processes) as pool:
        blocks = pool.map(lambda first: run_block(program, fmt, first), missing)
        for block in _progress(fmt, blocks, len(missing), began):
            done[block["first"]] = block
            state.write(json.dumps(block) + "\n")
            state.flush()
            if block["wrong"]:
                print("\n".join(block["wrong"]), file=sys.stderr)
    return summary(digest, done)


def _progress(
    fmt: FloatFormat, blocks: Iterator[dict[str, Any]], count: int, began: float
) -> Iterator[dict[str, Any]]:
    for number, block in enumerate(blocks, start=1):
        yield block
        left = (perf_counter() - began) / number * (count - number)
        if number % 8 == 0 or number == count:
            print(f"{fmt.name}: {number} of {count} blocks, {left:.0f} s left", flush=True)


def summary(digest: str, done: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Entry of one format in the record."""
    hashes = [value for first in sorted(done) for value in done[first]["hashes"]]
    if len(hashes) != OPERANDS:
        raise RuntimeError(f"A soak must check {OPERANDS} operands, not {len(hashes)}")
    return {
        "date": datetime.date.today().isoformat(),
        "pairs": len(hashes) * OPERANDS,
        "mismatches": sum(block["mismatches"] for block in done.values()),
        "rtl_sha256": digest,
        "results_sha256": hashlib.sha256("".join(f"{value}\n" for value in hashes).encode()).hexdigest(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--format", choices=FORMATS, action="append")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--engine", choices=("verilator", "cxxrtl"), default="verilator")
    parser.add_argument("--record", type=Path, default=RECORD)
    given = parser.parse_args()
    record = yaml.safe_load(given.record.read_text()) if given.record.exists() else {}
    for name in given.format or FORMATS:
        record[name] = run(floating.get(name), given.engine, given.processes)
        head = "# Written by `make soak`: every operand pair of the combinational adder, RTL against an oracle.\n"
        given.record.write_text(head + yaml.safe_dump(record, sort_keys=False))
        print(f"{name}: {record[name]['mismatches']} mismatches in {record[name]['pairs']} pairs")
    return int(any(part["mismatches"] for part in record.values()))


if __name__ == "__main__":
    sys.exit(main())
