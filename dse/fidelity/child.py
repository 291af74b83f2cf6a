"""One measurement in a process of its own: what it asks is a pickle, what it answers a JSON file beside it."""

from __future__ import annotations

import importlib
import json
import math
import pickle
import sys
from dataclasses import asdict
from pathlib import Path

from dse.fidelity.promotion import LOG_TAIL, Promotion
from dse.fidelity.request import Measured, Request
from dse.worker import environment
from toolchain import files, process

REQUEST, ANSWER = "request.pickle", "answer.json"


def measure(level: str, request: Request, *, timeout_s: float, memory_mib: int) -> Promotion:
    """Measure a design within limits of time and memory; a child that crashes, hangs or lies has ``failed``."""
    command = [sys.executable, "-P", "-c", "from dse.fidelity.child import main; main()"]
    with files.scratch("ternforge-level-") as folder:
        (folder / REQUEST).write_bytes(pickle.dumps(request))
        try:
            process.run(
                [*command, folder],
                tool=f"Level {level}",
                env=environment(),
                timeout_s=timeout_s,
                memory_mib=memory_mib,
            )
            found = Measured(**json.loads((folder / ANSWER).read_text()))
            _check(level, found, request)
        except process.ToolError as problem:
            tail = problem.log[-LOG_TAIL:]
            return Promotion(request.point, level, {}, log=f"{problem}\n{tail}")
        except (OSError, ValueError, TypeError):
            return Promotion(request.point, level, {}, log=f"Level {level} ended without an answer\n")
    return Promotion(request.point, level, found.metrics, request.known, found.cycles)


def _check(level: str, found: Measured, request: Request) -> None:
    """Refuse numbers that are none, and those that the study has no metric for."""
    for name, value in found.metrics.items():
        if name not in request.known or not math.isfinite(value):
            raise process.ToolError(
                f"Level {level}", f"must answer finite metrics of the study, not {name} {value}"
            )
    if not found.metrics:
        raise process.ToolError(f"Level {level}", "must answer a metric, and it answered none")


def main() -> None:
    """Answer the request in the folder of the first argument."""
    process.end_with_parent()
    folder = Path(sys.argv[1])
    request: Request = pickle.loads((folder / REQUEST).read_bytes())
    module, _, name = request.function.partition(":")
    found = getattr(importlib.import_module(module), name)(request)
    (folder / ANSWER).write_text(json.dumps(asdict(found)))
