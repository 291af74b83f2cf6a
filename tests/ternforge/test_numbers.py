"""What a person reads: the numbers of a study again from its designs, names, units, files that read back."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from blueprint.errors import SpecError
from blueprint.files.design import read_design
from blueprint.files.document import read, read_text
from blueprint.workloads.model import load
from blueprint.workloads.workload import read_workload_file
from dse.space_file import space_from
from dse.study import open_study
from ternforge import words
from ternforge.cli import run
from ternforge.verbs.explore import front_lines

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SPACES = {
    "ternary_lut": "{mu: [1, 2, 3], lut_count: [2, 4], fetch_count: 4, act_width: 8, k_max: 256, n_max: 256}",
    "systolic": "{organization: [weight_stationary, cube], pe: [mac, ternary], rows: [2, 8], cols: 4, dot_length: 2, "
    "act_width: 8, weight_width: 2, k_max: 256, n_max: 256}",
    "streaming_attention": "{dim: 16, keys_max: 64, mask: causal, parallel: [1, 2], graph: [memory_free, scaled]}",
}
WORK = {
    "decode": "{model: tiny, phase: decode, context: 20}\nprompt_tokens: 12",
    "prefill": "{model: tiny, phase: prefill, tokens: 12}",
}
TEXT = """\
schema: ternforge/space/v1
name: mine
family: {family}
parameters: {parameters}
workload: {work}
technology: asap7
dram: {{bandwidth_gb_s: 0.2, energy_pj_per_bit: 2, source: made up}}
objectives: {{area_um2: min, power_mw: min}}
"""


def answer(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, Any]:
    assert run([*arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def space(folder: Path, family: str, phase: str = "decode") -> Path:
    path = folder / "space.yaml"
    path.write_text(TEXT.format(family=family, parameters=SPACES[family], work=WORK[phase]))
    return path


@pytest.mark.parametrize("phase", WORK)
@pytest.mark.parametrize("family", SPACES)
def test_an_applied_design_has_the_numbers_of_its_row_to_the_bit(
    family: str, phase: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = space(tmp_path, family, phase)
    study = answer(["explore", str(path), "--out", str(tmp_path / "study"), "-q"], capsys)
    with open_study(tmp_path / "study") as opened:
        rows = [row for batch in opened.batches() for row in opened.rows(batch) if row["feasible"]]
    assert len(rows) >= 4
    for row in rows:
        design = str(tmp_path / "best.yaml")
        answer(["apply", str(tmp_path / "study"), row["id"], "-o", design], capsys)
        found = answer(["estimate", design, "--space", str(path)], capsys)
        assert found["row"] == {name: row[name] for name in study["metrics"]}
        assert found["cycles"] == row["cycles"]
        for key in ("area_um2", "critical_path_ps", "clock_mhz", "utilization", "flip_flops", "peak_macs"):
            assert found[key] == pytest.approx(row[key], rel=1e-12), key
        assert found["meets_clock"] and found["memory"] == study["memory"] == "0.2 GB/s, 2 pJ per bit"


def test_a_model_gives_tokens_a_second_and_energy_and_says_that_memory_is_unlimited(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    workload = tmp_path / "tiny.yaml"
    workload.write_text("schema: ternforge/workload/v1\nmodel: tiny\nphase: prefill\ntokens: 3\n")
    arguments = ["estimate", str(EXAMPLES / "ternary_lut" / "design.yaml"), "--workload", str(workload)]
    found = answer(arguments, capsys)
    assert found["row"]["ternary_tokens_per_second"] == pytest.approx(3 / found["seconds"])
    assert found["row"]["ternary_core_energy_pj_per_token"] == pytest.approx(found["energy_pj"] / 3)
    assert found["dram"] is None
    assert found["seconds"] == pytest.approx(found["cycles"] / found["clock_mhz"] * 1e-6)
    assert run(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(r"ternary throughput [\d,]+ token/s · ternary energy per token [\d.]+ nJ · ", lines[-3])
    layers, shape = found["layers"], {"q": "3 64 64", "k": "3 64 32", "down": "3 160 64"}
    table = [line.split() for line in lines[-5 - len(layers) : -4]]
    assert table[0] == ["layer", "m", "k", "n", "count", "cycles"] and len(layers) == 7
    assert table[1:] == [
        [one["name"], *(str(one[size]) for size in "mkn"), str(one["count"]), f"{one['cycles']:,}"]
        for one in layers
    ]
    assert {row[0]: " ".join(row[1:4]) for row in table if row[0] in shape} == shape
    assert found["cycles"] == sum(one["cycles"] for one in layers)
    assert re.fullmatch(
        rf"tiny prefill 3: {found['cycles']:,} cycles, {1e6 * found['seconds']:.4g} µs, "
        rf"utilization {100 * found['utilization']:.1f} %, no stalls",
        lines[-4],
    )
    assert lines[-2] == (
        "numbers cover only the model's ternary products and the traffic of its key and value cache; "
        "memory assumed unlimited: no dram is given, so memory takes no time and no energy"
    )


def test_estimate_takes_a_workload_or_a_space(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    design = str(EXAMPLES / "ternary_lut" / "design.yaml")
    path = str(space(tmp_path, "ternary_lut"))
    assert run(["estimate", design, "--gemm", "1x2x3", "--space", path]) == 2
    assert capsys.readouterr().err == "Workload must be given by a workload or by a space, not both\n"


def test_estimate_on_the_other_kind_of_space_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "schema: ternforge/space/v1\nfamily: streaming_attention\nparameters: {dim: 16, keys_max: 8}\n"
        "workload: {attention: {seq: 4, dim: 16}}\ntechnology: asap7\nobjectives: {area_um2: min}\n"
    )
    design = str(EXAMPLES / "ternary_lut" / "design.yaml")
    assert run(["estimate", design, "--space", str(path)]) == 2
    expected = "Family ternary_lut runs gemm, not attention of 4x4, 1/1 heads of 16\n"
    assert capsys.readouterr().err == expected


def test_a_study_says_what_it_covers_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = space(tmp_path, "streaming_attention")
    path.write_text(re.sub(r"dram:.*\n", "", path.read_text()))
    study = answer(["explore", str(path), "--out", str(tmp_path / "study"), "-q"], capsys)
    assert study["covers"] == "only the model's attention"
    unlimited = "assumed unlimited: no dram is given, so memory takes no time and no energy"
    assert (study["memory"], study["dram"]) == (unlimited, None)
    assert f"numbers cover only the model's attention; memory {unlimited}" in front_lines(study, "out")
    with (tmp_path / "study" / "front.csv").open() as file:
        assert {row["memory"] for row in csv.DictReader(file)} == {"unlimited"}
    files = answer(["plot", str(tmp_path / "study")], capsys)["files"]
    page = next(Path(file) for file in files if file.endswith(".html")).read_text()
    shown = answer(["report", str(tmp_path / "study")], capsys)["file"]
    for text in (page, Path(shown).read_text()):
        assert re.search("[Nn]umbers cover", text) and unlimited in text


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: f"{path.parent.name}_{path.stem}"
)
def test_what_check_prints_reads_back_as_the_same(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", str(path)]) == 0
    again = tmp_path / "again.yaml"
    again.write_text(capsys.readouterr().out)
    assert run(["check", str(again)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == again.read_text().splitlines()[1:]
    schema = read(path).raw()["schema"]
    if schema == "ternforge/space/v1":
        assert space_from(read(again)).content() == space_from(read(path)).content()
    if schema == "ternforge/workload/v1":
        assert read_workload_file(again) == read_workload_file(path)
    if schema == "ternforge/design/v1":
        assert read_design(again) == read_design(path)


RICH = """\
schema: ternforge/space/v1
name: rich
family: [ternary_lut, systolic]
parameters:
  act_width: 8
  k_max: {range: [256, 4096, 128]}
  n_max: [256, 300, 512]
  ternary_lut: {mu: {range: [1, 5]}, lut_count: {log2: [1, 256]}, fetch_count: {range: [4, 12]}}
  systolic: {organization: cube, pe: [mac, ternary], rows: 4, cols: {range: [2, 40, 3]}, dot_length: 2, weight_width: 2}
