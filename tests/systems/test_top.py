"""Whole systems: programs by hand on RTL, equal to golden models, and to the machine in every begin and end."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.spec import Spec
from blueprint.systems import control
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import MOVED, Instruction
from blueprint.systems.memory_port import BEHAVIORS
from blueprint.workloads.tasks import Attention, Gemm, Rowwise
from generator.emission import emit
from generator.systems.top import SystemTop
from simulator.systems import rtl
from tests.systems.system_bench import DATA, Writing, agrees, compared, memories, program, status
from tests.systems.test_dma import WAIVED
from toolchain import verilator

#: Units that are quick to build, each with a task whose operands fit its staging.
MATRIX: dict[str, Any] = {"mu": 2, "lut_count": 2, "fetch_count": 4, "act_width": 8, "k_max": 32, "n_max": 32}
ATTENTION: dict[str, Any] = {
    "dim": 4, "parallel": 1, "head_group": 1, "keys_max": 16, "heads_max": 4, "mask": "causal", "kv_width": 4,
}  # fmt: skip
VECTOR: dict[str, Any] = {"lanes": 4, "length_max": 32, "rows_max": 8}

#: A first beat that is a whole look later; less may be seen by the same look.
LOOKS = {"FIRST_BEAT": 3}


def unit(family: str, parameters: dict[str, Any]) -> Spec:
    return registry.get(family)(**parameters)


@functools.cache
def small(width: int = 64) -> Hardware:
    return control.built("small", {"matrix": unit("ternary_lut", MATRIX)}, width=width, burst=8)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program(small(), tmp_path_factory.mktemp("small"))


def products(count: int = 2) -> Writing:
    """A product after the other: the next one loads while this one runs."""
    writing = Writing(small())
    for number in range(count):
        writing.run("matrix", Gemm(1, 12 + 4 * number, 8), number)
    writing.end()
    return writing


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_products_end_in_the_cycle_of_the_model(behavior: str, bench: Path) -> None:
    compared(bench, products(), behavior)


@functools.cache
def whole() -> Hardware:
    units = {
        "matrix": unit("ternary_lut", MATRIX),
        "attention": unit("streaming_attention", ATTENTION),
        "vector": unit("vector", VECTOR),
    }
    return control.built("whole", units, width=64, burst=8)


@pytest.fixture(scope="module")
def wide_bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program(whole(), tmp_path_factory.mktemp("whole"), "verilator")


def layer() -> Writing:
    """A run of every unit, and a second one of some."""
    writing = Writing(whole())
    writing.run("vector", Rowwise(2, 16, "norm+quantize"), 1, packs=True)
    writing.run("matrix", Gemm(1, 16, 8), 2)
    writing.run("attention", Attention(1, 5, 2, 2, 4, "causal"), 3)
    writing.run("vector", Rowwise(2, 24, "dequantize+add"), 4)
    writing.run("vector", Rowwise(2, 16, "norm+quantize"), 5, narrow=True, repeat=2)
    writing.run("vector", Rowwise(1, 24, "norm"), 6, narrow=True)
    writing.end()
    return writing


@pytest.mark.slow
@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_runs_of_all_units_end_in_the_cycle_of_the_model(behavior: str, wide_bench: Path) -> None:
    compared(wide_bench, layer(), behavior)


@pytest.mark.parametrize("name", ["WRITE", "OFFER", "FIRST_BEAT", "ANSWER", "NEXT_PASS", "CLEAR"])
def test_a_machine_with_another_cycle_is_noticed(
    name: str, bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, ports = products(), memories()
    (found,), _ = rtl.run(bench, small(), writing.memory.tobytes(), [rtl.Job(writing.registers(), ports)])
    agrees(found, writing.model(ports))
    monkeypatch.setattr(control, name, getattr(control, name) + LOOKS.get(name, 1))
    with pytest.raises(AssertionError):
        agrees(found, writing.model(ports))


# Passes, tokens, positions --------------------------------------------------------------------------------------------


def copying() -> Writing:
    """Passes that load the token of their position, a row by it, and store the product by the position."""
    writing, hardware = Writing(small()), small()
    task = Gemm(1, 16, 4)
    run = writing.run("matrix", task, 5)
    writing.code.clear()
    tokens, table = writing.take(64), writing.take(16 * 16)
    writing.memory[tokens : tokens + 32 : 4] = [3, 1, 2, 0, 7, 4, 2, 9]
    spec, operands = hardware.units["matrix"], run.operands
    rows = np.random.default_rng(1).integers(-128, 128, (16, 16))
    writing.memory[table : table + 256] = rows.astype("i1").view(np.uint8).reshape(-1)
    weights = next(one for one in hardware.inputs if one.stream == "wgt")
    writing.move("load", len(hardware.inputs), tokens, 4, index=2, stride=4)
    writing.move("load", 0 | 256, table, 16, index=1, stride=16)
    data = spec.stimulus(operands)["wgt"]
    at = next(address for address in [DATA])
    size = len(spec.stimulus(operands)["wgt"]) * weights.beat_bytes
    first = DATA + 16 + 8  # behind the activations of the run
    writing.move("load", weights.number | 256, first, size, signal=("matrix",))
    assert at == DATA and len(data)
    numbers = {register.name: register.address // 4 for register in spec.registers()}
    for name, value in run.registers.items():
        writing.say("set", "matrix", numbers[name], value)
    writing.say("set", "matrix", 65, 1)
    writing.say("start", "matrix", wait=("load",), signal=("store",))
    out = writing.take(8 * 16)
    beat = hardware.outputs[0].beat_bytes
    writing.move("store", 0, out, beat, index=2, stride=16, wait=("matrix",))
    writing.end()
    writing.expected = (rows, operands, out, tokens)  # type: ignore[attr-defined]
    return writing


def test_passes_take_the_token_and_the_row_of_their_position(bench: Path) -> None:
    writing, ports = copying(), memories()
    rows, operands, out, tokens = writing.expected  # type: ignore[attr-defined]
    passes = {"prompt_passes": 2, "decode_passes": 1, "position": 1}
    (found,), left = rtl.run(
        bench, small(), writing.memory.tobytes(), [rtl.Job(writing.registers(**passes), ports)]
    )
    assert status(found) == {"done": 1}
    assert found.registers["position"] == 4
    listed = writing.memory[tokens : tokens + 32 : 4]
    spec, beat = small().units["matrix"], small().outputs[0]
    for position in (1, 2, 3):
        row = rows[listed[position]][None]
        golden = spec.reference({**operands, "act": row})["out"].reshape(-1)
        place = out + 16 * position
        stored = np.frombuffer(left[place : place + beat.beat_bytes], f"<i{beat.container}")
        np.testing.assert_array_equal(stored, golden)
    assert left[out : out + 16] == bytes(16), "no pass has position 0"


def test_passes_take_the_cycles_of_the_model(bench: Path) -> None:
    writing, ports = copying(), memories("random")
    registers = writing.registers(decode_passes=3, position=1)
    (found,), _ = rtl.run(bench, small(), writing.memory.tobytes(), [rtl.Job(registers, ports)])
    tokens = writing.expected[3]  # type: ignore[attr-defined]
    listed = {tokens + 4 * n: int(writing.memory[tokens + 4 * n]) for n in range(8)}
    agrees(found, writing.model(ports, 3, position=1, token=listed.__getitem__))


# Loads that follow each other -----------------------------------------------------------------------------------------


def following(*broken: int) -> Writing:
    """Loads of tokens without anything between, more than can be under way; those of some addresses come in between."""
    writing, token = Writing(small()), len(small().inputs)
    tokens = writing.take(64)
    writing.memory[tokens : tokens + 32 : 4] = [3, 1, 2, 0, 7, 4, 2, 9]
    writing.move("load", token, tokens, 4)
    for _ in range(6):
        writing.say("start", "load", signal=("store",))
    for address in broken:
        writing.say("set", "load", 0, address)
        writing.say("start", "load")
    writing.say("set", "load", 0, tokens)
    writing.say("set", "load", 5, 1, signal=("store",))
    writing.say("start", "load", signal=("store",))
    writing.say("start", "load")
    writing.say("sync", "load", signal=("store",))
    for _ in range(9):
        writing.say("sync", "store", wait=("load",))
    writing.end()
    return writing


@pytest.mark.parametrize("behavior", BEHAVIORS)
def test_loads_under_way_take_the_cycles_of_the_model(behavior: str, bench: Path) -> None:
    """A token given by no load, and a load by the token, wait for all under way; the fifth for the first."""
    writing, ports = following(), memories(behavior)
    (found,), _ = rtl.run(bench, small(), writing.memory.tobytes(), [rtl.Job(writing.registers(), ports)])
    assert status(found) == {"done": 1}
    trace = writing.model(ports, token=lambda address: int(writing.memory[address]))
    agrees(found, trace)
    starts = [span for span in trace.spans["load"] if span.text.kind == "start"]
    assert all(later.begin < one.end for one, later in zip(starts[:6], starts[1:7], strict=True))
    assert all(later.begin > one.end for one, later in zip(starts, starts[4:], strict=False))


@pytest.mark.parametrize(
    ("address", "told"),
    [(DATA + 2, {"refused": 1}), (4096 * 15, {"bus_error": 1, "response": 2})],
)
def test_a_load_that_fails_behind_others_ends_the_program(
    address: int, told: dict[str, int], bench: Path
) -> None:
    ports = memories()
    ports[1] = dataclasses.replace(ports[1], poisoned=(4096 * 15, 4096 * 15 + 8))
    assert ends(bench, following(address), ports) == {"done": 1, **told}


# What goes wrong ------------------------------------------------------------------------------------------------------


def ends(bench: Path, writing: Writing, ports: Any, **changed: int) -> dict[str, int]:
    """The status of a program that goes wrong; then the same bench runs a sound one: nothing is left of the first."""
    sound = products(1)
    sound.free = writing.free
    image = np.where(writing.memory, writing.memory, 0).astype(np.uint8)
    jobs = [rtl.Job(writing.registers(**changed), ports, cut=20_000)]
    (found,), left = rtl.run(bench, small(), image.tobytes(), jobs)
    assert found.cycles > 0, "a program that goes wrong must end"
    again = [*jobs, rtl.Job(writing.registers(**changed), ports, reset=False, cut=20_000)]
    first, second = rtl.run(bench, small(), image.tobytes(), again)[0]
    assert status(first) == status(second), "what went wrong must not change what comes after"
    assert first.cycles == second.cycles
    return status(found)


@pytest.mark.parametrize(
    ("port", "response", "told"),
    [(0, 2, {"unit": 5}), (1, 2, {"unit": 0}), (2, 2, {"unit": 4}), (1, 3, {}), (2, 3, {"unit": 4})],
)
def test_errors_of_memory_end_the_program(
    port: int, response: int, told: dict[str, int], bench: Path
) -> None:
    ports, writing = memories(), products(1)
    at = (4096 * 9, DATA, writing.runs[0].stored[0][0])[port]
    if response == 2:
        ports[port] = dataclasses.replace(ports[port], poisoned=(at, at + 8))
    else:
        ports[port] = dataclasses.replace(ports[port], size=at)
    expected = {"done": 1, "bus_error": 1, "response": response, **told}
    assert ends(bench, writing, ports) == {name: value for name, value in expected.items() if value}


def changed(writing: Writing, number: int, **fields: Any) -> Writing:
    """A program with one instruction that is another."""
    writing.code[number] = dataclasses.replace(writing.code[number], **fields)
    writing.end()
    writing.code.pop()
    return writing


def find(writing: Writing, unit: str, register: int, which: int = 0) -> int:
    numbers = [
        n
        for n, one in enumerate(writing.code)
        if (one.kind, one.unit, one.register) == ("set", unit, register)
    ]
    return numbers[which]


@pytest.mark.parametrize(
    ("mover", "register", "value", "told"),
    [
        ("load", "row_bytes", 0, {"refused": 1}),
        ("load", "rows", 0, {"refused": 1}),
        ("load", "address", DATA + 2, {"refused": 1}),
        ("load", "rows", 1 << 20, {"refused": 1}),
        ("load", "place", 7, {"refused": 1}),
        ("load", "place", 1 << 8 | 1 << 9, {"refused": 1}),
        ("load", "place", 1 << 10, {"refused": 1}),
        ("load", "index", 3, {"refused": 1}),
        ("store", "place", 1, {"refused": 1, "unit": 4}),
        ("store", "row_bytes", 1 << 39, {"refused": 1, "unit": 4}),
        ("load", "row_bytes", 8, {"unit_error": 1, "unit": 1, "unit_status": 9}),
    ],
)
def test_what_cannot_be_moved_is_refused(
    mover: str, register: str, value: int, told: dict[str, int], bench: Path
) -> None:
    writing = products(1)
    number = find(writing, mover, MOVED.index(register))
    changed(writing, number, value=value)
    assert ends(bench, writing, memories()) == {"done": 1, **told}


def test_a_unit_that_refuses_its_sizes_ends_the_program(bench: Path) -> None:
    writing = products(1)
    changed(writing, find(writing, "matrix", 3), value=33)
    assert ends(bench, writing, memories()) == {"done": 1, "unit_error": 1, "unit": 1, "unit_status": 4}


def test_a_register_that_only_reads_is_refused(bench: Path) -> None:
    writing = products(1)
    changed(writing, find(writing, "matrix", 3), register=1)
    assert ends(bench, writing, memories()) == {"done": 1, "refused": 1, "unit": 1}


def test_a_run_that_ends_early_is_misframed(bench: Path) -> None:
    writing = products(1)
    place = writing.code[find(writing, "load", MOVED.index("place"))].value
    changed(writing, find(writing, "load", MOVED.index("place")), value=place - 256)
    told = ends(bench, writing, memories())
    assert told.pop("unit_status") & 8
    assert told == {"done": 1, "unit_error": 1, "unit": 1}


@pytest.mark.parametrize("kind", ["illegal", "absent", "early end", "no end"])
def test_programs_that_are_none_end(kind: str, bench: Path) -> None:
    writing = products(1)
    if kind == "absent":
        changed(writing, 3, unit="vector", register=3)
    elif kind == "early end":
        writing.code[3] = Instruction("end")
        writing.end()
        writing.code.pop()
    elif kind == "illegal":
        place = 4096 * 9 + 8 * 3
        writing.memory[place : place + 8] = 0
    told = {"done": 1, "illegal": 1, "unit": 5}
    length = {"decode_length": len(writing.code) - 1} if kind == "no end" else {}
    assert ends(bench, writing, memories(), **length) == told


@pytest.mark.parametrize(
    ("registers", "told"),
    [
        ({"image_lo": 1}, "wrong_image"),
        ({"image_hi": 1}, "wrong_image"),
        ({"decode_passes": 0}, "no_program"),
        ({"decode_length": 0}, "no_program"),
        ({"decode_length": 1 << 24}, "no_program"),
        ({"prompt_passes": 1, "prompt_length": 0}, "no_program"),
    ],
)
def test_what_cannot_start_says_why_and_moves_nothing(
    registers: dict[str, int], told: str, bench: Path
) -> None:
    writing = products(1)
    (found,), left = rtl.run(
        bench,
        small(),
        writing.memory.tobytes(),
        [rtl.Job(writing.registers(**registers), memories(), cut=100)],
    )
    assert (status(found), found.steps, left) == ({"done": 1, told: 1}, [], writing.memory.tobytes())


@pytest.mark.parametrize("cycle", [0, 5, 30, 60, 100, 130, 160])
def test_the_host_stops_a_program_at_any_time(cycle: int, bench: Path) -> None:
    writing = products(2)
    sound = rtl.Job(writing.registers(), memories(), reset=False)
    (stopped, second), left = rtl.run(
        bench, small(), writing.memory.tobytes(), [dataclasses.replace(sound, reset=True, stop=cycle), sound]
    )
    assert status(stopped) == {"done": 1, "stopped": 1, "unit": 5}
    agrees(second, writing.model(memories()))


def test_a_program_that_waits_for_ever_can_be_stopped(bench: Path) -> None:
    writing = products(1)
    number = next(n for n, one in enumerate(writing.code) if one.kind == "start" and one.unit == "matrix")
    changed(writing, number, wait=("load", "store"))
    jobs = [rtl.Job(writing.registers(), memories(), stop=3000, cut=5000)]
    (found,), _ = rtl.run(bench, small(), writing.memory.tobytes(), jobs)
    assert status(found) == {"done": 1, "stopped": 1, "unit": 5}
    with pytest.raises(
        RuntimeError, match=r"^A program must run to its end, not be stuck from cycle \d+ on$"
    ):
        writing.model(memories())


STUCK = {"done": 1, "stuck": 1, "unit": 5}


@pytest.mark.parametrize("stream", ["act", "wgt"])
def test_a_load_that_brings_too_few_beats_ends_the_program(stream: str, bench: Path) -> None:
    """Nothing says that the run ends, and its unit waits for what never comes."""
    writing = products(1)
    field = next(one for one in small().inputs if one.stream == stream)
    place = [find(writing, "load", MOVED.index("place"), which) for which in (0, 1)][field.number]
    assert writing.code[place].value == field.number | 256
    changed(writing, place, value=field.number)
    changed(writing, find(writing, "load", MOVED.index("row_bytes"), field.number), value=8)
    assert ends(bench, writing, memories(), patience=300) == STUCK


def test_a_token_that_never_comes_ends_the_program(bench: Path) -> None:
    writing = products(1)
    number = next(n for n, one in enumerate(writing.code) if one.kind == "start" and one.unit == "matrix")
    changed(writing, number, wait=("load", "store"))
    assert ends(bench, writing, memories(), patience=100) == STUCK
    (patient,), _ = rtl.run(
        bench,
        small(),
        writing.memory.tobytes(),
        [rtl.Job(writing.registers(patience=0), memories(), cut=20_000)],
    )
    assert patient.cycles == -1, "a host of no patience limit waits"


def test_patience_is_from_the_last_that_moved(bench: Path) -> None:
    """A program that waits for memory is not stuck; one cycle of patience less than its longest wait ends it."""
    writing, ports = products(1), memories("fixed", latency=90)
    image = writing.memory.tobytes()
    found, left = {}, {}
    for patience in (0, 200, 40):
        registers = writing.registers(patience=patience)
        (found[patience],), left[patience] = rtl.run(bench, small(), image, [rtl.Job(registers, ports)])
    agrees(found[200], writing.model(ports))
    assert (found[200].steps, left[200]) == (found[0].steps, left[0])
    assert status(found[40]) == {**STUCK, "unanswered": 1, "draining": 1, "owed": 1}, (
        "memory is slower than that"
    )
    assert 40 < found[40].cycles < 400


def test_a_host_that_says_nothing_has_patience(bench: Path) -> None:
    writing = products(1)
    (found,), _ = rtl.run(
        bench, small(), writing.memory.tobytes(), [rtl.Job(writing.registers(), memories())]
    )
    assert found.registers["patience"] == control.PATIENCE == 1 << 20


@pytest.mark.parametrize("cycle", [3, 40, 90, 140])
def test_a_reset_in_the_middle_leaves_nothing(cycle: int, bench: Path) -> None:
    writing = products(2)
    sound = rtl.Job(writing.registers(), memories())
    (_, found), left = rtl.run(
        bench, small(), writing.memory.tobytes(), [dataclasses.replace(sound, cut=cycle), sound]
    )
    agrees(found, writing.model(memories()))
    assert left == rtl.run(bench, small(), writing.memory.tobytes(), [sound])[1]


# The texts ------------------------------------------------------------------------------------------------------------


def test_lint_is_silent(tmp_path: Path) -> None:
    emitted = emit(SystemTop(small()))
    source, waivers = tmp_path / "top.v", [tmp_path / "lint.vlt"]
    source.write_text("\n".join(emitted.modules.values()))
    waivers[0].write_text(WAIVED)
    assert verilator.lint([source], emitted.top, waivers) == []
