"""What a run reads is what stood in its registers when it started, whatever is written while it goes on; what cannot
run is refused by the hardware as it is by the check of a workload. For every family, in the RTL."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.families.systolic import SystolicSpec
from blueprint.families.ternary_lut import TernaryLutSpec
from blueprint.families.vector import VectorSpec
from blueprint.registry import families
from blueprint.spec import Spec
from blueprint.unit import flip_flops
from blueprint.workloads.tasks import COPY, Attention, Gemm, Rowwise, Task
from costmodel.calibration import sampling
from generator.emission import Emitted
from generator.export import describe, write_hardware
from simulator.engine import kernel
from simulator.rtl import rtl
from simulator.stall_patterns import of_run
from ternforge.conformance import differences, netlist_flip_flops_both_ways, patterns
from tests.volume import first, some
from toolchain import yosys

FAMILIES = sorted(families())
BUSY, DONE, SIZE_ERROR = 1, 2, 4
WORD = (1 << 32) - 1

#: Random designs that are checked, the first of every family in the fast suite.
DRAWN = [
    pytest.param(family, number, marks=[pytest.mark.slow] if number else [])
    for number in range(some(1, of=4))
    for family in FAMILIES
]

#: Combinations of sizes that are asked of the hardware although it must refuse them, drawn at random.
REFUSED = some(250, of=1 << 20)

Item = tuple[Task, dict[str, Any], rtl.Job]


@cache
def drawn(family: str, number: int) -> Spec:
    """Small random designs, those with most sizes that a run reads first."""
    some = [families()[family].sample(np.random.default_rng([5, n])) for n in range(24)]
    some = sorted(some, key=sampling.gates)[:12]
    return sorted(some, key=lambda spec: -sum(size.bits > 0 for size in spec.sizes))[number]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registers")


def build(folder: Path, spec: Spec) -> rtl.Model:
    out = folder / spec.name
    if not out.exists():
        write_hardware(spec, out)
    return rtl.load(out, optimize="-O0")


def item(spec: Spec, work: Task, seed: int = 0, **job: Any) -> Item:
    """A run with what :func:`differences` compares it with."""
    operands = spec.operands(work, seed)
    graph = spec.timing(work, operands)
    outputs = {n.stream: n.firings for n in graph.nodes if n.stream and n.direction == "out"}
    job = {"registers": spec.register_values(work), **job}
    job["patterns"] = of_run(job.get("patterns", {}), graph, spec.streams())
    return work, operands, rtl.Job(spec.stimulus(operands), outputs, **job)


def perform(spec: Spec, model: rtl.Model, todo: list[Item]) -> list[str]:
    """Everything in which the runs differ from the golden model and the simulator."""
    return differences(spec, todo, model.run_all([job for *_, job in todo]))


def state(run: rtl.RtlRun) -> int:
    """Whether the design is busy, done, or has refused; what values did is left out."""
    return run.registers["status"] & (BUSY | DONE | SIZE_ERROR)


def long_task(spec: Spec, random: np.random.Generator) -> Task:
    """A task of several steps in as many sizes as possible."""

    def steps(work: Task) -> tuple[int, int]:
        return sum(value > 2 for value in spec.register_values(work).values()), -int(spec.cycles(work))

    some: list[Task] = [spec.sample_workload(random) for _ in range(30)]
    return max(some, key=steps)


def other(size: Any, value: int, random: np.random.Generator) -> int:
    """Something else to write into a size."""
    others = [
        v
        for v in (0, 1, 2, value - 1, value + 1, int(size.most), int(random.integers(1 << 32)), WORD)
        if v != value
    ]
    return int(random.choice(others)) & WORD


# Sampling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "number"), DRAWN)
def test_writes_at_random_cycles_change_the_next_run_only(folder: Path, family: str, number: int) -> None:
    """Every run leaves the sizes of the next one, and whatever else was written before them, in the registers."""
    spec = drawn(family, number)
    random = np.random.default_rng([7, number])
    tasks = [long_task(spec, random) if turn % 2 else spec.sample_workload(random) for turn in range(16)]
    todo: list[Item] = []
    for turn, work in enumerate(tasks):
        following = spec.register_values(tasks[turn + 1] if turn + 1 < len(tasks) else work)
        length = int(spec.cycles(work)) + 6
        writes = []
        for size in spec.sizes:
            many = int(random.integers(1, 5))
            cycles = sorted(int(random.integers(length)) for _ in range(many))
            values = [other(size, following[size.name], random) for _ in range(many - 1)]
            writes += [
                rtl.Write(c, size.name, v)
                for c, v in zip(cycles, [*values, following[size.name]], strict=True)
            ]
        writes.sort(key=lambda write: write.cycle)
        first = spec.register_values(work) if turn == 0 else {}
        stalls = patterns(spec, random, turn % 3)
        todo.append(item(spec, work, turn, registers=first, writes=writes, patterns=stalls))
    assert perform(spec, build(folder, spec), todo) == []


def disturbed(one: rtl.RtlRun, other: rtl.RtlRun, spec: Spec) -> list[str]:
    """What of two runs differs, what stands in the size registers left out."""
    sizes = {size.name for size in spec.sizes}
    kinds = ("accepted", "data", "last")
    wrong = [
        f"{kind} of {name}"
        for kind in kinds
        for name, found in getattr(one, kind).items()
        if not np.array_equal(found, getattr(other, kind)[name])
    ]
    return wrong + [
        name for name, value in one.registers.items() if name not in sizes and value != other.registers[name]
    ]


@pytest.mark.parametrize(("family", "number"), DRAWN)
def test_no_write_in_any_cycle_changes_the_run(folder: Path, family: str, number: int) -> None:
    """Sizes, and the start itself, in every cycle from the first beat to after the last.

    Of many sizes `make test` writes some in each cycle, and each in some cycles.
    """
    spec = drawn(family, number)
    random = np.random.default_rng([8, number])
    work = min((long_task(spec, random) for _ in range(12)), key=spec.cycles)
    whole = item(spec, work, patterns=patterns(spec, random, 1))
    model = build(folder, spec)
    [run] = model.run_all([whole[2]])
    assert differences(spec, [whole], [run]) == []
    end = max(int(cycles[-1]) for cycles in run.accepted.values() if len(cycles))
    apart = some(max(1, len(spec.sizes) // 2), of=1)
    writes = [
        rtl.Write(cycle, size.name, other(size, whole[2].registers[size.name], random))
        for place, size in enumerate(spec.sizes)
        for cycle in range(place % apart, end + 2, apart)
    ]
    # A start accepted a cycle later, which is at most the last of the run.
    writes += [rtl.Write(cycle, "control", 1) for cycle in range(end - 1)]
    todo = [dataclasses.replace(whole[2], writes=[write]) for write in writes]
    for write, found in zip(writes, model.run_all(todo), strict=True):
        assert disturbed(run, found, spec) == [], write


def attention(**changes: Any) -> StreamingAttentionSpec:
    return StreamingAttentionSpec(**{"dim": 2, "keys_max": 3, "queries_max": 4, "heads_max": 2, **changes})


def tables(**changes: Any) -> TernaryLutSpec:
    return TernaryLutSpec(**{"mu": 2, "lut_count": 1, "fetch_count": 2, "act_width": 4, **changes})


def array(organization: str, **changes: Any) -> SystolicSpec:
    common: dict[str, Any] = {"pe": "mac", "rows": 2, "cols": 2, "act_width": 4, "weight_width": 2}
    return SystolicSpec(
        **common | {"organization": organization, "k_max": 3, "n_max": 3, "m_max": 3} | changes
    )


LARGE = {"k_max": 64, "n_max": 64, "m_max": 64}
SAMPLES: dict[str, Spec] = {
    "tables": tables(lut_count=2, **LARGE),
    "sums stay": array("output_stationary", **LARGE),
    "weights stay": array("weight_stationary", **LARGE),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_sizes_set_to_1_nine_cycles_after_the_start(folder: Path, sample: str) -> None:
    spec = SAMPLES[sample]
    starved = {"wgt": np.random.default_rng(3).random(101) > 0.7}
    todo = [
        item(spec, Gemm(3, 11, 7), patterns=starved, writes=[rtl.Write(9, n, 1)])
        for n in ("k", "n", "tokens")
    ]
    everything = [rtl.Write(9, name, 1) for name in ("k", "n", "tokens")]
    todo.append(item(spec, Gemm(3, 11, 7), patterns=starved, writes=everything))
    todo.append(item(spec, Gemm(1, 1, 1), registers={}))
    assert perform(spec, build(folder, spec), todo) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_starts_right_behind_another(folder: Path, family: str) -> None:
    """The start is written around the cycle of the last output beat: ignored up to it, heard after it."""
    spec = drawn(family, 0)
    random = np.random.default_rng(9)
    first, second = long_task(spec, random), long_task(spec, random)
    model = build(folder, spec)
    [run] = model.run_all([item(spec, first)[2]])
    end = max(int(cycles[-1]) for cycles in run.accepted.values() if len(cycles))
    sizes = [rtl.Write(0, name, value) for name, value in spec.register_values(second).items()]
    for accepted in range(end - 3, end + 5):
        asked = [*sizes, rtl.Write(accepted - 1, "control", 1)]
        heard = accepted > end
        *_, job = item(spec, first, writes=asked, cut=end + 6)
        behind = item(spec, second, 1, registers={}, start=not heard)
        before, after = model.run_all([job, behind[2]])
        assert state(before) == (BUSY if heard else DONE), accepted - end
        assert differences(spec, [behind], [after]) == [], accepted - end


# Reset -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "number"), DRAWN)
def test_a_reset_in_any_cycle_of_a_run_leaves_nothing_behind(folder: Path, family: str, number: int) -> None:
    spec = drawn(family, number)
    random = np.random.default_rng([10, number])
    work, following = long_task(spec, random), long_task(spec, random)
    stalls = patterns(spec, random, 1)
    model = build(folder, spec)
    [run] = model.run_all([item(spec, work, patterns=stalls)[2]])
    end = max(int(cycles[-1]) for cycles in run.accepted.values() if len(cycles))
    cycles = range(1, end, max(end // 60, 1))
    cuts = [item(spec, work, patterns=stalls, cut=cycle, reset=True)[2] for cycle in cycles]
    again = item(spec, following, 1, reset=True)
    runs = model.run_all([again[2], *(job for cut in cuts for job in (cut, again[2]))])
    assert differences(spec, [again], runs[:1]) == []
    assert {state(run) for run in runs[1::2]} == {BUSY}
    for cut, found in zip(cuts, runs[2::2], strict=True):
        assert disturbed(runs[0], found, spec) == [], cut.cut


@pytest.mark.parametrize(("family", "number"), DRAWN)
def test_every_register_that_steers_has_a_reset(folder: Path, family: str, number: int) -> None:
    spec = drawn(family, number)
    build(folder, spec)
    out = folder / spec.name
    assert unreset(out) == {}


def unreset(out: Path) -> dict[str, int]:
    """Flip-flops without a reset in the modules that sequence a run, by module."""
    manifest = json.loads((out / "manifest.json").read_text())
    names = [name for name, module in manifest["modules"].items() if module["place"] in ("control", "shell")]
    lines = [f"read_verilog -sv rtl/{name}.v" for name in names] + ["proc", "opt -fast", "opt_clean"]
    yosys.run("\n".join([*lines, "tee -o steering.json stat -json"]), cwd=out, timeout_s=300)
    found = json.loads((out / "steering.json").read_text())["modules"]
    kinds = {name.lstrip("\\"): module["num_cells_by_type"] for name, module in found.items()}
    assert set(kinds) == set(names)
    bare = {name: sum(cells.get(kind, 0) for kind in ("$dff", "$dffe")) for name, cells in kinds.items()}
    return {name: count for name, count in bare.items() if count}


#: Designs of which a run reads some sizes only, or parts of them.
READ = {
    "weights stay, one token": array("weight_stationary", m_max=1),
    "weights stay, one at a time": array("weight_stationary", token_depth=1, m_max=15),
    "weights stay, all tokens": array("weight_stationary", token_depth=16, m_max=15, n_max=2),
    "sums stay, one of everything": array("output_stationary", k_max=1, n_max=1, m_max=1),
    "a table": tables(k_max=2, n_max=2, m_max=1),
    "a power of two keys": attention(keys_max=4, queries_max=1, heads_max=1),
    "one row of masked queries": attention(mask="causal", parallel=4, keys_max=4, queries_max=3, heads_max=1),
    "a row for one masked query": attention(mask="causal", parallel=3, queries_max=1, heads_max=1),
    "pruned": attention(queries_max=1, keys_max=4, candidates=3),
}


@pytest.mark.parametrize("name", READ)
def test_a_run_has_copies_of_what_it_reads_and_no_more(name: str, tmp_path: Path) -> None:
    """What nothing reads, synthesis takes away."""
    write_hardware(READ[name], tmp_path)
    predicted = int(flip_flops(READ[name].units()))
    assert netlist_flip_flops_both_ways(tmp_path) == (predicted, predicted)


# Refusal -----------------------------------------------------------------------------------------------------------


TINY: dict[str, Spec] = {
    "tables": tables(k_max=3, n_max=3, m_max=3),
    "weights stay": array("weight_stationary", token_depth=2),
    "causal": attention(mask="causal", parallel=2, keys_max=4, queries_max=5),
    "rows": VectorSpec(lanes=2, length_max=3, rows_max=2, format="bf16", gates=False),
}
MORE: dict[str, Spec] = {
    "sums stay": array("output_stationary"),
    "lambda, shallow": attention(
        mask="lambda", parallel=2, keys_max=4, queries_max=3, heads_max=1, graph="naive", long_depth=3
    ),
    "pruned": attention(queries_max=1, keys_max=4, candidates=3),
    "tables of a tile": tables(k_max=2, n_max=2, m_max=1),
    "tables, lanes of tokens": tables(k_max=5, n_max=4, m_max=5, token_lanes=2),
    "one of everything": array("output_stationary", k_max=1, n_max=1, m_max=1),
    "weights stay, one token": array("weight_stationary", token_depth=1),
    "weights stay, memory": array("weight_stationary", accumulator="sram", m_max=7, token_depth=4),
    "cube": array("cube", dot_length=2, k_max=7),
    "broadcast": array("broadcast_matrix"),
    "adder tree": array("adder_tree", rows=1, dot_length=4, k_max=7),
    "serial": array("output_stationary", pe="opt4c", act_width=8),
    "flexible": array("output_stationary", pe="booth_flex", weight_width=4),
    "sparse": array("output_stationary", dot_length=2, sparsity="2:4", k_max=7),
    "no mask": attention(parallel=3, head_group=2),
    "no mask, one query": attention(queries_max=1, heads_max=1),
    "causal, one at a time": attention(mask="causal", graph="scaled"),
    "causal, three at a time, shallow": attention(mask="causal", parallel=3, graph="reordered", long_depth=2),
    "no mask, shallow": attention(graph="scaled", long_depth=1),
    "causal, one row": attention(mask="causal", parallel=4, keys_max=4, queries_max=3),
    "window": attention(mask="window", keys_max=4),
    "window, two at a time, shallow": attention(
        mask="window", parallel=2, keys_max=5, graph="scaled", long_depth=3
    ),
    "window, very shallow": attention(mask="window", parallel=3, keys_max=4, graph="naive", long_depth=1),
    "lambda": attention(mask="lambda", keys_max=4, heads_max=1, parallel=1),
    "lambda, two at a time": attention(mask="lambda", keys_max=4, heads_max=1, parallel=2, graph="reordered"),
    "shallow rows": attention(mask="causal", graph="scaled", row_depth=1, short_depth=1),
    "pruned, shallow": attention(queries_max=1, candidates=3, keys_max=4, graph="naive", long_depth=2),
    "floats": attention(mask="causal", format="fp16", acc_format="fixed", parallel=2, heads_max=1),
}
#: Those built in `make test`: every mask, organization of several loops and kind of FIFO that limits a size.
BUILT = (
    "sums stay",
    "pruned",
    "tables, lanes of tokens",
    "one of everything",
    "cube",
    "adder tree",
    "serial",
)
BUILT += ("no mask, shallow", "window, two at a time, shallow", "lambda, two at a time", "floats")


def test_every_family_refuses_in_these_tests() -> None:
    assert {spec.family for spec in TINY.values()} == set(FAMILIES)


def combinations(spec: Spec) -> Iterator[dict[str, int]]:
    """Values of all sizes: every legal one, 0, one too many, all ones; no task has one candidate."""
    values = [[*range(int(size.most) + 2), WORD] for size in spec.sizes]
    for size, given in zip(spec.sizes, values, strict=True):
        if size.name == "candidates":
            given.remove(1)
    for chosen in itertools.product(*values):
        yield dict(zip((size.name for size in spec.sizes), chosen, strict=True))


def applied(spec: Any, bits: int) -> str:
    """What a run does, by the bits that its register is one more than. Raises ``ValueError`` for none."""
    if not 0 <= bits < 1 << len(spec.operations):
        raise ValueError(f"No operation is {bits}")
    return "+".join(name for place, name in enumerate(spec.operations) if bits >> place & 1) or COPY


def task_of(spec: Spec, values: dict[str, int]) -> Task:
    """The task that has these registers. Raises ``ValueError``."""
    if spec.task is Gemm:
        return Gemm(values["tokens"], values["k"], values["n"])
    if spec.task is Rowwise:
        return Rowwise(values["rows"], values["length"], applied(spec, values["operation"] - 1))
    sizes: dict[str, Any] = {
        name: values[name] for name in ("queries", "keys", "window", "sinks") if name in values
    }
    heads = values["passes"]
    dim, mask = spec.parameters["dim"], spec.parameters["mask"]
    if values.get("sinks") == 0:
        raise ValueError("A design of mask lambda has a sink")
    return Attention(heads=heads, kv_heads=heads, dim=dim, mask=mask, **sizes)


def of_as_many(spec: Spec, values: dict[str, int]) -> Spec:
    """The design of as many candidates as a run asks for, where it may."""
    if 2 <= values.get("candidates", 0) <= spec.parameters.get("candidates", 0):
        return dataclasses.replace(spec, candidates=values["candidates"])  # type: ignore[call-arg]
    return spec


def runs(spec: Spec, values: dict[str, int]) -> Task | None:
    """The task of these registers where it can run: its kind, the design's limits, no deadlock of its graph."""
    spec = of_as_many(spec, values)
    try:
        work = task_of(spec, values)
        if spec.data_dependent:
            spec.check_workload(work)  # before operands of sizes that are far too large are drawn
        kernel.run(spec.timing(work, spec.operands(work, 0) if spec.data_dependent else None))
    except (ValueError, kernel.Deadlock):
        return None
    return work if spec.register_values(work) == values else None


