"""Progress of the emission of Verilog: one share of the whole, from the first module to the last file."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from generator import emission, export, system_export
from generator.cells.fifo import Fifo
from ternforge import session
from ternforge.verbs.generate import generate

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_what_is_told_grows_to_less_than_the_whole_and_changes_no_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emission, "_TICK", 0.02)
    heard: list[tuple[int, int]] = []
    fifo = Fifo("fifo", 4, 6, ahead=False, refills=False)
    emitted = emission.emit(fifo, lambda *parts: heard.append(parts))
    assert emitted.modules == emission.emit(Fifo("fifo", 4, 6, ahead=False, refills=False)).modules
    shares = [done for done, total in heard]
    assert {total for _, total in heard} == {100} and shares == sorted(shares)
    assert shares[0] == 35 and 35 < shares[-1] <= 99  # conversion, then what Yosys should have done


def test_a_share_that_took_longer_than_it_should_waits_below_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emission, "_TICK", 0.01)
    heard: list[int] = []
    with emission._ticking(lambda done, _: heard.append(done), 50, 0.0):
        time.sleep(0.1)
    told = len(heard)
    time.sleep(0.03)
    assert heard and heard[-1] == 99 and len(heard) == told, "nothing is told behind the end"


def test_a_fault_of_the_work_ends_what_is_told() -> None:
    with pytest.raises(ValueError, match=r"^work$"), emission._ticking(emission.untold, 1, 1.0):
        raise ValueError("work")


@pytest.mark.parametrize(
    ("module", "function", "file"),
    [(export, "write_hardware", "vector/design.yaml"), (system_export, "write_system", "tiny_decoder/system.yaml")],
)  # fmt: skip
def test_generate_says_how_much_of_the_whole_is_made(
    module: Any, function: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_: Any, out: Path, *, told: emission.Told, **__: Any) -> dict[str, Any]:
        told(25, 100)
        told(100, 100)
        return {}

    heard: list[str] = []
    monkeypatch.setattr(session, "_PAUSE", 0.0)
    monkeypatch.setattr(module, function, write)
    generate(EXAMPLES / file, tmp_path / "out", note=heard.append)
    assert len(heard) == 1 and re.fullmatch(r"made 25 of 100 % of the Verilog, \d+ s left", heard[0])


def test_names_of_wide_wires_are_apart_where_yosys_first_reads_them() -> None:
    low, narrow, wide = "wire width 9 \\low", "wire width 4 \\narrow", "wire width 1280 output 3 \\wide"
    text = "\n".join(
        f"  {wire}" for wire in (low, narrow, wide, "wire width 2560 \\low", "wire width 1023 \\below")
    )
    read = [line.split()[-1] for line in emission._apart(text).splitlines()]
    fresh = [name for name in read if name.startswith("$apart$")]
    assert len(set(fresh)) == len(fresh) == 30
    assert read == ["\\low", *fresh[:20], "\\narrow", "\\wide", *fresh[20:], "\\low", "\\below"]


def test_names_that_keep_others_apart_are_in_no_verilog() -> None:
    spec = Fifo("fifo", 1100, 2, ahead=False, refills=False)
    text = "".join(emission.emit(spec).modules.values())
    assert "[1099:0] word;" in text and "apart" not in text