workload: {model: shapes/mine.yaml, phase: decode, tokens: 2, context: 7}
prompt_tokens: 5
technology: asap7
dram: {bandwidth_gb_s: 0.5, energy_pj_per_bit: 1e-3, kv_width: 4, source: "yes: 1e9"}
objectives: {ternary_time_to_first_token_s: min, area_um2: min}
constraints: {area_um2: {min: 1, max: 2.5e6}, utilization: {min: 1e-7}}
search: {method: nsga2, budget: 64, seed: 9, population: 16}
"""


def test_a_space_with_everything_reads_back_wherever_it_is_put(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import dataclasses

    from blueprint.workloads.model import model_text

    (tmp_path / "a" / "shapes").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    model = dataclasses.replace(load("tiny"), name="mine", aliases=("1e3",))
    (tmp_path / "a" / "shapes" / "mine.yaml").write_text(model_text(model))
    (tmp_path / "a" / "space.yaml").write_text(RICH)
    assert run(["check", str(tmp_path / "a" / "space.yaml")]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "b" / "space.yaml").write_text(printed)
    first, again = (space_from(read(tmp_path / place / "space.yaml")) for place in "ab")
    assert again.content() == first.content() and again.name == "rich"
    assert "lut_count:\n      log2:\n      - 1\n      - 256\n" in printed
    assert run(["check", str(tmp_path / "a" / "shapes" / "mine.yaml")]) == 0
    from blueprint.workloads.model import model_from

    assert model_from(read_text(capsys.readouterr().out)) == model


def test_a_technology_is_shown_as_a_summary_not_as_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(ROOT / "costmodel" / "technology" / "technologies" / "asap7.yaml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "# name: asap7" in lines and all(line.startswith("#") for line in lines)


APPLIED = """\
schema: ternforge/design/v1
name: {name}
family: ternary_lut
parameters: {{mu: 2, lut_count: 2, fetch_count: 2, act_width: 8, k_max: 64, n_max: 16}}
"""


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("mine_p000012", [], "mine_p000012"),
        ("mine_p000012", ["mu=3"], "mine_p000012_mu_3"),
        ("mine_p000012", ["mu=3", "table_style=full"], "mine_p000012_mu_3_table_style_full"),
        ("mine_p000012", ["build_register=true"], "mine_p000012_build_register_true"),
        ("mine_p000012", ["mu=2"], "mine_p000012"),
        ("mine_p000012", ["table_style=half"], "mine_p000012"),
    ],
)
def test_a_changed_design_has_another_name(
    name: str, changes: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(APPLIED.format(name=name))
    options = [word for change in changes for word in ("--set", change)]
    assert answer(["check", str(path), *options], capsys)["resolved"]["name"] == expected
    assert answer(["estimate", str(path), *options], capsys)["design"] == expected
    found = answer(["simulate", str(path), "--gemm", "1x8x8", *options], capsys)
    assert found["design"] == expected


def test_overrides_change_a_design_that_a_script_gives_too(tmp_path: Path) -> None:
    import ternforge

    path = tmp_path / "design.yaml"
    path.write_text(APPLIED.format(name="mine"))
    given = read_design(path)
    for design, name in ((given, "mine_mu_3"), (given.spec, read_design(path, {"mu": "3"}).spec.name)):
        found = ternforge.read_design(design, {"mu": "3"})
        assert (found.spec.parameters["mu"], found.name) == (3, name)
        assert ternforge.read_design(design).spec == given.spec
    with pytest.raises(SpecError, match="^--set mu=9: Parameter 'mu' must be an integer from 1 to 6, not 9$"):
        ternforge.read_design(given, {"mu": "9"})


def test_a_long_name_is_told_apart_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "design.yaml"
    path.write_text(APPLIED.format(name="n" * 64))
    found = read_design(path, {"mu": "3"})
    assert found.name == "n" * 47 + "_" + found.spec.design_hash
    assert read_design(path).name == "n" * 64


TWO = """\
schema: ternforge/space/v1
name: two
family: [ternary_lut, systolic]
parameters:
  act_width: 8
  k_max: 256
  n_max: 256
  ternary_lut: {mu: [1, 2, 3], lut_count: [2, 8], fetch_count: 16}
  systolic: {organization: [output_stationary, cube], pe: ternary, rows: 1, cols: [1, 2, 4],
    dot_length: 1, weight_width: 2}