def sorted_out(spec: Spec) -> tuple[list[tuple[Task, dict[str, int]]], list[dict[str, int]]]:
    """The combinations that software lets run, with their tasks, and those that it refuses."""
    tasks = [(runs(spec, values), values) for values in combinations(spec)]
    legal = [(work, values) for work, values in tasks if work is not None]
    return legal, [values for work, values in tasks if work is None]


@pytest.mark.parametrize("name", [*TINY, *MORE])
def test_a_design_refuses_what_software_refuses(name: str) -> None:
    """Also that a task knows its registers, and no rule forbids what runs."""
    spec = (TINY | MORE)[name]
    legal, illegal = sorted_out(spec)
    assert [values for _, values in legal if spec.refuses(values) is not None] == []
    assert [values for values in illegal if spec.refuses(values) is None] == []
    assert legal and illegal


@pytest.mark.parametrize("name", [*TINY, *MORE])
def test_the_manifest_says_what_is_refused(name: str) -> None:
    """The legal values and the rules in its words, evaluated as they stand."""
    spec = (TINY | MORE)[name]
    manifest = describe(spec, Emitted(spec.name, {}, {}, {}, (), {}, {}))
    legal = {name: facts["legal"] for name, facts in manifest["registers"].items() if "legal" in facts}
    assert list(legal) == [size.name for size in spec.sizes]
    for values in combinations(spec):
        fits = all(low <= values[size] <= high for size, (low, high) in legal.items())
        keeps = all(eval(rule, {}, dict(values)) for rule in manifest["size_rules"])
        assert (fits and keeps) == (spec.refuses(values) is None), values


