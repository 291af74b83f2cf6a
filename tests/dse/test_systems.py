"""Spaces of whole decoders: axes of a system, its answers, and everything that goes on with a study of them."""

# ruff: noqa: E501 (messages stay on one line)
from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError, SpecError
from blueprint.files.document import read_text
from blueprint.systems import variants
from blueprint.systems.reader import read_system, system_content
from costmodel.systems import estimate as costs
from costmodel.systems.metrics import metrics
from costmodel.technology import technology
from dse import explore, merge
from dse.searches import methods
from dse.shard import Shard
from dse.space import Space
from dse.space_file import read_space, space_content, space_from
from dse.store import StudyError
from dse.study import Study, open_study
from dse.systems import SystemEvaluator, Systems
from ternforge import apply, check, compare, estimate, promote, report
from ternforge.cli import run as command

EXAMPLES = Path(__file__).parents[2] / "examples"
LEAST = Path(__file__).with_name("least_decoder.yaml")
ASAP7 = technology.load("asap7")
#: Axes that change neither programs nor the cycles of runs, so that a system takes some hundredths of a second.
TEXT = f"""\
schema: ternforge/space/v1
name: quick
system: {LEAST}
parameters:
  memory.energy_pj_per_bit: [5, 10.5, 20]
  buffers.activations: [1024, 32768, 65536]
  memory.size_mib: {{log2: [8, 16]}}
workload: {{context: 64}}
technology: asap7
objectives: {{area_um2: min, energy_pj_per_token: min}}
search: {{method: auto, budget: 100, seed: 3}}
"""


def written(folder: Path, *pairs: tuple[str, str]) -> Path:
    """The quick space as a file, with pieces of its text replaced; each must be there."""
    text = TEXT
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "space.yaml"
    path.write_text(text)
    return path


