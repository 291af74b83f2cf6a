"""The optimum study: its page says what its document says, which holds what was asked for; its cores multiply.

Hardware runs as the mapped netlist that the study measures.
"""

from __future__ import annotations

import copy
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.optimum import answers, conclusions, measure, page, plots, switching
from benchmarks.optimum.cores import Core
from benchmarks.optimum.fetches import KeyFetch, TreeFetch
from benchmarks.optimum.lanes import BinaryBuild, BinaryFetch, MultiplyLane, select_add_lane
from benchmarks.optimum.markdown import number
from benchmarks.optimum.points import FETCHES, KINDS, TABLES, Kind, Point
from blueprint.arithmetic import ternary
from costmodel.groundtruth.activity import RUNS, _Machine
from costmodel.groundtruth.flatten import flatten
from costmodel.groundtruth.recipe import LEAST
from costmodel.groundtruth.synthesis import netlists
from generator.block import Block
from generator.emission import emit
from generator.families.ternary_lut.fetch import Fetch

DOCS = Path(__file__).resolve().parents[2] / "docs"
INT8 = Kind("int8", "integer")
INT8_KIND = ("int8", "integer")


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCS / "optimum.json").read_text())
    return found


def test_page_is_written_out_of_the_document(study: dict[str, Any]) -> None:
    assert (DOCS / "optimum.md").read_text() == page.page(study)


def test_page_follows_the_document(study: dict[str, Any]) -> None:
    other = copy.deepcopy(study)
    other["technologies"]["asap7"]["designs"][0]["um2_per_mac"]["8"] *= 0.5
    assert page.page(other) != page.page(study)


def test_pictures_are_drawn_out_of_the_document(study: dict[str, Any], tmp_path: Path) -> None:
    for path in plots.draw(study, tmp_path):
        assert path.read_text() == (DOCS / path.name).read_text(), path.name


def test_document_is_complete(study: dict[str, Any]) -> None:
    assert not study["quick"] and list(study["technologies"]) == ["asap7", "sky130hd"]
    for tech in study["technologies"].values():
        for kind in KINDS:
            rows = conclusions.designs(tech, (kind.format, kind.arithmetic))
            assert {row["mu"] for row in rows} >= {1, 2, 3, 4}
            assert all(list(row["um2_per_mac"]) == [str(count) for count in FETCHES] for row in rows)


def wanted(study: dict[str, Any]) -> list[str]:
    """The figures asked for that the document does not hold under any reading of their baselines."""
    found = conclusions.musts(study)
    int8 = [found[f"int8_percent_of_{name}_select_add"] for name in ("own", "plain", "stated")]
    missing = (
        [] if max(min(f.values()) for f in int8) >= conclusions.INT8_PERCENT else ["INT8 against select-add"]
    )
    if min(found["fp16_of_multiplier"].values()) <= conclusions.MULTIPLIER_GAIN:
        missing.append("FP16 against multipliers")
    if max(found["fp16_of_float_select_add_by_length"].values()) <= conclusions.MULTIPLIER_GAIN:
        missing.append("FP16 against float select-add at F = 64")
    return missing


def test_document_holds_what_was_asked_for(study: dict[str, Any]) -> None:
    assert wanted(study) == []


def test_what_was_asked_for_can_be_missed(study: dict[str, Any]) -> None:
    """A twin in which tables save nothing over select-add, and multipliers cost no more than that."""
    twin = copy.deepcopy(study)
    tech = twin["technologies"]["asap7"]
    tech["designs"] = [row for row in tech["designs"] if row["mu"] == 1]
    tech["select_add"]["written plainly"]["um2_per_mac"] = conclusions.area(tech, INT8_KIND, 32)
    for row in tech["designs"]:
        if row["format"] == "int8":
            row["um2_per_mac"] = dict.fromkeys(row["um2_per_mac"], 5.0)
    tech["designs"] = [row for row in tech["designs"] if row["arithmetic"] != "exact"]
    for row in tech["long"]:
        row["um2_per_mac"]["64"] = 34.0
    tech["baselines"]["fp16"]["full"]["um2_per_mac"] = conclusions.area(tech, ("fp16", "float"), 32)
    assert wanted(twin) == [
        "INT8 against select-add",
        "FP16 against multipliers",
        "FP16 against float select-add at F = 64",
    ]