workload: {model: tiny, phase: decode}
technology: asap7
objectives: {area_um2: min, ternary_tokens_per_second: max}
"""


def test_two_families_show_what_differs_in_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "space.yaml").write_text(TWO)
    study = answer(["explore", str(tmp_path / "space.yaml"), "--out", str(tmp_path / "out"), "-q"], capsys)
    assert {row["family"] for row in study["front"]} == {"ternary_lut", "systolic"}
    lines = front_lines(study, "out")
    header, rows = lines[1], [line for line in lines if re.match(r"p\d{6} ", line)]
    words = header.split()
    assert words[:2] == ["id", "family"]
    shown = [name for name in study["parameters"] if name in words]
    assert shown == ["mu", "lut_count", "organization", "cols"]
    assert all(len(line.split()) == len(rows[0].split()) for line in rows)
    assert {line.split()[1] for line in rows} == {"ternary_lut", "systolic"}


def test_tables_and_pictures_show_the_same_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dse import figure

    text = TWO.replace("ternary_tokens_per_second: max}", "ternary_energy_pj_per_token: min, power_mw: min}")
    (tmp_path / "space.yaml").write_text(text)
    study = answer(["explore", str(tmp_path / "space.yaml"), "--out", str(tmp_path / "out"), "-q"], capsys)
    header = front_lines(study, "out")[1]
    with open_study(tmp_path / "out") as opened:
        scales = figure.picture(opened).scales
    page = Path(answer(["report", str(tmp_path / "out")], capsys)["file"]).read_text()
    labels = [scale.label.removesuffix(", lower is better") for scale in scales]
    assert len(labels) == 3 and all(
        label.endswith("]") and label in header and f">{label}<" in page for label in labels
    )
    values = {row["id"]: row for row in study["front"]}
    rows = [line for line in front_lines(study, "out") if re.match(r"p\d{6} ", line)]
    assert len(rows) > 3
    for line in rows:
        identity, _, *numbers = line.split()
        for scale, number in zip(scales, numbers, strict=False):
            value = values[identity][scale.name] * scale.factor
            assert float(number.replace(",", "")) == pytest.approx(value, rel=2e-3)


def test_a_token_is_estimated_behind_1024_others_unless_told() -> None:
    """As the page of systems says."""
    assert words.CONTEXT == 1024
    assert "behind 1,024 tokens" in (EXAMPLES.parent / "docs" / "systems.md").read_text()
