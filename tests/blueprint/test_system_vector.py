"""Systems whose vector unit also rotates positions, scores the vocabulary exactly and chooses a token."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from blueprint.errors import ParamError, SpecError
from blueprint.systems import address_map, operations, rules
from blueprint.systems.description import System
from blueprint.systems.diagram import svg
from blueprint.systems.reader import read_system
from blueprint.workloads.tasks import Rowwise

SHIPPED = (Path(__file__).parent / "hosted_system.yaml").read_text(encoding="utf-8")
HEAD, HOST = (
    "head: {stage: ternary, candidates: 32, ",
    SHIPPED[SHIPPED.index("host:") : SHIPPED.index("buffers:")],
)
#: All work on units: those of products run what they did but the head.
WHOLE = (
    SHIPPED.replace(HOST, "")
    .replace("      rows_max: 8\n", "      rows_max: 1024\n      rotates: true\n      dots: true\n")
    .replace("    family: ternary_lut\n", "    family: ternary_lut\n    runs: [product, prefill]\n")
    .replace(HEAD, "head: {stage: exact, candidates: 0, ")
)


def read(folder: Path, *edits: tuple[str, str]) -> System:
    """The system with texts replaced."""
    text = WHOLE
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "system.yaml").write_text(text, encoding="utf-8")
    return read_system(folder / "system.yaml")


def test_a_vector_unit_runs_what_no_other_place_was_given(tmp_path: Path) -> None:
    system = read(tmp_path)
    assert system.units["vector"].works == ("elements", "positions", "head", "sampling")
    assert system.host is None and {*system.places.values()} == {"matrix", "attention", "vector"}
    assert "vector" in svg(system)


def test_positions_are_runs_of_heads_that_write_the_cache(tmp_path: Path) -> None:
    system = read(tmp_path)
    ops = {op.name: op for op in operations.decode(system, system.largest, 200) if op.layer <= 0}
    parts = [ops[f"{name} positions"] for name in "qkv"]
    assert [part.task for part in parts] == [
        Rowwise(8, 32, "dequantize+rotate", "q positions"),
        Rowwise(4, 32, "dequantize+rotate", "k positions"),
        Rowwise(4, 32, "dequantize", "v positions"),
    ]
    assert sum(part.cache_written for part in parts) == operations.cache_bytes(system, system.largest, 1)
    assert [part.weights for part in parts] == [8 * 64, 4 * 64, 0]
    assert "positions" not in ops


def test_an_exact_head_is_one_run_that_chooses(tmp_path: Path) -> None:
    system = read(tmp_path)
    *_, norm, head = operations.decode(system, system.largest, 200)
    assert (norm.name, norm.chain) == ("final norm", "norm")
    assert head.task == Rowwise(1024, 256, "dot", "head") and head.weights == 1024 * 256 * 2
    sizes = {region.name: region.size for region in address_map.regions(system, system.largest)}
    assert sizes["embedding"] == head.weights and not {"head", "exact head"} & set(sizes)
    assert sizes["angles"] == 256 * 32 * 2


def test_a_host_may_choose_of_exact_scores(tmp_path: Path) -> None:
    host = "host: {runs: [sampling], elements_per_s: 1.0e+6, source: assumed}\nbuffers:"
    system = read(tmp_path, ("buffers:", host))
    assert operations.decode(system, system.largest, 200)[-1].name == "sample"


REFUSED = {
    "stage of products": (
        (("stage: exact", "stage: int8"),),
        "head.stage: stage must be exact where vector runs the head, by dot products of floats, not int8",
    ),
    "stage of dot products": (
        (
            ("    runs: [product, prefill]\n", ""),
            ("      dots: true\n", ""),
            ("buffers:", "host: {runs: [sampling], elements_per_s: 1.0e+6, source: assumed}\nbuffers:"),
        ),
        "head.stage: stage must be ternary or int8 where matrix runs the head, by products of integers, not exact",
    ),
    "candidates": (
        (("candidates: 0", "candidates: 3"),),
        "head.candidates: candidates must be 0 for an exact stage, whose scores need no others, not 3",
    ),
    "choice alone": (
        (
            ("      dots: true\n", "      dots: true\n    runs: [elements, positions, sampling]\n"),
            ("    runs: [product, prefill]\n", ""),
            ("stage: exact, candidates: 0", "stage: ternary, candidates: 9"),
        ),
        "units.vector: vector must run the head too, of stage exact, or a unit of products one of stage int8 without "
        "candidates, to choose a token: it finds the largest score",
    ),
    "no rotations": (
        (("      rotates: true\n", ""), ("      dots: true\n", "      dots: true\n    runs: [positions]\n")),
        "units.vector.runs[0]: runs must be of elements, head, sampling, what such a vector unit can run, not "
        "'positions'",
    ),
    "floats of another format": (
        (("      mask: causal\n", "      mask: causal\n      format: bf16\n      acc_format: fixed\n"),),
        "units.attention: attention must run on a unit of INT8 or of fp16 as vector gives it, and attention takes bf16",
    ),
    "floats that it does not hold": (
        (
            ("      mask: causal\n", "      mask: causal\n      format: fp16\n      acc_format: fixed\n"),
            ("      lanes: 4\n", "      lanes: 4\n      format: bf16\n"),
        ),
        "units.attention: attention must run on a unit of INT8 or of bf16 as vector gives it, and attention takes fp16",
    ),
    "few rows": (
        (("rows_max: 1024", "rows_max: 1023"),),
        "units.vector.parameters.rows_max: unit vector must run head: Rowwise rows must be at most rows_max 1023, "
        "not 1024",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_what_does_not_fit_is_said_in_one_sentence(what: str, tmp_path: Path) -> None:
    edits, expected = REFUSED[what]
    with pytest.raises(SpecError) as caught:
        read(tmp_path, *edits)
    assert str(caught.value).split(": ", 1)[1] == expected


@pytest.mark.parametrize("gated", [True, False])
def test_no_model_of_another_activation_can_be_computed(gated: bool, tmp_path: Path) -> None:
    system = read(tmp_path)
    model = dataclasses.replace(system.largest, name="other", activation="silu", gated=gated)
    with pytest.raises(
        ParamError, match="^activation of other must be relu2, which vector computes, not silu$"
    ):
        rules.check_model(system, model)


@pytest.mark.parametrize(
    ("flag", "less"), [("gated", False), ("sub_norms", False), ("tied_embeddings", True)]
)
def test_no_model_asks_for_more_than_the_largest_beside_its_sizes(
    flag: str, less: bool, tmp_path: Path
) -> None:
    system = read(tmp_path)
    model = dataclasses.replace(system.largest, name="other", activation="relu2")
    small, large = (
        dataclasses.replace(system, largest=dataclasses.replace(system.largest, **{flag: value}))
        for value in (less, not less)
    )
    few, many = (dataclasses.replace(model, **{flag: value}) for value in (less, not less))
    wanted, given = str(less).lower(), str(not less).lower()
    with pytest.raises(
        ParamError, match=f"^{flag} of other must be {wanted}, as that of {system.name} is, not {given}$"
    ):
        rules.check_model(small, many)
    for it, runs in ((small, few), (large, few), (large, many)):
        rules.check_model(it, runs)


def test_a_model_of_another_activation_is_refused(tmp_path: Path) -> None:
    system = read(tmp_path)
    model = dataclasses.replace(system.largest, name="other", activation="silu")
    with pytest.raises(
        ParamError, match="^activation of other must be relu2, which vector computes, not silu$"
    ):
        rules.check_model(system, model)
    silu = read(tmp_path, ("      dots: true\n", "      dots: true\n      activation: silu\n"))
    rules.check_model(silu, model)