def check_refusals(spec: Spec, model: rtl.Model) -> None:
    """All that is legal runs to its end, as computed; all that is not is refused, and no beat accepted."""
    legal, illegal = sorted_out(spec)
    # Under a mask that is always open: the closed form of cycles does not know of shallow FIFOs.
    opened = {"out": np.ones(1, np.bool_)}
    asked = [(work, values) for work, values in legal if spec.register_values(work) == values]
    todo = [item(spec, work, registers=values, patterns=opened, reset=True) for work, values in asked]
    assert perform(spec, model, todo) == []
    # Fewer candidates end as well; there is no golden model of them, as the arithmetic is that of the design's most.
    fewer = [run for run in legal if run not in asked]
    work_of = [
        item(of_as_many(spec, values), work, registers=values, reset=True)[2] for work, values in fewer
    ]
    assert {state(run) for run in model.run_all(work_of)} <= {DONE}
    drawn = np.random.default_rng(6).permutation(len(illegal))[:REFUSED]
    jobs = [refused(spec, illegal[number]) for number in drawn]
    for job, run in zip(jobs, model.run_all(jobs), strict=True):
        assert run.registers["status"] == SIZE_ERROR, job.registers
        assert [len(beats) for beats in run.accepted.values()] == [0] * len(run.accepted), job.registers


