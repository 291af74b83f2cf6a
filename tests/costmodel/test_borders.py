"""Limits of what is kept, asked for and built, each from both sides."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from blueprint.systems.instructions import MOVED
from blueprint.systems.memory_port import MemoryPort
from costmodel.groundtruth import netlist_files, waves
from costmodel.systems.schedule import Fetch, Reader
from costmodel.technology import selection
from costmodel.technology.liberty import Cell, Pin
from tests.systems import small
from toolchain import cache, compiler


def inverter(name: str, area: float, **more: Any) -> Cell:
    pins = (Pin("A", "input", 1.0), Pin("Y", "output", 0.0, function="!A"))
    return Cell(name, area, pins, **more)


def test_strengths_are_kept_up_to_eight_times_the_area_of_the_kept_cell() -> None:
    kept = inverter("INV1", 2.0)
    others = [inverter("INV8", 16.0), inverter("INV9", 16.1), inverter("INV0", 0.0), inverter("INVH", 0.5)]
    buffer = Cell("BUF", 2.0, (Pin("A", "input", 1.0), Pin("Z", "output", 0.0, function="A")))
    odd = [
        inverter("INVX", 4.0, dont_use=True),
        inverter("INVS", 4.0, scan=True),
        inverter("INVG", 4.0, clock_gate="latch"),
        buffer,
    ]
    found = selection.drives([*others, *odd, kept], [kept])
    assert [cell.name for cell in found] == ["INV8", "INVH"]
    # Of two kept cells of one function the larger one decides.
    assert [cell.name for cell in selection.drives(others, [kept, inverter("INV2", 2.1)])] == [
        "INV8",
        "INV9",
        "INVH",
    ]


@pytest.mark.parametrize(
    ("ports", "clock"),
    [
        (
            {"out_clk": ("output", 1), "addr": ("input", 4), "we": ("input", 1), "rd_clk": ("input", 1)},
            "rd_clk",
        ),
        ({"clk_bus": ("input", 2), "en": ("input", 1), "my_clock": ("input", 1)}, "my_clock"),
        ({"data": ("input", 8), "en": ("input", 1), "ce": ("input", 1)}, "en"),
        ({"data": ("input", 8), "q": ("output", 1)}, "clk"),
    ],
)
def test_the_clock_of_a_macro_is_an_input_of_one_bit(ports: dict[str, tuple[str, int]], clock: str) -> None:
    found: Any = SimpleNamespace(modules={"ram": SimpleNamespace(ports=ports)}, macros={"ram": ({}, 123.0)})
    macro = netlist_files._macro(found, "ram")
    assert macro.clock == clock
    assert macro.ports == tuple((name, *rest) for name, rest in ports.items())


def test_the_simulator_of_delays_is_compiled_linked_and_kept_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[Any] = []

    def entry(kind: str, parts: list[str], build: Any) -> Path:
        given.append((kind, parts[1:]))
        build(tmp_path)
        return tmp_path

    monkeypatch.setattr(cache, "entry", entry)
    monkeypatch.setattr(compiler, "version", lambda: "g++ 12")
    for name in ("compile_objects", "link", "keep_only"):
        monkeypatch.setattr(
            compiler,
            name,
            lambda *words, name=name, **options: given.append((name, *words, options)) or [name],
        )
    assert waves._program.__wrapped__() == tmp_path / "kernel"
    source = tmp_path / "delay_kernel.cpp"
    assert "int main(" in source.read_text()
    assert given == [
        ("delay-kernel", [*waves._FLAGS, "g++ 12"]),
        ("compile_objects", [(source, waves._FLAGS)], {"cwd": tmp_path}),
        ("link", ["compile_objects"], tmp_path / "kernel", {}),
        ("keep_only", tmp_path / "kernel", {}),
    ]


@pytest.mark.parametrize(("width", "apart"), [(64, [1] * 7), (32, [2] * 7), (128, [1] * 7)])
def test_words_of_a_program_that_is_fetched_one_by_one_come_as_fast_as_the_port_gives_them(
    width: int, apart: list[int]
) -> None:
    """Bursts of one word, and room for more than are under way: a request and a word in every cycle."""
    fetch = SimpleNamespace(data_width=width, burst_words=1, buffer_words=64)
    found = Fetch(SimpleNamespace(fetch=fetch), MemoryPort(latency=10))  # type: ignore[arg-type]
    cycles = [found.dispatch(number, 0) for number in range(8)]
    assert [after - before for before, after in zip(cycles, cycles[1:], strict=False)] == apart


def test_a_fetch_waits_for_room_in_its_buffer() -> None:
    """Of two bursts of one word, the third is asked for when the first was dispatched."""
    fetch = SimpleNamespace(data_width=64, burst_words=1, buffer_words=2)
    found = Fetch(SimpleNamespace(fetch=fetch), MemoryPort(latency=10))  # type: ignore[arg-type]
    first, second, *rest = (found.dispatch(number, 0) for number in range(6))
    turn = 1 + 10 + 2  # to the request, to the word, to the instruction
    assert second == first + 1 and rest[:2] == [first + turn, second + turn]
    assert rest[2:] == [first + 2 * turn, second + 2 * turn]


def test_a_load_that_ended_long_ago_is_not_in_the_way() -> None:
    """Of as many words as the buffer has: one cycle of a load under way would have it wait."""
    hardware, port = small.hardware(), MemoryPort(latency=40, size=1 << 20)
    load = hardware.load
    size = int(load.buffer_words) * load.data_width // 8
    moved = {"address": 0, "row_bytes": size, "rows": 1, "stride": size, "index": 0, "place": 0}
    registers = {number: moved.get(name, 0) for number, name in enumerate(MOVED)}
    fresh, used = Reader(hardware, port), Reader(hardware, port)
    used.take(registers, 10)
    assert fresh.take(registers, 10**6) == used.take(registers, 10**6) == 10**6
    assert (fresh.done, fresh._free) == (used.done, used._free) and fresh.done > fresh._free
    assert used.take(registers, 10**6 + 1) == fresh._free