def space(*pairs: tuple[str, str]) -> Space:
    text = TEXT
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return space_from(read_text(text, "space.yaml"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("systems")
    with explore.explore(written(folder), folder / "study", workers=1) as found:
        yield found


def of(point: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a row."""
    return {name: value for name, value in point.items() if "." in name}


# The space ------------------------------------------------------------------------------------------------------------


def test_axes_are_those_of_the_file_in_its_order_and_the_clock_is_the_systems_own() -> None:
    found = space()
    assert found.parameter_names == ("memory.energy_pj_per_bit", "buffers.activations", "memory.size_mib")
    assert found.size == 3 * 3 * 2 and found.groups == ("least_decoder",)
    assert found.clock is not None and found.clock.values == (200,)
    assert space(("technology:", "clock_mhz: max\ntechnology:")).clock is None
    assert found.metric_names == (
        "area_um2", "critical_path_ps", "clock_mhz", "cycles", "tokens_per_second", "energy_pj_per_token",
        "power_mw", "clock_margin", "bytes_per_token", "port_busy",
    )  # fmt: skip


def test_the_example_has_a_few_hundred_systems() -> None:
    found = read_space(EXAMPLES / "tiny_decoder" / "space.yaml")
    assert found.size == 216 and found.exact
    assert "time_to_first_token_s" in found.metric_names


def test_a_system_in_the_file_is_the_same_space_as_one_beside_it(tmp_path: Path) -> None:
    beside = read_space(written(tmp_path))
    inline = space_from(read_text(beside.text, "elsewhere/space.yaml"))
    assert inline.content() == beside.content()
    assert "# " not in beside.text and beside.text.startswith(
        "schema: ternforge/space/v1\nname: quick\nsystem:\n"
    )


def test_a_flow_mapping_is_written_whole_too(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(
        f"{{schema: ternforge/space/v1, system: {LEAST}, parameters: {{memory.size_mib: [8, 16]}},\n"
        "workload: {context: 3}, objectives: {area_um2: min}}\n"
    )
    found = read_space(path)
    assert space_from(read_text(found.text, "x")).content() == found.content()


def test_a_space_reads_back_as_the_same(tmp_path: Path) -> None:
    for pairs in (
        (),
        (("technology:", "clock_mhz: max\ntechnology:"),),
        (("technology:", "clock_mhz: [150.5, 200]\nprompt_tokens: 9\ntechnology:"),),
    ):
        section = read_text(written(tmp_path, *pairs).read_text(), "space.yaml")
        found = space_from(section)
        from blueprint.files.tree import dump

        again = space_from(read_text(dump(space_content(found, section)), "again.yaml"))
        assert again.content() == found.content()


REFUSED: list[tuple[tuple[tuple[str, str], ...], str]] = [
    ((("system:", "family: vector\nsystem:"),), "space.yaml:3:1: family: family must not stand beside system, whose units have families"),
    ((("technology:", "dram: {bandwidth_gb_s: 1}\ntechnology:"),), "space.yaml:9:1: dram: dram must not stand beside system, which has a memory of its own"),
    (((f"system: {LEAST}", "system: 3"),), "space.yaml:3:1: system: system must be text or a mapping, not 3"),
    (((f"system: {LEAST}", "system: gone.yaml"),), "space.yaml:3:1: system: system file must exist, and there is none: gone.yaml"),
    ((("memory.size_mib", "memory.size_mb"),), "space.yaml:7:3: parameters.memory.size_mb: parameter must be one of units.matrix, units.attention, units.vector, buffers, memory or model.block, as units.matrix.mu, not 'memory.size_mb'; did you mean 'memory.size_mib'?"),
    ((("memory.size_mib", "units.matrx.lut_count"),), "space.yaml:7:3: parameters.units.matrx.lut_count: parameter must be one of units.matrix, units.attention, units.vector, buffers, memory or model.block, as units.matrix.mu, not 'units.matrx.lut_count'; did you mean 'units.matrix.lut_count'?"),
    ((("memory.size_mib: {log2: [8, 16]}", "units.matrix.mu: [3, 9]"),), "space.yaml:7:24: parameters.units.matrix.mu[1]: units.matrix.mu must be an integer from 1 to 6, not 9"),
    ((("10.5", "-1"),), "space.yaml:5:33: parameters.memory.energy_pj_per_bit[1]: memory.energy_pj_per_bit must be a number from 0 to 1000, not -1"),
    ((("10.5", "true"),), "space.yaml:5:33: parameters.memory.energy_pj_per_bit[1]: memory.energy_pj_per_bit must be a number from 0 to 1000, not true"),
    ((("memory.size_mib: {log2: [8, 16]}", "memory.width: [64, 48]"),), "space.yaml:7:22: parameters.memory.width[1]: memory.width must be one of 32, 64, 128, 256, 512, 1024, not 48"),
    ((("memory.size_mib: {log2: [8, 16]}", "memory.size_mib: [8, 8.5]"),), "space.yaml:7:24: parameters.memory.size_mib[1]: memory.size_mib must be an integer from 1 to 1048576, not 8.5"),
    ((("memory.size_mib: {log2: [8, 16]}", "model.block: [1, 4097]"),), "space.yaml:7:20: parameters.model.block[1]: model.block must be an integer from 1 to 4096, not 4097"),
    ((("context: 64", "context: 256"),), "space.yaml:8:12: workload.context: context must be at most 95 for least_decoder on least_decoder, not 256"),
    ((("{context: 64}", "{model: bitnet_2b4t, context: 64}"),), "space.yaml:8:12: workload.model: hidden of bitnet_2b4t must be at most 256, the largest of least_decoder, not 2560"),
    ((("{context: 64}", "{model: gone.yaml, context: 64}"),), "space.yaml:8:12: workload.model: model file must exist, and there is none: " + str(Path("gone.yaml").absolute())),
    ((("{context: 64}", "{}"),), "space.yaml:8:1: workload.context: context must be given, and is missing"),
    ((("technology:", "prompt_tokens: 300\ntechnology:"),), "space.yaml:9:1: prompt_tokens: prompt must be at most 96 for least_decoder on least_decoder, not 300"),
    ((("energy_pj_per_token: min", "time_to_first_token_s: min"),), "space.yaml:10:29: objectives.time_to_first_token_s: time_to_first_token_s needs prompt_tokens beside the workload, and it is missing"),
    ((("energy_pj_per_token: min", "ternary_energy_pj_per_token: min"),), "space.yaml:10:29: objectives.ternary_energy_pj_per_token: metric must be energy_pj_per_token, as it covers a whole decoder, not 'ternary_energy_pj_per_token'"),
    (((TEXT[TEXT.index("parameters:") : TEXT.index("workload:")], "parameters: {}\n"),), "space.yaml:4:1: parameters: parameters must name at least one parameter of the system, not none"),
]  # fmt: skip


@pytest.mark.parametrize(("pairs", "message"), REFUSED, ids=[message[-50:] for _, message in REFUSED])
def test_a_bad_space_is_refused_in_one_sentence(pairs: tuple[tuple[str, str], ...], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        space(*pairs)
    assert str(caught.value) == message


# Its numbers ----------------------------------------------------------------------------------------------------------


def test_a_row_has_the_numbers_of_an_estimate_of_its_file_to_the_bit(study: Study, tmp_path: Path) -> None:
    name = study.space.point_id(int(study.front.indices[-1]))
    row = study.point(name)
    answer = apply(study.folder, name, tmp_path / "one.yaml")
    assert answer["parameters"] == of(row)
    found = estimate(tmp_path / "one.yaml", context=64)
    for key in ("area_um2", "clock_mhz", "tokens_per_second", "energy_pj_per_token", "power_mw"):
        assert found[key] == row[key], key
    decode = found["phases"]["decode"]
    assert (decode["cycles"], decode["bytes"]) == (row["cycles"], row["bytes_per_token"])
    made = read_system(tmp_path / "one.yaml")
    assert made.memory.energy_pj_per_bit == row["memory.energy_pj_per_bit"]
    assert made.name == f"quick_{name}" and made.technology == "asap7"


def test_what_is_remembered_changes_no_number() -> None:
    system, fresh = read_system(LEAST), costs.Estimator(ASAP7)
    wide = variants.changed(system, {"memory.energy_pj_per_bit": 3, "memory.latency_ns": 50})
    for each in (system, wide, system):
        found = fresh(each, each.largest, 9, 5)
        assert metrics(found) == metrics(costs.estimate(each, each.largest, ASAP7, 9, 5))
    assert metrics(fresh(system, system.largest, 9, 5)) != metrics(fresh(wide, wide.largest, 9, 5))


def test_the_block_of_a_prompt_is_an_axis(tmp_path: Path) -> None:
    pairs = (
        ("memory.energy_pj_per_bit: [5, 10.5, 20]", "model.block: [1, 4, 97]"),
        ("buffers.activations: [1024, 32768, 65536]", "buffers.activations: [65536]"),
        ("memory.size_mib: {log2: [8, 16]}", "memory.size_mib: [16]"),
        ("technology:", "prompt_tokens: 16\ntechnology:"),
    )
    with explore.explore(written(tmp_path, *pairs), tmp_path / "study", workers=1) as found:
        rows = {row["model.block"]: row for batch in found.batches() for row in found.rows(batch)}
    assert rows[97]["reason"] == (
        "block must be at most 95 in a system without a host: its hardware counts to 256, and the last token of the "
        "context 96 goes alone"
    )
    assert rows[4]["time_to_first_token_s"] < 0.8 * rows[1]["time_to_first_token_s"]
    assert rows[4]["cycles"] == rows[1]["cycles"]
    apply(tmp_path / "study", rows[4]["id"], tmp_path / "one.yaml")
    assert read_system(tmp_path / "one.yaml").block == 4


def test_axes_move_the_numbers_as_they_should(study: Study) -> None:
    rows = {tuple(of(row).values()): row for batch in study.batches() for row in study.rows(batch)}
    cheap, dear = rows[5, 32768, 8], rows[20, 32768, 8]
    memory = 8 * 15 * cheap["bytes_per_token"]
    assert dear["energy_pj_per_token"] - cheap["energy_pj_per_token"] == pytest.approx(memory)
    # Staging has room for the vectors of the model, however many bytes the file gives them.
    assert rows[5, 65536, 8]["area_um2"] == cheap["area_um2"] == rows[5, 32768, 16]["area_um2"]
    system = read_system(LEAST)
    larger = variants.changed(system, {"buffers.weights": 2 * system.buffers.weights})
    assert costs.costs(larger, ASAP7).area_um2 > costs.costs(system, ASAP7).area_um2


def test_without_a_clock_a_system_runs_as_fast_as_its_slowest_unit() -> None:
    problem = explore.problem_of(space(("technology:", "clock_mhz: max\ntechnology:")))
    batch = problem.evaluate(np.array([2]))
    assert batch.column("clock_mhz")[0] == pytest.approx(1e6 / batch.column("critical_path_ps")[0])
    assert "clock_margin" not in problem.metrics


def test_a_clock_that_no_unit_reaches_is_a_reason() -> None:
    problem = explore.problem_of(space(("technology:", "clock_mhz: [200, 900]\ntechnology:")))
    batch = problem.evaluate(np.array([4, 5]))
    assert [batch.reasons[code] for code in batch.reason] == ["", "clock_margin must be at least 1"]
    judge: Any = problem.evaluators["least_decoder"]
    text = judge.limited_by((), {"memory.size_mib": 16}, "clock_margin", 900.0)
    assert re.fullmatch(r"slowest part 'vector', 211\.3 MHz", text), text


UNBUILDABLE = [
    ({"buffers.activations": 1024}, "activations must be at least 7168 bytes, 1792 elements of 4 bytes for a block of 1"),
    ({"memory.burst": 256, "memory.width": 1024}, "weights must be at least 65536 bytes, two bursts of 1 ports"),
    ({"units.vector.dots": False}, "unit vector must run head and sampling, and such a vector unit cannot"),
    ({"units.vector.lanes": 1}, "unit vector: lanes must be even where rotates is true"),
    ({"units.vector.lanes": 2}, "system must be compiled, as that of the space is: The vector unit must take a row of the head in 128 cycles, as fast as memory gives it, and takes 142.5: give the memory a narrower port"),
]  # fmt: skip


def test_systems_that_cannot_be_have_their_reason_and_no_numbers() -> None:
    problem = explore.problem_of(space())
    judge = problem.evaluators["least_decoder"]
    for values, reason in UNBUILDABLE:
        found = judge(values, 2)  # type: ignore[arg-type]
        assert [found.reasons[code] for code in found.reason] == [reason, reason]
        assert all(np.isnan(np.asarray(column)).all() for column in found.metrics.values())


def test_one_reason_stands_for_all_systems_that_share_it(study: Study) -> None:
    assert study.infeasible == {UNBUILDABLE[0][1]: 6}
    assert study.feasible == 12


def test_systems_without_programs_are_compared_by_their_operations() -> None:
    hosted = EXAMPLES.parent / "tests" / "blueprint" / "hosted_system.yaml"
    problem = explore.problem_of(
        space((str(LEAST), str(hosted)), ("buffers.activations: [1024, 32768, 65536]", "memory.ports: 1"))
    )
    (judge,) = problem.evaluators.values()
    assert isinstance(judge, SystemEvaluator) and not judge.compiled
    batch = problem.evaluate(np.arange(2))
    system = read_system(hosted)
    system = variants.changed(system, {"memory.energy_pj_per_bit": 5, "memory.size_mib": 8})
    known = metrics(costs.estimate(system, system.largest, ASAP7, 64))
    assert {name: known[name] for name in batch.names} == {
        name: column[0] for name, column in batch.columns().items()
    }


# Searches and studies -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", [name for name in methods.ours() if name not in methods._NEEDS and name != "auto"]
)
def test_every_search_runs_on_systems_and_goes_on(method: str, tmp_path: Path) -> None:
    path = written(tmp_path, ("method: auto, budget: 100", f"method: {method}, budget: 12"))
    with explore.explore(path, tmp_path / "study", workers=1) as found:
        assert found.evaluated == (18 if method in ("exhaustive", "pruned") else 12)
        digest = found.digest()
    with explore.explore(path, tmp_path / "study", workers=1) as found:
        assert found.digest() == digest


def test_two_workers_and_shards_make_the_study_of_one(study: Study, tmp_path: Path) -> None:
    path = written(tmp_path)
    with explore.explore(path, tmp_path / "two", workers=2) as found:
        assert found.digest() == study.digest()
    for number in (1, 2):
        explore.explore(path, tmp_path / f"part{number}", shard=Shard(number, 2)).close()
    with merge.merge([tmp_path / "part1", tmp_path / "part2"], tmp_path / "whole") as found:
        assert found.digest() == study.digest()
        assert found.summary()["front"] == study.summary()["front"]


def test_a_search_that_is_interrupted_goes_on_to_the_same_study(study: Study, tmp_path: Path) -> None:
    class Stops(Exception):
        pass

    class Stopping:
        def start(self, total: int, done: int) -> None: ...
        def stop(self) -> None: ...
        def advance(self, done: int, feasible: int, front: int) -> None:
            if done >= 8:
                raise Stops

    path = written(tmp_path)
    with pytest.raises(Stops):
        explore.explore(path, tmp_path / "study", workers=1, progress=Stopping())
    with open_study(tmp_path / "study") as found:
        assert 0 < found.evaluated < 18 and not found.complete
    with explore.explore(path, tmp_path / "study", workers=1) as found:
        assert found.digest() == study.digest() and found.complete


def test_a_study_is_bound_to_the_system(study: Study, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(LEAST.read_text().replace("latency_ns: 100", "latency_ns: 101"))
    with explore.explore(written(tmp_path), tmp_path / "study", workers=1):
        pass
    with pytest.raises(StudyError) as caught:
        explore.explore(written(tmp_path, (str(LEAST), "other.yaml")), tmp_path / "study", workers=1)
    message = (
        f"{tmp_path / 'study'}: study must be continued with the space it was started with, and this one differs in "
        "system.memory.latency_ns (100.0 then, 101.0 now); explore into another folder"
    )
    assert str(caught.value) == message


def test_a_problem_of_systems_is_picklable_with_what_it_remembers() -> None:
    problem = explore.problem_of(space())
    batch = problem.evaluate(np.arange(3, 6))
    again = pickle.loads(pickle.dumps(problem))
    assert again.evaluate(np.arange(3, 6)).metrics.tolist() == batch.metrics.tolist()


# What goes on with a study --------------------------------------------------------------------------------------------


def test_report_and_comparison_say_that_they_are_of_systems(study: Study, tmp_path: Path) -> None:
    text = report(study.folder, tmp_path / "report.html")["file"].read_text()
    for piece in (
        "<title>quick: design space report</title>",
        "Workload its largest model, context 64",
        "a whole decoder; sequencer, movers and staging where it is compiled",
        "Memory: external, as each system states it.",
        "cycles of a token are within 0.5 % of the simulator",
        "activations must be at least 7168 bytes",
    ):
        assert piece in text, piece
    explore.explore(written(tmp_path, ("context: 64", "context: 65")), tmp_path / "later", workers=1).close()
    found = compare([study.folder, tmp_path / "later"])
    assert found["differs"]["workload"] == ["its largest model, context 64", "its largest model, context 65"]


def test_apply_says_what_would_have_to_change(study: Study) -> None:
    worst = max(
        (row for batch in study.batches() for row in study.rows(batch) if row["feasible"]),
        key=lambda row: row["energy_pj_per_token"],
    )
    found = apply(
        study.folder, worst["id"], where=[f"energy_pj_per_token<={worst['energy_pj_per_token'] * 0.9}"]
    )
    assert found["change"]["parameters"]["memory.energy_pj_per_bit"]["from"] == 20


def test_an_empty_front_names_what_is_largest(tmp_path: Path) -> None:
    path = written(
        tmp_path, ("search:", "constraints: {area_um2: {max: 1000}, energy_pj_per_token: {max: 1}}\nsearch:")
    )
    with explore.explore(path, tmp_path / "study", workers=1) as found:
        (area, energy, _) = found.nearest["limits"]  # type: ignore[index]
    assert re.fullmatch(
        r"largest place 'attention', [\d,]+ µm² \(\d+ %\)", area["nearest"]["limited_by"]["area_um2"]
    )
    assert re.fullmatch(
        r"largest part '\w+', [\d.]+ µJ \(\d+ %\)", energy["nearest"]["limited_by"]["energy_pj_per_token"]
    )


def test_promotion_of_systems_is_refused(study: Study) -> None:
    with pytest.raises(StudyError) as caught:
        promote(study.folder)
    message = (
        f"{study.folder}: study must be of designs of families to be promoted, and it is of systems; `ternforge apply` "
        "writes one, which `ternforge simulate` and `ternforge verify` run with a checkpoint"
    )
    assert str(caught.value) == message


def test_a_design_is_not_estimated_by_a_space_of_systems(tmp_path: Path) -> None:
    with pytest.raises(
        ParamError, match=r"^Space must be one of designs for an estimate of a design, not of systems$"
    ):
        estimate(EXAMPLES / "vector" / "design.yaml", space=written(tmp_path))


def test_check_shows_the_system_and_what_is_asked(tmp_path: Path) -> None:
    found = check(written(tmp_path, ("technology:", "prompt_tokens: 9\ntechnology:")))
    assert found["resolved"]["system"] == system_content(read_system(LEAST))
    assert found["derived"]["designs"] == 18
    assert "time_to_first_token_s" in found["derived"]["metrics"]


def test_bad_files_end_with_code_2_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, ("memory.size_mib", "memory.size"))
    assert command(["explore", str(path), "--out", str(tmp_path / "study")]) == 2
    assert capsys.readouterr().err.startswith(
        f"{path}:7:3: parameters.memory.size: parameter must be one of units.matrix"
    )
    assert not (tmp_path / "study").exists()


def test_the_subject_of_a_model_names_it() -> None:
    system = read_system(LEAST)
    asked = Systems(system, replace(system.largest, name="mine"), 3)
    assert asked.work == "mine" and asked.model_of(system).name == "mine"