def refused(spec: Spec, values: dict[str, int]) -> rtl.Job:
    """A start with one beat on every input, left after a dozen cycles."""
    beats = {s.name: np.zeros((1, s.width // 8), np.uint8) for s in spec.streams() if s.direction == "in"}
    outputs = {s.name: 0 for s in spec.streams() if s.direction == "out"}
    return rtl.Job(beats, outputs, {}, values, reset=True, cut=12)


@pytest.mark.parametrize("name", TINY)
def test_hardware_refuses_what_software_refuses_and_runs_the_rest(folder: Path, name: str) -> None:
    check_refusals(TINY[name], build(folder, TINY[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", first(len(BUILT), sorted(MORE, key=lambda name: name not in BUILT)))
def test_hardware_refuses_what_software_refuses_and_runs_the_rest_of_more(folder: Path, name: str) -> None:
    check_refusals(MORE[name], build(folder, MORE[name]))


def test_five_causal_queries_on_three_keys_are_refused(folder: Path) -> None:
    spec = TINY["causal"]
    values = {"passes": 1, "queries": 5, "keys": 3}
    assert spec.refuses(values) == "Registers must keep to queries <= keys, not be queries 5, keys 3"
    [run] = build(folder, spec).run_all([refused(spec, values)])
    assert run.registers["status"] == SIZE_ERROR
    assert all(len(beats) == 0 for beats in run.accepted.values())


@pytest.mark.slow
def test_one_candidate_is_enough_for_a_run(folder: Path) -> None:
    spec = MORE["pruned"]
    values = {"passes": 2, "queries": 1, "keys": 3, "candidates": 1}
    assert spec.refuses(values) is None
    counts = {"scale": 2, "query": 2, "code": 6, "key": 2, "value": 2}
    beats = {
        s.name: np.zeros((counts[s.name], s.width // 8), np.uint8)
        for s in spec.streams()
        if s.direction == "in"
    }
    [run] = build(folder, spec).run_all([rtl.Job(beats, {"out": 2, "pick": 2}, {}, values)])
    assert state(run) == DONE


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"passes": 3, "queries": 1, "keys": 1}, "Register passes must be from 1 to 2, not 3"),
        ({"passes": 1, "queries": 0, "keys": 1}, "Register queries must be from 1 to 4, not 0"),
        (
            {"passes": 1, "queries": 2, "keys": 1},
            "Registers must keep to queries <= keys, not be queries 2, keys 1",
        ),
    ],
)
def test_a_refusal_names_the_register(values: dict[str, int], reason: str) -> None:
    assert attention(mask="causal").refuses(values) == reason


def test_a_refusal_of_a_row_names_every_bound() -> None:
    spec = attention(mask="lambda", keys_max=9, parallel=2, graph="naive", long_depth=4)
    values = {"passes": 1, "queries": 1, "keys": 5, "window": 2, "sinks": 2}
    says = "Registers must keep to keys <= 4 or window + sinks <= 3, not be keys 5, window 2, sinks 2"
    assert spec.refuses(values) == says
    assert spec.refuses(values | {"sinks": 1}) is None