def test_the_page_says_no_where_a_reading_does_not_hold(study: dict[str, Any]) -> None:
    """INT8 does not save a fifth over our own mu = 1, nor FP16 added in order 2.2 times: known, and not hidden."""
    found = conclusions.musts(study)
    assert 5 < min(found["int8_percent_of_own_select_add"].values()) < conclusions.INT8_PERCENT
    assert 1.9 < found["fp16_of_float_select_add"]["float"] < conclusions.MULTIPLIER_GAIN
    said = [line for line in answers.asked(study).splitlines() if "**no**" in line]
    assert any(line.startswith("| INT8") and "| own |" in line for line in said)
    assert any(line.startswith("| FP16") and "| own, both float |" in line for line in said)


def test_every_winner_of_the_cost_model_was_synthesized_with_its_neighbors(study: dict[str, Any]) -> None:
    for tech in study["technologies"].values():
        found = conclusions.picks(tech)
        assert [item["kind"] for item in found[::5]] == [(kind.format, kind.arithmetic) for kind in KINDS]
        for item in found:
            integer = item["kind"][1] != "float"
            groups = (item["chosen"]["mu"] > 1) + (item["chosen"]["mu"] < max(TABLES))
            assert len(item["near"]) == groups + 1 + integer
            assert item["loss"] < 0.05 and abs(item["error"]) < 0.1


def test_the_decision_record_quotes_the_document(study: dict[str, Any]) -> None:
    tech = study["technologies"]["asap7"]
    measured = {number(row[key]) for row in tech["variants"] for key in ("ours_um2", "um2")}
    measured |= {number(conclusions.area(tech, INT8_KIND, 32))}
    measured |= {number(row["um2_per_mac"]) for row in tech["published"]}
    record = (DOCS / "adr/0003-lut-hardware.md").read_text()
    rows = [line.split("|")[4] for line in record.splitlines() if line.startswith("| ")][2:]
    quoted = {figure for row in rows for figure in re.findall(r"\d+\.\d+", row)}
    assert len(quoted) > 20 and quoted <= measured, quoted - measured


class Bench:
    """A mapped core, stepped by hand: 64 runs at once."""

    def __init__(self, texts: dict[str, str], top: str) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            for name, text in texts.items():
                (Path(scratch) / f"{name}.v").write_text(text)
            manifest = {"files": [f"{name}.v" for name in texts], "top": top}
            (Path(scratch) / "manifest.json").write_text(json.dumps(manifest))
            _, modules = netlists(Path(scratch), measure.technology("asap7"), recipe=LEAST)
        self.machine = _Machine(flatten(top, modules), modules[top]["ports"], measure.technology("asap7"))

    def step(self, first: int, **inputs: Any) -> None:
        self.machine.put("first", first)
        for port, bits in inputs.items():
            self.machine.drive(port, bits)
        self.machine.settle()
        self.machine.clock()
        self.machine.settle()

    def result(self, port: str, count: int) -> Any:
        """Signed numbers, shape (runs, count)."""
        bits = self.machine.values[self.machine.pins[port]][:, None] >> np.arange(
            RUNS, dtype=np.uint64
        ) & np.uint64(1)
        width = len(bits) // count
        fields = bits.T.reshape(RUNS, count, width).astype(np.int64)
        return (fields << np.arange(width)).sum(axis=2) - (fields[..., -1] << width)


@pytest.mark.slow
def test_core_multiplies() -> None:
    spec = Point(INT8, 2).spec(3, lut_count=3)
    emitted = emit(Core(spec))
    bench, rng = Bench(dict(emitted.modules), emitted.top), np.random.default_rng(5)
    total = np.zeros((RUNS, 3), np.int64)
    for cycle in range(4):
        act = rng.integers(-128, 128, (RUNS, 6))
        wgt = rng.integers(-1, 2, (RUNS, 3, 3, 2))
        keys = ternary.encode(wgt, "sign_index").reshape(RUNS, -1)
        inputs = {"activation": switching.words(act & 255, 8), "keys": switching.words(keys, 4)}
        bench.step(int(cycle == 0), **inputs)
        total += np.einsum("rk,rfk->rf", act, wgt.reshape(RUNS, 3, 6))
    assert (bench.result("result", 3) == total).all()


