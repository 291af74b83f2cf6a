"""A window: the cache is a ring of the last positions, in the golden model, in every clock and as RTL."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks import random_systems
from blueprint.errors import ParamError, SpecError
from blueprint.systems import control, inventory, rules
from blueprint.systems.control import Hardware
from blueprint.systems.description import Buffers, System
from blueprint.systems.instructions import INDICES, MOVED
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort, of_memory
from blueprint.systems.reader import read_system, system_text
from blueprint.systems.runs import Runs
from blueprint.unit import flip_flops
from blueprint.workloads.tasks import Attention
from checkpoints.checkpoint import Checkpoint
from checkpoints.reference import Reference
from compiler import calibration, image
from compiler.compile import Compiled, compile_model, compile_shapes
from compiler.prompts import DECODE, PROMPT, turns
from costmodel.systems import compiled, schedule
from costmodel.systems import estimate as costs
from costmodel.technology import technology
from simulator.systems import decoding, proving
from simulator.systems.golden import Golden, Memory
from simulator.systems.passes import read_program
from ternforge.decoding import compiled as compile_checkpoint
from ternforge.decoding import opened
from tests.systems import small
from tests.systems.test_compiler import scores
from tests.systems.test_inventory import check_netlist
from tests.systems.test_passes import compare, fast
from tests.volume import ALL, some

PRESET = Path(__file__).resolve().parents[2] / "examples" / "tiny_decoder" / "system.yaml"
WINDOW = 4
TEXT = [3, 17, 5, 39, 0, 8, 21, 2, 11]


@cache
def hardware(window: int = WINDOW, keys: int = 12) -> Hardware:
    """The small system with a window, whose attention takes up to so many keys."""
    return replace(small.hardware(attention=small.attention(keys_max=keys)), window=window)


def trained(*windows: int) -> Checkpoint:
    made = small.checkpoint()
    return replace(made, decoder=replace(made.decoder, windows=windows))


@cache
def found(window: int = WINDOW) -> Compiled:
    """The model with this window, or without, by the same steps."""
    steps = calibration.measure(trained(WINDOW, WINDOW), [TEXT])
    model = trained(*[window] * (2 if window else 0))
    return compile_model(hardware(window), model, steps)


def port(name: str = "fixed") -> MemoryPort:
    return replace(BEHAVIORS[name], size=1 << 20)


# Values ---------------------------------------------------------------------------------------------------------------


def test_the_golden_system_scores_as_the_reference_decoder_with_its_window() -> None:
    golden, whole = scores(found(), TEXT)[0], scores(found(0), TEXT)[0]
    wanted, other = (Reference(trained(*windows)).logits(TEXT) for windows in ((WINDOW, WINDOW), ()))
    assert np.corrcoef(golden.reshape(-1), wanted.reshape(-1))[0, 1] > 0.999
    assert np.abs(golden - wanted).max() < 0.1 * np.abs(wanted).max() < np.abs(golden - other).max()
    assert np.array_equal(golden[:WINDOW], whole[:WINDOW])
    assert not any(
        np.array_equal(one, all_) for one, all_ in zip(golden[WINDOW:], whole[WINDOW:], strict=True)
    )


def test_the_cache_is_a_ring_of_the_last_positions() -> None:
    """Keys and values of the first layer, which no attention has changed, are those of a cache of all positions."""
    left = [np.frombuffer(scores(one, TEXT)[1], np.uint8) for one in (found(), found(0))]
    row = small.MODEL.kv_heads * small.MODEL.head_dim
    for kind in ("keys", "values"):
        ring, whole = (
            data[one.layout[f"{kind} 0"].base :][: count * row].reshape(count, row)
            for data, one, count in zip(left, (found(), found(0)), (WINDOW, len(TEXT)), strict=True)
        )
        assert whole.any()
        for position in range(len(TEXT) - WINDOW, len(TEXT)):
            assert np.array_equal(ring[position % WINDOW], whole[position])
    texts = [one.layout["keys 0"].text for one in (found(), found(0))]
    assert texts == [
        "keys of layer 0, a row for the last 4 positions",
        "keys of layer 0, a row for each position",
    ]


def test_a_window_of_the_whole_context_gives_the_same_bits() -> None:
    model = small.checkpoint()
    steps = calibration.measure(model, [TEXT])
    every = [compile_model(hardware(window), model, steps) for window in (0, 16)]
    assert np.array_equal(*(scores(one, TEXT)[0] for one in every))
    assert every[0].program(DECODE).instructions == every[1].program(DECODE).instructions


def test_attention_takes_as_many_keys_as_the_window_has() -> None:
    """A unit of fewer keys is enough, and so is a buffer of the cache for them."""
    small_one = small.attention(keys_max=WINDOW, head_group=1)
    narrow = replace(small.hardware(buffers=Buffers(1024, 1, 65536), attention=small_one), window=WINDOW)
    steps, model = found().steps, trained(WINDOW, WINDOW)
    made = compile_model(narrow, model, steps)
    golden, wanted = scores(made, TEXT)[0], Reference(model).logits(TEXT)
    assert np.corrcoef(golden.reshape(-1), wanted.reshape(-1))[0, 1] > 0.999
    with pytest.raises(ParamError, match=r"^Buffer of the cache must be at least 384 bytes for 12 keys"):
        compile_model(replace(narrow, window=0), trained(), steps)


def test_order_of_units_changes_nothing() -> None:
    """Neither does a pass that begins before another one has left its tokens."""
    golden = scores(found(), TEXT)[0]
    assert np.array_equal(
        golden, scores(found(), TEXT, ("store", "vector", "attention", "matrix", "load"))[0]
    )


# Cycles and bytes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("position", "name"), [(1, "fixed"), (2, "half"), (3, "random"), (8, "fixed")])
def test_every_instruction_begins_and_ends_as_cycle_by_cycle(position: int, name: str) -> None:
    compare(compile_shapes(hardware(), small.MODEL), [PROMPT, DECODE, DECODE], port(name), position)


def test_passes_behind_the_window_move_as_much_as_each_other() -> None:
    plan = compile_shapes(hardware(), small.MODEL)
    table = read_program(plan.hardware, Runs(plan.hardware), plan.program(DECODE).instructions)
    moved = [int(table.bytes(position).sum()) for position in range(12)]
    row = small.MODEL.layers * 2 * small.MODEL.kv_heads * small.MODEL.head_dim
    assert np.diff(moved).tolist() == [row] * (WINDOW - 1) + [0] * (11 - (WINDOW - 1))
    cycles = [fast(plan, [DECODE], port(), position, 3)[0] for position in (0, 3, 7, 11)]
    assert cycles[0] < cycles[1] == cycles[2] == cycles[3]


def test_runs_of_attention_have_the_keys_of_the_window() -> None:
    picture = image.of_compiled(found())
    decoded = decoding.decode(hardware(), picture, TEXT[:2], 6, port())
    keys = [
        task.keys
        for _, task in decoding.tasks(hardware(), decoded.trace)["attention"]
        if isinstance(task, Attention)
    ]
    assert keys[:: small.MODEL.kv_heads][1 :: small.MODEL.layers] == [2, 3, 4, 4, 4, 4]
    ring = {
        span.text.value
        for span in decoded.trace.spans["store"]
        if span.text.kind == "set" and span.text.register == MOVED.index("index")
    }
    assert INDICES.index("ring") in ring


@pytest.mark.parametrize("position", [0, 3, 9])
def test_closed_forms_have_the_ends_of_the_simulator(position: int) -> None:
    plan = compile_shapes(hardware(), small.MODEL)
    one = schedule.Pass(plan.hardware, port(), Runs(plan.hardware), position)
    cycles = fast(plan, [DECODE], port(), position, 3)[0]
    assert one.run(plan.program(DECODE).instructions).cycles == pytest.approx(cycles, rel=0.005)


def windowed(window: int = 64, **changed: object) -> System:
    system = read_system(PRESET)
    return replace(system, window=window, **changed)  # type: ignore[arg-type]


def test_the_estimate_of_a_system_counts_the_keys_of_its_window() -> None:
    """A token behind 200 others: the bytes of the simulator, nearly its cycles; less than those of the preset."""
    system = windowed()
    plan = compiled.plan_of(system, system.largest)
    asap7 = technology.load("asap7")
    memory = of_memory(system.memory, system.clock_mhz or 0)
    cycles, (ran,) = fast(plan, [DECODE], memory, 200, 0)
    phase = costs.estimate(system, system.largest, asap7, 200, 100).phases["decode"]
    assert phase.time.seconds * (system.clock_mhz or 0) * 1e6 == pytest.approx(cycles, rel=0.005)
    table = read_program(plan.hardware, Runs(plan.hardware), plan.program(DECODE).instructions)
    moved = int(table.bytes(200).sum()) + 8 * len(plan.program(DECODE).instructions)
    assert sum(step.operation.traffic for step in phase.time.steps) == moved
    preset = read_system(PRESET)
    whole = costs.estimate(preset, preset.largest, asap7, 200).phases["decode"]
    assert phase.time.seconds < whole.time.seconds
    assert ran.position == 200


def test_the_estimate_of_a_prompt_bends_where_the_window_is_full() -> None:
    system = windowed(32)
    plan = compiled.plan_of(system, system.largest)
    memory = of_memory(system.memory, system.clock_mhz or 0)
    phase = costs.estimate(system, system.largest, technology.load("asap7"), 0, 100).phases["prefill"]
    done = turns(100, 1, 1)
    each = {at: fast(plan, [PROMPT], memory, at, 0)[0] for at in (0, 16, 31, 32, 60, 98)}
    cycles = sum(np.interp(turn.position, list(each), list(each.values())) for turn in done[:-1])
    cycles += fast(plan, [DECODE], memory, 99, 0)[0]
    assert phase.time.seconds * (system.clock_mhz or 0) * 1e6 == pytest.approx(float(cycles), rel=0.01)


# Hardware -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_texts_through_the_window_are_those_of_the_rtl(tmp_path: Path) -> None:
    """Prompts that end before, at and behind the window; cycles of every instruction, tokens, every byte of memory."""
    bench, picture = random_systems.build(hardware(), tmp_path), image.of_compiled(found())
    for prompt, name in ((WINDOW, "random"), (1, "fixed"), (7, "half"))[: some(1, of=3)]:
        decoded = decoding.decode(hardware(), picture, TEXT[:prompt], 5, port(name))
        proof = proving.prove(hardware(), bench, picture, TEXT[:prompt], decoded, port(name))
        assert proof.findings == []
        assert proof.tokens == decoded.tokens


if ALL:  # it maps the whole system

    @pytest.mark.slow
    def test_flip_flops_of_the_netlist_are_those_of_the_inventory() -> None:
        check_netlist(hardware())


def test_a_window_has_no_flip_flop_of_its_own() -> None:
    with_it, without = (flip_flops(inventory.units(hardware(window))) for window in (WINDOW, 0))
    assert with_it == without


def test_hardware_of_another_window_has_another_hash() -> None:
    every = [hardware(window) for window in (0, 4, 8)]
    assert len({one.design_hash for one in every}) == 3
    assert hardware(0).design_hash == small.hardware().design_hash


def test_what_is_added_to_a_register_stops_at_the_window_where_keys_are_counted() -> None:
    for unit, expected in (("load", [0, 3, 3]), ("attention", [0, 3, 3]), ("vector", [0, 3, 9])):
        assert [control.added(4, unit, position) for position in (0, 3, 9)] == expected
    assert control.added(0, "load", 9) == 9
    assert control.indexed(4, 9, 5) == {"none": 0, "token": 5, "position": 9, "ring": 1}


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "windows", "told"),
    [
        (4, (), "the last 4 positions, the window of the system, and they see all"),
        (4, (8, 8), "the last 4 positions, the window of the system, and 2 see 8"),
        (4, (4, 0), "the last 4 positions, the window of the system, and 1 see 4 and 1 see 12"),
        (0, (8, 8), "all 12 positions, and 2 see 8"),
        (16, (8, 8), "all 12 positions, and 2 see 8"),
    ],
)
def test_a_checkpoint_of_another_window_is_refused(window: int, windows: tuple[int, ...], told: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(f'Layers of small must see {told}')}$"):
        compile_model(hardware(window), trained(*windows), found().steps)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"window": 1}, "window must be 0 or a power of two from 2 on, not 1"),
        ({"window": 48}, "window must be 0 or a power of two from 2 on, not 48"),
        ({"window": 256}, "window must be 0 or less than the context 256, not 256"),
        (
            {"block": 4},
            "window must be 0 beside a block of 4 tokens, whose keys take the places of some they see, not 64",
        ),
    ],
)
def test_a_window_that_no_hardware_has_is_refused(changed: dict[str, int], told: str) -> None:
    found = [fault for fault in rules.faults(windowed(**changed)) if "window" in fault.message]
    assert [(fault.path, fault.message) for fault in found] == [(("model", "window"), told)]


@pytest.mark.parametrize(
    ("preset", "block", "told"),
    [
        (
            "tiny_decoder",
            16,
            "window must be 0 beside a block of 16 tokens, whose keys take the places of some they see",
        ),
        ("hbm_2b4t", 16, "window must be 0 in a system with a host, whose cache has every position"),
    ],
)
def test_a_window_that_cannot_be_is_told_before_what_it_asks_of_units(
    preset: str, block: int, told: str
) -> None:
    system = read_system(PRESET.parents[1] / preset / "system.yaml")
    first = next(rules.faults(replace(system, window=8, block=block)))
    assert (first.path, first.message) == (("model", "window"), f"{told}, not 8")


def test_a_block_beside_a_window_is_refused_and_sequences_are_not() -> None:
    """Each sequence of a batch has a ring of its own: its scores are those that it has alone."""
    told = "Block must be 1 token beside a window of 4 positions, as its keys take the places of some that it sees"
    blocked = replace(hardware(), block=2)
    with pytest.raises(ParamError, match=f"^{re.escape(told)}, not 2$"):
        compile_shapes(blocked, small.MODEL)
    both = compile_model(blocked, trained(WINDOW, WINDOW), found().steps, 2)
    texts = [TEXT[:2], TEXT[3:5]]
    together = decoding.decode(blocked, image.of_compiled(both), texts[0], 7, port(), beside=texts[1:])
    alone = [
        decoding.decode(hardware(), image.of_compiled(found()), text, 7, port()).tokens for text in texts
    ]
    assert together.sequences == alone
    assert decoding.behind([together.trace]).window == WINDOW


def test_a_file_says_the_window(tmp_path: Path) -> None:
    system, path = windowed(), tmp_path / "system.yaml"
    assert "window" not in system_text(read_system(PRESET))
    path.write_text(system_text(system))
    assert read_system(path) == system
    path.write_text(system_text(system).replace("window: 64", "window: 65"))
    with pytest.raises(SpecError, match=r"window: window must be 0 or a power of two from 2 on, not 65$"):
        read_system(path)


def test_a_golden_model_of_hardware_without_a_window_has_no_ring() -> None:
    """The program of one with a window leaves another cache there, so nobody takes one for the other."""
    made = found()
    states = []
    for machine in (made.hardware, replace(made.hardware, window=0)):
        memory = Memory(made.layout.base, made.layout.image())
        golden = Golden(machine, memory)
        golden.run(made.program(PROMPT).instructions, 2)
        states.append(memory.written.tobytes())
    assert states[0] != states[1]


def test_a_checkpoint_of_another_window_is_refused_before_its_steps_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "own_text", lambda *_, **__: pytest.fail("measured"))
    system, checkpoint = windowed(window=64), opened(PRESET.parents[1] / "tiny_lm" / "tiny_kjv")
    told = "Layers of tiny_kjv must see the last 64 positions, the window of the system, and they see all"
    with pytest.raises(ParamError, match=f"^{told}$"):
        compile_checkpoint(system, checkpoint, None, print)
