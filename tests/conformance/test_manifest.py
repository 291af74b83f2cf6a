"""A bench can be written from the manifest and the pages: one is, and it agrees with stimulus, reference and RTL."""

from __future__ import annotations

import ast
import copy
import json
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from blueprint.registry import families
from blueprint.spec import Spec
from blueprint.unit import flip_flops
from blueprint.workloads.tasks import Attention, Gemm, Rowwise, Task
from generator.emission import Emitted
from generator.export import describe, write_hardware
from simulator.rtl import rtl
from ternforge.conformance.manifest_check import faults
from tests import attention_by_the_page
from tests.conformance import manifest_attention, manifest_bench, manifest_time
from tests.conformance.drawn import design, gates, numbers
from tests.conformance.manifest_bench import Bench, Names, expected
from tests.volume import some

#: Those that a bench from the manifest can compute; it has no values of vector units, of which beats are compared.
FAMILIES = sorted(set(families()) - {"vector"})
#: Vector units whose beats are compared.
VECTORS = 40
RUNS = 2
#: Designs that are looked at, and of those that agreement proves the first ones that are taken in any case.
POOL, FIRST = 160, some(1, of=8)
#: Those run as Verilog are spread over so many tests.
PARTS = some(3, of=12)
#: What changes a beat: every choice of these parameters, and every pair of the first two, is among the designs.
CHOICES = {
    "ternary_lut": ("key_encoding", "activation", "exact", "result_format", "table_style"),
    "systolic": ("organization", "pe", "sparsity", "activation"),
    "streaming_attention": ("mask", "format", "acc_format", "kv_width", "graph"),
}
#: Largest distance of attention from float64: of int8 results, and relative to results above 1 of floats.
LSB, RELATIVE = 1.0, {"fp16": 2.0**-10, "bf16": 2.0**-8}
SCALES = ("multiplier", "shift", "offset", "output_multiplier", "output_shift")


@cache
def chosen(family: str) -> tuple[int, ...]:
    """The first designs that agreement proves, whose models are in the cache, and all that bring a choice then."""
    seen: set[tuple[Any, ...]] = set()
    found = []
    proved = numbers(family)
    for number in (*proved, *(number for number in range(POOL) if number not in proved)):
        p = design(family, number).parameters
        first, second, *_ = CHOICES[family]
        brings = {(name, p[name]) for name in CHOICES[family]} | {(p[first], p[second])}
        brings |= {
            ("candidates", p.get("candidates", 0) > 0),
            ("result", result_format(design(family, number))),
        }
        if number in proved[:FIRST] or brings - seen:
            found.append(number)
            seen |= brings
    return tuple(found)


@cache
def built(family: str) -> tuple[int, ...]:
    """Those run as Verilog: the smallest of every choice of the first two parameters, all in `make test-all`."""
    by_choice: dict[tuple[str, Any], int] = {}
    for number in sorted(chosen(family), key=lambda number: gates(family, number)):
        p = design(family, number).parameters
        for name in CHOICES[family][:2]:
            by_choice.setdefault((name, p[name]), number)
    return chosen(family)[: some(0, of=POOL)] or tuple(sorted(set(by_choice.values())))


def result_format(spec: Spec) -> str:
    return next(stream for stream in spec.streams() if stream.direction == "out").field.format


def manifest_of(spec: Spec) -> dict[str, Any]:
    """What stands in the file, but for the modules."""
    text = json.dumps(describe(spec, Emitted(spec.name, {}, {}, {}, (), {}, {})))
    found: dict[str, Any] = json.loads(text)
    return found