@pytest.mark.slow
@pytest.mark.parametrize("weight_width", [2, 8])
def test_multiplier_lane_multiplies(weight_width: int) -> None:
    block = MultiplyLane(8, weight_width, 3, 24)
    emitted = emit(block)
    bench, rng = Bench(dict(emitted.modules), emitted.top), np.random.default_rng(6)
    total = np.zeros(RUNS, np.int64)
    for cycle in range(4):
        act = rng.integers(-128, 128, (RUNS, 3))
        wgt = rng.integers(-(1 << (weight_width - 1)), 1 << (weight_width - 1), (RUNS, 3))
        mask = (1 << weight_width) - 1
        inputs = {
            "activation": switching.words(act & 255, 8),
            "weight": switching.words(wgt & mask, weight_width),
        }
        bench.step(int(cycle == 0), **inputs)
        total += (act * wgt).sum(axis=1)
    assert (bench.result("result", 1)[:, 0] == total).all()


@pytest.mark.slow
def test_plain_select_add_multiplies() -> None:
    bench, rng = Bench({"core": select_add_lane(8, 3)}, "core"), np.random.default_rng(7)
    total = np.zeros(RUNS, np.int64)
    for cycle in range(4):
        act, wgt = rng.integers(-128, 128, (RUNS, 3)), rng.integers(-1, 2, (RUNS, 3))
        bench.step(int(cycle == 0), a=switching.words(act & 255, 8), w=switching.words(wgt & 3, 2))
        total += (act * wgt).sum(axis=1)
    assert (bench.result("y", 1)[:, 0] == total).all()


@pytest.mark.slow
@pytest.mark.parametrize("other", [TreeFetch, KeyFetch])
@pytest.mark.parametrize("mu", [2, 3])
def test_other_fetches_read_what_the_fetch_reads(mu: int, other: type[Fetch]) -> None:
    spec = Point(INT8, mu).spec()
    keys = np.arange(3**mu)[None, :, None, None]
    weights = ternary.raw_weights(mu)[keys[0, :, 0, 0]][None, :, None, :]
    codes = np.resize(ternary.encode(weights, "sign_index").ravel(), RUNS)
    found = []
    rng = np.random.default_rng(8)
    entry = switching.words(rng.integers(0, 2, (RUNS, int(spec.entries * spec.entry_width))), 1)
    for block in (Fetch(spec), other(spec)):
        machine = _machine(block)
        machine.drive("key", switching.words(codes[:, None], int(ternary.key_width("sign_index", mu))))
        machine.drive("entry", entry)
        machine.settle()
        found.append(machine.values[machine.pins["value"]])
    assert (found[0] == found[1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("as_tree", [False, True])
def test_binary_fetch_reads_the_signed_sum(as_tree: bool) -> None:
    """The completing +1 of a negation is left to the lane, as in our own fetch."""
    spec = Point(INT8, 4).spec()
    width, rng = int(spec.entry_width), np.random.default_rng(9)
    act, keys = rng.integers(-128, 128, (RUNS, 4)), rng.integers(0, 16, RUNS)
    build, fetch = (_machine(block) for block in (BinaryBuild(spec), BinaryFetch(spec, as_tree)))
    build.drive("activation", switching.words(act & 255, 8))
    build.settle()
    fetch.drive("entry", build.values[build.pins["entry"]])
    fetch.drive("key", switching.words(keys[:, None], 4))
    fetch.settle()
    bits = fetch.values[fetch.pins["value"]][:, None] >> np.arange(RUNS, dtype=np.uint64) & np.uint64(1)
    value = (bits.astype(np.int64) << np.arange(width)[:, None]).sum(axis=0) - (1 << (width - 1))
    # Key bits: sign of all, second activation beside the first, fourth beside the third, right pair beside the left.
    left, inner, right = (1 - 2 * (keys >> place & 1) for place in (2, 1, 0))
    sums = act[:, 0] + left * act[:, 1] + right * (act[:, 2] + inner * act[:, 3])
    assert (np.where(keys >> 3 == 1, ~value, value) == sums).all()


def _machine(block: Block) -> _Machine:
    emitted = emit(block)
    return Bench(dict(emitted.modules), emitted.top).machine


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_a_design(kind: Kind) -> None:
    spec = Point(kind, 3).spec(16)
    assert (str(spec.arithmetic), int(spec.peak_macs)) == (kind.arithmetic, 24 * 16)
