"""A search killed again and again at random moments: ``python -m benchmarks.torture [--kills 200]``.

Every kill strikes a process that explores a real space, and its workers, with SIGKILL, at a moment drawn from the time
that an undisturbed run takes. The process is forked, so that none of that time is start-up. After each kill, what was
acknowledged has to be there, in order and once; at the end the study has to be that of an undisturbed run, row by row.
Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dse import store
from dse.explore import explore
from toolchain import files

ROOT = Path(__file__).resolve().parents[1]
SPACE = ROOT / "examples" / "bitnet_2b4t_space.yaml"
#: A search of many small batches, which depends on answers; and one of few large ones, on two workers.
SEARCHES: dict[str, dict[str, Any]] = {
    "nsga2": {"method": "nsga2", "budget": 5000},
    "exhaustive": {"method": "exhaustive", "workers": 2},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the kills and say how many lost, repeated or changed anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--search", choices=SEARCHES, action="append")
    options = parser.parse_args(arguments)
    methods = options.search or list(SEARCHES)
    bad = 0
    with files.scratch("ternforge-torture-") as folder:
        for method in methods:
            bad += _torture(method, options.kills // len(methods), random.Random(options.seed), folder)
    return 1 if bad else 0


def _torture(method: str, kills: int, dice: random.Random, folder: Path) -> int:
    """Kill one kind of search; returns the number of faults found."""
    began = time.monotonic()
    os.waitpid(_explore(method, folder / f"{method}-whole"), 0)
    takes = time.monotonic() - began
    expected = rows(folder / f"{method}-whole")
    faults: Counter[str] = Counter()
    rounds = 0
    for number in range(kills):
        study = folder / f"{method}-{rounds}"
        before = rows(study).get("batches", [])
        process = _explore(method, study)
        time.sleep(dice.uniform(0.0, takes))
        finished = os.waitpid(process, os.WNOHANG)[0] == process
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        if not finished:
            os.waitpid(process, 0)
        for fault in _faults(study, before, expected, finished):
            faults[fault] += 1
        rounds += finished  # the next one begins anew
        print(f"{method}: {number + 1} of {kills} kills, {rounds} searches came to their end", flush=True)
    study = folder / f"{method}-{rounds}"
    if os.waitpid(_explore(method, study), 0)[1] != 0 or rows(study) != expected:
        faults["the study differs from that of an undisturbed run"] += 1
    print(f"{method}: {kills} kills, {sum(faults.values())} faults {dict(faults)}", flush=True)
    return sum(faults.values())


def _explore(method: str, study: Path) -> int:
    """A process, in a group of its own, that explores and ends with code 0."""
    process = os.fork()
    if process == 0:
        try:
            os.setpgid(0, 0)
            explore(SPACE, study, **SEARCHES[method]).close()
            os._exit(0)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(1)
    with suppress(ProcessLookupError, PermissionError):
        os.setpgid(process, process)  # otherwise it might be killed before it has a group
    return process


def rows(study: Path) -> dict[str, list[Any]]:
    """The rows of a study; nothing of one that was not made yet."""
    if not (study / store.NAME).exists():
        return {}
    connection = sqlite3.connect(study / store.NAME)
    try:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in ("facts", "batches", "front")
        }
    finally:
        connection.close()


def _faults(study: Path, before: list[Any], expected: dict[str, list[Any]], finished: bool) -> list[str]:
    """The faults that a kill caused."""
    now = rows(study)
    batches = now.get("batches", [])
    found = []
    if batches[: len(before)] != before:
        found.append("an acknowledged batch was lost or changed")
    if batches != expected["batches"][: len(batches)]:
        found.append("a batch differs from that of an undisturbed run")
    if finished and now != expected:
        found.append("a finished study differs from that of an undisturbed run")
    return found


if __name__ == "__main__":
    sys.exit(main())