def given(spec: Spec, task: Task, operands: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Operands by the manifest's names, and the sizes that no shape says."""
    if isinstance(task, Attention):
        plain = {name: operands[name] for name in ("query", "key", "value")}
        plain |= dict(zip(SCALES, operands["scale"].T, strict=True))
        return plain, {"window": int(operands["mask"][1]), "sinks": int(operands["mask"][2])}
    return operands, {"ternary": int(np.abs(operands["wgt"]).max() <= 1)}


def runs(spec: Spec, number: int) -> list[tuple[Task, dict[str, Any]]]:
    random = np.random.default_rng([2, number])
    tasks = [spec.sample_workload(random) for _ in range(RUNS)]
    return [(task, spec.operands(task, seed)) for seed, task in enumerate(tasks)]


def differences(
    spec: Spec, manifest: dict[str, Any], task: Task, operands: dict[str, Any], *, results: bool = True
) -> list[str]:
    """What the bench from the manifest does otherwise than the blueprint; ``results``: their order, too."""
    bench, golden = Bench(manifest), spec.reference(operands)
    plain, more = given(spec, task, operands)
    names = bench.names(plain, more) | golden
    wrong = [] if bench.registers(names) == spec.register_values(task) else ["registers differ"]
    for name, beats in spec.stimulus(operands).items():
        packed = bench.pack(name, plain, names)
        wrong += [] if np.array_equal(packed, beats) else [f"beats of {name} differ"]
    if not isinstance(task, Attention):
        naive = expected(manifest, operands)["out"]
        wrong += [] if np.array_equal(naive, golden["out"]) else ["values differ"]
    return wrong + (unordered(spec, bench, task, golden, names) if results else [])


def unordered(spec: Spec, bench: Bench, task: Task, golden: dict[str, Any], names: Names) -> list[str]:
    """Results that the blueprint or the bench itself finds elsewhere than the bench puts them."""
    wrong = []
    outputs = {name for name, stream in bench.streams.items() if stream["direction"] == "out"}
    sent = {name: bench.pack(name, golden, names) for name in outputs}
    for name, found in spec.collect(sent, task).items():
        wrong += [] if np.array_equal(found, golden[name]) else [f"order of {name} differs"]
    return wrong + _unread(bench, sent, golden, names)


def _unread(bench: Bench, sent: dict[str, Any], golden: dict[str, Any], names: Names) -> list[str]:
    return [
        f"{name} is read back otherwise"
        for stream, beats in sent.items()
        for name, found in bench.unpack(stream, beats, names).items()
        if not np.array_equal(found, golden[name])
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_manifests_are_well_formed(family: str) -> None:
    assert [wrong for n in chosen(family) for wrong in faults(manifest_of(design(family, n)))] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bench_from_the_manifest_sends_and_expects_what_the_blueprint_does(family: str) -> None:
    for number in chosen(family):
        spec = design(family, number)
        manifest = manifest_of(spec)
        for task, operands in runs(spec, number):
            assert differences(spec, manifest, task, operands) == [], (spec, task)


def beats_differ(spec: Spec, manifest: dict[str, Any], task: Task, operands: dict[str, Any]) -> list[str]:
    """Streams of a vector unit that the bench from the manifest packs otherwise, and results read from other places."""
    bench, registers, golden = Bench(manifest), spec.register_values(task), spec.reference(operands)
    names = bench.names(operands, {name: registers[name] for name in manifest["operation"]["given"]})
    wrong = [] if bench.registers(names) == registers else ["registers"]
    for name, beats in spec.stimulus(operands).items():
        wrong += [] if np.array_equal(bench.pack(name, operands, names), beats) else [name]
    read = spec.collect({"out": bench.pack("out", golden, names)}, task)
    return wrong + [name for name, found in read.items() if not np.array_equal(found, golden[name])]


def test_beats_of_a_vector_unit_are_those_that_its_manifest_describes() -> None:
    """Values and cycles are not computed from the manifest; what a run applies is a number that software writes."""
    streams, fields = set(), set()
    for number in range(VECTORS):
        spec = design("vector", number)
        manifest = manifest_of(spec)
        assert faults(manifest) == []
        for task, operands in runs(spec, number):
            assert beats_differ(spec, manifest, task, operands) == [], (spec, task)
        streams |= set(manifest["streams"])
        fields |= {field["name"] for stream in manifest["streams"].values() for field in stream["fields"]}
    assert streams == {"x", "operand", "gain", "out"}
    assert fields >= {"weight_scale", "row_scale", "quantized", "scale", "dot", "index"}


def test_a_manifest_of_a_vector_unit_that_says_something_else_is_noticed() -> None:
    spec = next(each for each in (design("vector", number) for number in range(POOL)) if each.lanes > 1)
    task = Rowwise(2, 2 * spec.lanes + 1, "norm")
    operands, manifest = spec.operands(task, 1), manifest_of(spec)
    assert beats_differ(spec, manifest, task, operands) == []
    last = f"beat * {spec.lanes} + {spec.lanes} - 1 - lane"
    for stream, wrong in (("x", ["x"]), ("gain", ["gain"]), ("out", ["out"])):
        index = len(manifest["streams"][stream]["fields"][0]["holds"]["index"]) - 1
        other = changed(manifest, f"streams/{stream}/fields/0/holds/index/{index}", last)
        assert beats_differ(spec, other, task, operands) == wrong


@pytest.mark.parametrize("family", FAMILIES)
def test_every_choice_that_changes_a_beat_is_among_the_designs(family: str) -> None:
    limits = families()[family].limits()
    taken = [design(family, number).parameters for number in chosen(family)]
    for name in CHOICES[family]:
        assert {p[name] for p in taken} >= set(limits[name].choices), name


def test_sums_of_every_format_are_among_the_designs() -> None:
    formats = {family: {result_format(design(family, n)) for n in chosen(family)} for family in FAMILIES}
    small = {"int", "fp16", "bf16", "fp8_e4m3", "fp8_e5m2"}
    assert formats == {
        "ternary_lut": small | {"fp32"}, "systolic": small, "streaming_attention": {"int", "fp16", "bf16"},
    }  # fmt: skip


def test_words_of_integers_and_of_ternary_weights_packed_keys_and_pruned_ones_are_among_the_designs() -> None:
    kinds = set()
    for number in chosen("systolic"):
        spec = design("systolic", number)
        if spec.parameters["pe"] == "booth_flex":
            kinds |= {given(spec, *run)[1]["ternary"] for run in runs(spec, number)}
    assert kinds == {0, 1}
    attention = [design("streaming_attention", number).parameters for number in chosen("streaming_attention")]
    assert {p["kv_width"] for p in attention} == {4, 8}
    assert {p["candidates"] > 0 for p in attention} == {False, True}


def test_attention_is_that_of_float64_over_the_keys_that_the_page_says_are_seen() -> None:
    """For integers and fixed-point sums, whose scales the bench reads; ``naive`` may lose what its offset takes off."""
    checked = 0
    for number in sorted({*chosen("streaming_attention"), *range(some(12, of=30))}):
        spec = design("streaming_attention", number)
        p, manifest = spec.parameters, manifest_of(spec)
        if p["acc_format"] not in ("integer", "fixed") or p["graph"] == "naive":
            continue
        for task, _ in runs(spec, number):
            operands = spec.typical_operands(task, number)
            plain, more = given(spec, task, operands)
            names = Bench(manifest).names(plain, more) | spec.reference(operands)
            naive = manifest_bench.attention(manifest, plain, names)
            assert off(manifest, naive, spec.reference(operands)["out"]) <= 1, (spec, task)
            checked += 1
    assert checked >= 20


def test_picked_keys_are_those_of_the_page() -> None:
    checked = 0
    for number in range(POOL):
        spec = design("streaming_attention", number)
        if not spec.parameters["candidates"]:
            continue
        manifest = manifest_of(spec)
        for task, operands in runs(spec, number):
            plain, more = given(spec, task, operands)
            found = manifest_bench.picks(manifest, plain, Bench(manifest).names(plain, more))
            assert np.array_equal(found, spec.reference(operands)["pick"]), (spec, task)
            checked += 1
    assert checked >= 20


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_takes_the_cycles_that_the_page_says(family: str) -> None:
    for number in chosen(family):
        spec = design(family, number)
        manifest = manifest_of(spec)
        for task, operands in runs(spec, number):
            plain, more = given(spec, task, operands)
            told = manifest_time.cycles(manifest, plain, Bench(manifest).names(plain, more))
            assert told == spec.cycles_of(task, operands), (spec, task)


def off(manifest: dict[str, Any], naive: Any, found: Any) -> float:
    """Distance from float64 in units of what is allowed."""
    name = manifest["parameters"]["format"]
    if name == "int8":
        return float(np.abs(naive - found).max() / LSB)
    numbers = manifest_bench.Format(manifest["formats"][name]).numbers(found)
    return float((np.abs(naive - numbers) / np.maximum(np.abs(naive), 1)).max() / RELATIVE[name])


#: Modules of the tests that a bench may be made of: this very list.
OWN = ("tests.conformance.manifest_", "tests.attention_by_the_page")


@pytest.mark.parametrize("module", [manifest_bench, manifest_time, manifest_attention, attention_by_the_page])
def test_the_bench_knows_nothing_of_the_blueprint(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    rooms = {name.split(".")[0] for name in found} - set(sys.stdlib_module_names)
    assert rooms <= {"numpy", "tests"}
    assert not [name for name in found if name.startswith("tests.") and not name.startswith(OWN)]


# The Verilog --------------------------------------------------------------------------------------------------------


def run_rtl(spec: Spec, number: int, folder: Path) -> None:
    """The bench drives the exported Verilog, which answers as the pages say; operands alone are the blueprint's."""
    write_hardware(spec, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    bench, todo, wanted = Bench(manifest), [], []
    for task, operands in runs(spec, number):
        plain, more = given(spec, task, operands)
        names = bench.names(plain, more)
        golden, saturated = answered(manifest, plain, names)
        names |= golden
        sides: dict[str, list[str]] = {"in": [], "out": []}
        for name, stream in manifest["streams"].items():
            sides[stream["direction"]].append(name)
        stimulus = {name: bench.pack(name, plain, names) for name in sides["in"]}
        counts = {name: len(bench.beats(name, names)) for name in sides["out"]}
        todo.append(rtl.Job(stimulus, counts, {}, bench.registers(names)))
        wanted.append((names, golden, saturated, manifest_time.cycles(manifest, plain, names)))
    model = rtl.load(folder, optimize="-O0")
    for run, (names, golden, saturated, cycles) in zip(model.run_all(todo), wanted, strict=True):
        for stream, data in run.data.items():
            for name, found in bench.unpack(stream, data, names).items():
                assert np.array_equal(found, golden[name]), (spec, names)
            last = np.arange(len(data)) == len(data) - 1
            assert np.array_equal(run.last[stream], last)
        assert run.cycles == run.registers["cycles"] == cycles, (spec, names)
        status = manifest["registers"]["status"]["fields"]
        flags = {name: run.registers["status"] >> low & 1 for name, (low, _) in status.items()}
        ended = {"busy": 0, "done": 1, "size_error": 0, "framing_error": 0}
        assert flags == ended | ({"saturated": int(saturated)} if "saturated" in status else {}), spec


def answered(manifest: dict[str, Any], operands: dict[str, Any], names: Names) -> tuple[dict[str, Any], bool]:
    """Outputs, and whether a value leaves the range of the arithmetic."""
    if manifest["family"] == "streaming_attention":
        return manifest_attention.answers(manifest, operands, names)
    return expected(manifest, operands), False


@pytest.mark.parametrize("family", FAMILIES)
def test_the_verilog_of_a_small_design_answers_a_bench_from_the_manifest(family: str, tmp_path: Path) -> None:
    number = min(chosen(family), key=lambda number: flip_flops(design(family, number).units()))
    run_rtl(design(family, number), number, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_verilog_answers_a_bench_from_the_manifest(family: str, part: int, tmp_path: Path) -> None:
    for number in built(family)[part::PARTS]:
        run_rtl(design(family, number), number, tmp_path / str(number))


@pytest.mark.slow
def test_lanes_that_an_integer_of_booth_flex_does_not_use_are_not_looked_at(tmp_path: Path) -> None:
    write_hardware(FLEXIBLE, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    bench, (task, operands) = Bench(manifest), long_run(FLEXIBLE)
    operands = {"act": operands["act"], "wgt": 37 * operands["wgt"]}  # no longer ternary
    names = bench.names(*given(FLEXIBLE, task, operands))
    stimulus = {name: bench.pack(name, operands, names) for name in ("act", "wgt")}
    lanes = stimulus["act"].reshape(-1, 2, 4)
    assert not lanes[:, :, 1:].any()
    lanes[:, :, 1:] = np.random.default_rng(0).integers(1, 256, (len(lanes), 2, 3))
    job = rtl.Job(stimulus, {"out": len(bench.beats("out", names))}, {}, bench.registers(names))
    run = rtl.load(tmp_path, optimize="-O0").run_all([job])[0]
    found = bench.unpack("out", run.data["out"], names)["out"]
    assert np.array_equal(found, operands["act"] @ operands["wgt"])
    lanes[:, :, 0] ^= 1
    run = rtl.load(tmp_path, optimize="-O0").run_all([job])[0]
    assert not np.array_equal(bench.unpack("out", run.data["out"], names)["out"], found)


# Failing twins: every check above is seen to fail. -------------------------------------------------------------------


def changed(manifest: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one thing changed, or taken away where ``value`` is None."""
    found = copy.deepcopy(manifest)
    *way, last = (int(step) if step.isdigit() else step for step in path.split("/"))
    place: Any = found
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return found


SPARSE = families()["systolic"](
    organization="output_stationary", pe="mac", rows=2, cols=3, dot_length=2, act_width=8, weight_width=5,
    k_max=64, n_max=64, sparsity="2:4",
)  # fmt: skip
FLEXIBLE = families()["systolic"](
    organization="cube", pe="booth_flex", rows=2, cols=2, dot_length=1, act_width=8, weight_width=8, k_max=64, n_max=64,
)  # fmt: skip
MASKED = families()["streaming_attention"](
    dim=4, parallel=2, head_group=2, keys_max=16, queries_max=16, mask="lambda"
)
PRUNED = families()["streaming_attention"](dim=4, keys_max=16, queries_max=1, candidates=4)
STAYING = families()["systolic"](
    organization="weight_stationary", pe="float", rows=2, cols=2, dot_length=2, act_width=16, weight_width=16,
    activation="fp16", k_max=64, n_max=64, m_max=64, token_depth=4,
)  # fmt: skip

BROKEN = [
    (SPARSE, "streams/act/width", None, "stream act: width is missing"),
    (SPARSE, "flip_flops", "3", "manifest: flip_flops must be int, not '3'"),
    (SPARSE, "operation/computes", None, "operation: computes is missing"),
    (SPARSE, "streams/act/direction", "inout", "stream act: direction must be in or out, not 'inout'"),
    (SPARSE, "streams/act/prefix", "act", "stream act: prefix must be s_axis_act"),
    (SPARSE, "streams/act/tlast", "", "stream act: a beat must be whole bytes with a field and a meaning of tlast"),
    (SPARSE, "streams/act/fields/0/signed", 1, "stream act: field activation: signed must be bool, not 1"),
    (SPARSE, "streams/act/fields/0/offset", 1, "stream act: activation must lie in bits 0 to 63"),
    (MASKED, "streams/scale/fields/1/offset", 15, "stream scale: multiplier and shift share bits"),
    (SPARSE, "streams/wgt/fields/0/parts/1/offset", 4, "stream wgt: field weight: value and index share bits"),
    (FLEXIBLE, "streams/wgt/fields/0/parts/1/when", None, "stream wgt: field weight: integer and digits share bits"),
    (
        SPARSE,
        "streams/act/fields/0/axes",
        ["row"],
        "stream act: field activation: axes must be a new name for each of [2, 4], not ['row']",
    ),
    (
        SPARSE,
        "streams/act/fields/0/encoding",
        "gray",
        "stream act: field activation: encoding must be a known one with a meaning, not 'gray'",
    ),
    (
        STAYING,
        "formats",
        {},
        "stream act: field activation: format fp16 must be described and of 16 bits",
    ),
    (STAYING, "formats/fp16/bias", None, "format fp16: bias is missing"),
    (STAYING, "formats/fp16/fraction_bits", 9, "format fp16: sign, exponent and fraction must be 16 bits"),
    (SPARSE, "streams/act/beats/0/count", "1 +", "stream act: loop token_group: '1 +' is no expression"),
    (SPARSE, "streams/act/beats/0/count", "rows", "stream act: loop token_group: 'rows' must know 'rows'"),
    (SPARSE, "streams/act/beats/0/count", "1.5", "stream act: loop token_group: '1.5' must hold integers, not 1.5"),
    (SPARSE, "streams/act/beats/0/count", "[2][0]", "stream act: loop token_group: '[2][0]' must not hold List"),
    (SPARSE, "streams/act/beats/1/loop", "token_group", "stream act: loop token_group is there twice"),
    (MASKED, "streams/key/beats/1/where/low", "lowest", "stream key: where low: 'lowest' must know 'lowest'"),
    (SPARSE, "streams/act/fields/0/holds", None, "stream act: field activation: holds is missing"),
    (SPARSE, "streams/act/fields/0/holds/beyond", None, "stream act: field activation: beyond is missing"),
    (
        SPARSE,
        "streams/act/fields/0/holds/operand",
        "x",
        "stream act: field activation: operand must be one of act, wgt, out, not 'x'",
    ),
    (
        SPARSE,
        "streams/act/fields/0/holds/index",
        ["row"],
        "stream act: field activation: index must be one for each of ['tokens', 'k'], not ['row']",
    ),
    (SPARSE, "streams/wgt/fields/0/holds/rank", "place", "stream wgt: field weight: 'place' must know 'place'"),
    (SPARSE, "streams/act/fields/0/holds/operand", "wgt", "inputs: act is on no stream"),
    (PRUNED, "streams/pick/fields/0/holds/operand", "out", "outputs: pick is on no stream"),
    (SPARSE, "operation/registers/k", None, "register k: must be written and be there"),
    (SPARSE, "operation/registers/k", "dot_length", "operation: register k: 'dot_length' must know 'dot_length'"),
    (MASKED, "operation/where/turns", "ceil(share / g)", "operation: where turns: 'ceil(share / g)' must know 'g'"),
    (PRUNED, "operation/outputs/pick/shape", ["h"], "operation: output pick: 'h' must know 'h'"),
    (SPARSE, "registers/status/fields/done", [0, 1], "register status: busy and done share bits"),
    (SPARSE, "registers/k/address", 8, "register k: address must be a free word, not 0x8"),
    (SPARSE, "registers/k/address", 2, "register k: address must be a free word, not 0x2"),
    (SPARSE, "registers/k/address", -4, "register k: address must be a free word, not -0x4"),
    (SPARSE, "registers/k/address", 1 << 20, "register k: address must be a free word, not 0x100000"),
    (SPARSE, "registers/k/access", None, "register k: access is missing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "path", "value", "message"), BROKEN, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_broken_manifest_is_told_as_such(spec: Spec, path: str, value: Any, message: str) -> None:
    manifest = manifest_of(spec)
    assert faults(manifest) == []
    assert message in faults(changed(manifest, path, value))


SWAPPED = [
    {"loop": "column_group", "count": "ceil(n / 3)"},
    {"loop": "token_group", "count": "ceil(tokens / 2)"},
    {"loop": "beat", "count": "ceil(k / 4)"},
]
INDEX = "fields/0/holds/index"
WRONG = [
    (SPARSE, "streams/wgt/beats", SWAPPED, "beats of wgt differ"),
    (SPARSE, f"streams/act/{INDEX}/1", "beat * 4 + 3 - lane", "beats of act differ"),
    (SPARSE, "streams/wgt/fields/0/holds/rank", "1 - slot % 2", "beats of wgt differ"),
    (FLEXIBLE, "streams/wgt/fields/0/parts/2/offset", 6, "beats of wgt differ"),
    (MASKED, "streams/key/beats/1/where/first", "0", "beats of key differ"),
    (MASKED, "streams/scale/fields/4/offset", 81, "beats of scale differ"),
    (MASKED, "operation/registers/passes", "heads", "registers differ"),
    (PRUNED, f"streams/value/{INDEX}/1", "candidate", "beats of value differ"),
    (STAYING, f"streams/act/{INDEX}/0", "token_group * 3 + token", "beats of act differ"),
    (STAYING, "operation/where/held", "tokens", "beats of act differ"),
    (STAYING, "formats/fp16/bias", 14, "values differ"),
    (STAYING, "parameters/dot_length", 1, "values differ"),
]


@pytest.mark.parametrize(
    ("spec", "path", "value", "message"), WRONG, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_manifest_that_says_something_else_is_noticed(
    spec: Spec, path: str, value: Any, message: str
) -> None:
    manifest = manifest_of(spec)
    task, operands = long_run(spec)
    assert differences(spec, manifest, task, operands) == []
    found = differences(spec, changed(manifest, path, value), task, operands, results=False)
    assert message in found


def test_results_in_another_order_or_missing_are_noticed() -> None:
    manifest = manifest_of(SPARSE)
    task, operands = long_run(SPARSE)
    swapped = changed(manifest, f"streams/out/{INDEX}/1", "column_group * 3 + 2 - column")
    assert differences(SPARSE, swapped, task, operands) == ["order of out differs"]
    twice = changed(manifest, f"streams/out/{INDEX}/1", "column_group * 3")
    with pytest.raises(AssertionError, match=r"^a result is missing or came twice"):
        differences(SPARSE, twice, task, operands)


OTHERS = [
    (SPARSE, "parameters/product_register", True),
    (STAYING, "parameters/product_register", True),
    (MASKED, "parameters/exp_stages", 2),
    (PRUNED, "parameters/dim", 9),
]


@pytest.mark.parametrize(("spec", "path", "value"), OTHERS, ids=lambda v: v if isinstance(v, str) else "")
def test_cycles_of_another_design_are_noticed(spec: Spec, path: str, value: Any) -> None:
    manifest = manifest_of(spec)
    task, operands = long_run(spec)
    plain, more = given(spec, task, operands)
    names = Bench(manifest).names(plain, more)
    right = spec.cycles_of(task, operands)
    assert manifest_time.cycles(manifest, plain, names) == right
    assert manifest_time.cycles(changed(manifest, path, value), plain, names) != right


def test_attention_to_other_keys_and_other_picks_are_noticed() -> None:
    manifest = manifest_of(MASKED)
    task, _ = long_run(MASKED)
    operands = MASKED.typical_operands(task, 1)
    plain, more = given(MASKED, task, operands)
    names, out = Bench(manifest).names(plain, more), MASKED.reference(operands)["out"]
    assert off(manifest, manifest_bench.attention(manifest, plain, names), out) <= 1
    assert off(manifest, manifest_bench.attention(manifest, plain, names | {"window": 1}), out) > 1
    task, operands = long_run(PRUNED)
    plain, more = given(PRUNED, task, operands)
    names = Bench(manifest_of(PRUNED)).names(plain, more)
    negated = plain | {"key": -1 - plain["key"]}
    pick = PRUNED.reference(operands)["pick"]
    assert np.array_equal(manifest_bench.picks({}, plain, names), pick)
    assert not np.array_equal(manifest_bench.picks({}, negated, names), pick)


def long_run(spec: Spec) -> tuple[Task, dict[str, Any]]:
    """A run of several turns of every loop, with ragged edges."""
    if spec.family == "systolic":
        task: Task = Gemm(6, 11, 7)
    elif spec is PRUNED:
        task = Attention(1, 11, 4, 2, 4)
    else:
        task = Attention(7, 11, 6, 2, 4, "lambda", 3, 2)
    return task, spec.operands(task, 1)
