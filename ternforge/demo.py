"""The main job from end to end, as ``make demo`` runs it: from a space to a verified and synthesized accelerator.

Its last step is a whole decoder: a trained model writes text on the Verilog of a small system.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from costmodel.model import quantity
from dse import progress
from ternforge import streams
from ternforge.cli import BAD_INPUT, INTERRUPTED, explain
from ternforge.proving import verify_lines
from ternforge.session import table
from ternforge.verbs.apply import apply
from ternforge.verbs.estimate import estimate
from ternforge.verbs.explore import explore, front_lines
from ternforge.verbs.generate import generate
from ternforge.verbs.init import EXAMPLES
from ternforge.verbs.plot import plot
from ternforge.verbs.synth import synth
from ternforge.verbs.verify import verify

SPACE = EXAMPLES / "bitnet_2b4t_space.yaml"
#: A whole layer of the model that a bench in Python still runs in seconds: the projection to the keys of one token.
LAYER = "1x2560x640"
#: The decoder of the last step, what it is asked, and how many tokens its Verilog writes in about a minute.
SYSTEM, CHECKPOINT = EXAMPLES / "tiny_decoder" / "system.yaml", EXAMPLES / "tiny_lm" / "tiny_kjv"
PROMPT, TOKENS = "In the", 2
#: Numbers that need not be equal. Both sides price memories by the same law, so memories say nothing of the model.
_MEASURED = ("logic_area_um2", "memory_area_um2", "critical_path_ps")
_PRICED = "memory_area_um2"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; a fault that a user can mend is one sentence, with the exit code of the command line."""
    try:
        return demo(arguments)
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    except Exception as problem:
        message = explain(problem)
        if message is None:
            raise
        print(message, file=sys.stderr)
        return BAD_INPUT


def demo(arguments: Sequence[str] | None = None) -> int:
    """Run the demo into the folder given (``sim_build/demo``); the exit code is 1 where a check does not hold."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    out = Path(given[0] if given else "sim_build/demo")
    began = time.perf_counter()

    def step(number: int, text: str) -> None:
        print(f"[{number}/6 {time.perf_counter() - began:5.1f} s] {text}", flush=True)

    step(1, f"explore {SPACE.name}")
    summary = _explore(out / "study")
    step(2, f"apply the knee {summary['knee']} and export it as Verilog")
    design = out / "design.yaml"
    apply(out / "study", "knee", design)
    exported = generate(design, out / "rtl")
    print(f"  {out}/rtl: {len(exported['files'])} modules, top {exported['top']}")
    step(3, f"verify it with cocotb on Verilator, {LAYER} (the key projection) and random runs")
    verified = verify(design, cases=4, workload=LAYER, note=_note)
    step(4, "synthesize it")
    synthesized = synth(design, note=_note)
    step(5, "predicted and measured")
    rows, fine = comparison(estimate(design, workload=LAYER), verified, synthesized)
    print("\n".join(table(rows, ("", "predicted", "measured", "difference"))))
    step(6, f"let {CHECKPOINT.name} write text on the Verilog of a whole decoder")
    written = verify(SYSTEM, checkpoint=CHECKPOINT, prompt=PROMPT, tokens=TOKENS, note=_note)
    print("\n".join(f"  {line}" for line in verify_lines(written)))
    fine = fine and written["ok"]
    print(f"{'all checks hold' if fine else 'FAIL'}; {time.perf_counter() - began:.0f} s; results in {out}")
    return 0 if fine else 1


def _note(text: str) -> None:
    print(f"  {text}", flush=True)


def _explore(folder: Path) -> dict[str, Any]:
    summary = explore(SPACE, folder, progress=progress.for_stream())
    print("\n".join(front_lines(summary, str(folder))))
    for path in plot(folder)["files"]:
        print(f"  wrote {path}")
    return summary


def comparison(
    estimated: dict[str, Any], verified: dict[str, Any], synthesized: dict[str, Any]
) -> tuple[list[list[Any]], bool]:
    """The closing table, and whether everything that must be equal is."""
    layer = verified["cases"][0]
    rows: list[list[Any]] = [
        ["values that differ", 0, verified["mismatches"], _equal(0, verified["mismatches"])],
        ["cycles, analytic and RTL", estimated["cycles"], layer["cycles_rtl"], ""],
        ["cycles, simulator and RTL", layer["cycles_simulator"], layer["cycles_rtl"], ""],
        ["flip-flops", estimated["flip_flops"], synthesized["flip_flops"], ""],
    ]
    for row in rows[1:]:
        row[3] = _equal(row[1], row[2])
    fine = verified["ok"] and all(row[3] == "equal" for row in rows)
    rows += [_measured(name, estimated[name], synthesized[name]) for name in _MEASURED]
    return rows, fine


def _measured(name: str, predicted: float, measured: float | None) -> list[Any]:
    """A row of two numbers that need not be equal, in the unit that suits both."""
    unit = quantity.of_metric(name, [predicted, measured])
    difference = f"{100 * (predicted / measured - 1):+.1f} %" if measured else ""
    if name == _PRICED and predicted == measured:
        difference = "one law for both"
    return [quantity.label(name, unit.unit), unit.number(predicted), unit.number(measured), difference]


def _equal(predicted: int, measured: int) -> str:
    return "equal" if predicted == measured else "DIFFERS"


if __name__ == "__main__":
    streams.prepare()
    sys.exit(main())
