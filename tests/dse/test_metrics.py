"""Numbers are named for the work they cover, and designs of different work stand on no common front."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from blueprint import registry
from blueprint.errors import ParamError, SpecError
from blueprint.files.document import read_text
from costmodel.model.metrics import BASES, METRICS, PARTS, counterpart, metrics_of
from dse.families import design_problem
from dse.space import Space
from dse.space_file import space_from
from tests.dse.coefficients import costs

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = {
    "ternary_lut": "{mu: [1, 2], lut_count: 2, fetch_count: 4, act_width: 8, k_max: 256, n_max: 256}",
    "streaming_attention": "{dim: 16, keys_max: 64, mask: causal}",
}
WORK = {
    "model": "{model: tiny, phase: decode, context: 10}",
    "gemm": "{gemm: {m: 2, k: 64, n: 64}}",
    "attention": "{attention: {queries: 1, keys: 8, dim: 16, mask: causal}}",
}


def space(family: str, work: str, objective: str = "area_um2", more: str = "") -> Space:
    text = (
        f"schema: ternforge/space/v1\nfamily: {family}\nparameters: {PARAMETERS[family]}\nworkload: {WORK[work]}\n"
        f"technology: none\nobjectives: {{{objective}: min}}\n{more}"
    )
    return space_from(read_text(text, "space.yaml"))


@pytest.mark.parametrize(
    ("family", "work", "rate", "energy"),
    [
        ("ternary_lut", "model", "ternary_tokens_per_second", "ternary_energy_pj_per_token"),
        ("ternary_lut", "gemm", "rows_per_second", "energy_pj_per_row"),
        ("streaming_attention", "model", "attention_tokens_per_second", "attention_energy_pj_per_token"),
        ("streaming_attention", "attention", "rows_per_second", "energy_pj_per_row"),
    ],
)
def test_designs_have_the_numbers_of_their_part(family: str, work: str, rate: str, energy: str) -> None:
    import numpy as np

    found = design_problem(space(family, work), costs, {})
    assert {rate, energy} <= set(found.metrics)
    assert not {"tokens_per_second", "energy_pj_per_token", "time_to_first_token_s"} & set(found.metrics)
    batch = found.evaluate(np.arange(found.space.size))
    assert not np.isnan(batch.metrics).any()
    assert (batch.column(rate) > 0).all() and (batch.column(energy) > 0).all()


@pytest.mark.parametrize("key", ["objectives", "constraints"])
@pytest.mark.parametrize(
    ("family", "work", "old", "new"),
    [
        ("ternary_lut", "model", "tokens_per_second", "ternary_tokens_per_second"),
        ("ternary_lut", "model", "energy_pj_per_token", "ternary_energy_pj_per_token"),
        ("ternary_lut", "model", "core_energy_pj_per_token", "ternary_core_energy_pj_per_token"),
        ("ternary_lut", "model", "time_to_first_token_s", "ternary_time_to_first_token_s"),
        ("ternary_lut", "model", "attention_tokens_per_second", "ternary_tokens_per_second"),
        ("ternary_lut", "model", "rows_per_second", "ternary_tokens_per_second"),
        ("streaming_attention", "model", "tokens_per_second", "attention_tokens_per_second"),
        ("streaming_attention", "model", "ternary_energy_pj_per_token", "attention_energy_pj_per_token"),
        ("streaming_attention", "attention", "tokens_per_second", "rows_per_second"),
        ("ternary_lut", "gemm", "energy_pj_per_token", "energy_pj_per_row"),
    ],
)
def test_a_name_of_other_work_is_refused_with_the_right_one(
    family: str, work: str, old: str, new: str, key: str
) -> None:
    part = {"model": {"ternary_lut": "ternary", "streaming_attention": "attention"}[family]}.get(work, "")
    why = f"as it covers only {PARTS[part]}" if part else "as the workload is no model and counts rows"
    if key == "objectives":
        where, arguments = "6:14", (old, "")
    else:
        where, arguments = "7:15", ("area_um2", f"constraints: {{{old}: {{max: 1}}}}\n")
    message = f"space.yaml:{where}: {key}.{old}: metric must be {new}, {why}, not '{old}'"
    with pytest.raises(SpecError, match=f"^{re.escape(message)}$"):
        space(family, work, *arguments)


MIXED = """\
schema: ternforge/space/v1
family: [ternary_lut, streaming_attention]
parameters: {ternary_lut: {mu: 1}, streaming_attention: {dim: 16}}
workload: {model: tiny, phase: decode}
technology: asap7
objectives: {area_um2: min}
"""


def test_families_of_different_tasks_share_no_space() -> None:
    message = (
        "space.yaml:2:23: family[1]: family must list families that run the same task, and ternary_lut runs gemm "
        "while streaming_attention runs attention; explore them in spaces of their own"
    )
    with pytest.raises(SpecError, match=f"^{re.escape(message)}$"):
        space_from(read_text(MIXED, "space.yaml"))


def test_families_of_different_tasks_share_no_problem_that_a_script_makes() -> None:
    import dataclasses

    lut, attention = space("ternary_lut", "model"), space("streaming_attention", "model")
    other = dataclasses.replace(attention.subspaces[0], start=lut.size)
    mixed = dataclasses.replace(lut, subspaces=(*lut.subspaces, other))
    message = (
        "Families must run the same task to be compared, and ternary_lut runs gemm while streaming_attention runs "
        "attention"
    )
    with pytest.raises(ParamError, match=f"^{message}$"):
        design_problem(mixed, costs, {})


def test_a_mixed_study_of_an_earlier_version_is_refused_by_every_verb(tmp_path: Path) -> None:
    """A folder whose facts hold a mix: plot, report and apply open it alike."""
    from dse import store
    from dse.study import open_study

    facts: dict[str, Any] = {"text": MIXED, "metrics": ["area_um2"], "content": {}, "provenance": {}}
    store.create(tmp_path, facts).close()
    refusal = (
        "family must list families that run the same task|study must be read by the version that wrote it"
    )
    with pytest.raises(SpecError, match=refusal):
        open_study(tmp_path)


def test_families_of_one_task_share_a_part() -> None:
    kinds = [registry.get(name) for name in ("ternary_lut", "systolic")]
    assert space("ternary_lut", "model").subject.asked().part(kinds) == "ternary"
    assert space("ternary_lut", "gemm").subject.asked().part(kinds) == ""


def test_every_kind_of_work_names_every_number_once() -> None:
    for part in ("", *PARTS):
        names = metrics_of(part)
        assert len({metric.base for metric in names.values()}) == len(names) >= len(BASES) - 1
        for name, metric in names.items():
            assert counterpart(metric.base, names) == name
            assert "{" not in metric.label + metric.meaning + metric.unit
    assert counterpart("speed", metrics_of("")) is None


def test_the_page_lists_every_number() -> None:
    page = (ROOT / "docs" / "spaces.md").read_text(encoding="utf-8")
    assert [name for name in METRICS if f"`{name}`" not in page] == []
