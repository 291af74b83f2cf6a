# ruff: noqa: E501 (messages stay on one line)
from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError, SpecError
from tests.dse import toy
from tests.dse.toy import LARGE, TEXT, changed

BOTH = changed(
    ("family: toy", "family: [toy, twin]"),
    ("  width: {range: [1, 32]}", "  width: {range: [1, 8]}\n  twin: {width: [2, 4], ports: {log2: [1, 8]}}"),
)


#: What a method may be.
METHODS = "auto, exhaustive, pruned, random, sobol, nsga2, evolution, ant_colony, bayesian, reinforce, agents, optuna:tpe, optuna:nsga2, optuna:random, or MODULE:CLASS"


def test_size_is_the_product_of_the_axes() -> None:
    space = toy.space()
    assert space.size == 32 * 13 * 2 * 2
    assert space.method == "exhaustive" and space.exact


def test_every_index_decodes_to_another_design() -> None:
    space = toy.space()
    columns = space.columns(np.arange(space.size))
    designs = set(zip(*(columns[name].tolist() for name in space.parameter_names), strict=True))
    assert len(designs) == space.size
    assert columns["width"].dtype == np.int64 and columns["registered"].dtype == bool


def test_columns_and_design_agree() -> None:
    space = toy.space(BOTH)
    columns = space.columns(np.arange(space.size))
    for index in range(space.size):
        family, parameters = space.design(index)
        assert family == columns["family"][index]
        for name in space.parameter_names:
            assert columns[name][index] == parameters.get(name)


def test_families_have_axes_of_their_own() -> None:
    space = toy.space(BOTH)
    assert [(sub.family, sub.start, sub.size) for sub in space.subspaces] == [
        ("toy", 0, 416),
        ("twin", 416, 8),
    ]
    assert space.design(415) == ("toy", {"width": 8, "depth": 4096, "style": "fast", "registered": True})
    assert space.design(416) == ("twin", {"width": 2, "ports": 1})


def test_codes_and_indices_are_inverse() -> None:
    sub = toy.space().subspaces[0]
    local = np.arange(sub.size)
    assert sub.indices(sub.codes(local)).tolist() == local.tolist()


def test_log2_counts_values_not_exponents_and_range_includes_its_end() -> None:
    axes = {axis.name: axis.values for axis in toy.space().subspaces[0].axes}
    assert axes["depth"] == tuple(2**e for e in range(13))
    assert axes["width"] == tuple(range(1, 33))


def test_a_step_that_misses_the_end_stops_before_it() -> None:
    space = toy.space(changed(("{range: [1, 32]}", "{range: [1, 10, 4]}")))
    assert space.subspaces[0].axes[0].values == (1, 5, 9)


def test_defaults_stand_in_for_parameters_left_out() -> None:
    space = toy.space(changed(("  style: [small, fast]\n", "")))
    assert space.design(0)[1]["style"] == "small"


def test_point_names_are_stable_and_sort_like_indices() -> None:
    space = toy.space()
    assert space.point_id(123) == "p000123"
    assert space.index_of("p000123") == 123
    assert space.index_of("p123") == 123


@pytest.mark.parametrize("name", ["", "p", "q000001", "p001664", "p-1", "p1e3", "p\u0663"])
def test_point_names_of_other_spaces_are_refused(name: str) -> None:
    message = f"Point must be knee or one of p000000 to p001663, not {name!r}"
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        toy.space().index_of(name)


def test_an_index_outside_is_refused() -> None:
    with pytest.raises(IndexError, match=r"^Index must be from 0 to 1663, not 1664 to 1664$"):
        toy.space().design(1664)


def test_violation_adds_relative_excesses() -> None:
    space = toy.space(
        changed(("{area_um2: {max: 500}}", "{area_um2: {max: 500}, tokens_per_second: {min: 100}}"))
    )
    metrics = {"area_um2": np.array([400.0, 750.0]), "tokens_per_second": np.array([100.0, 25.0])}
    assert space.violation(metrics).tolist() == [0.0, 0.5 + 0.75]


def test_content_hash_ignores_comments_and_sees_values() -> None:
    assert toy.space("# a remark\n" + TEXT).content_hash == toy.space().content_hash
    assert toy.space(changed(("max: 500", "max: 501"))).content_hash != toy.space().content_hash


def test_only_exhaustive_searches_of_many_designs_keep_a_share() -> None:
    most = LARGE.replace("[1, 4000]", "[1, 3907]")
    for text, share in ((LARGE, 50_000 / 1_024_000), (most, 50_000 / (64 * 3907 * 4)), (TEXT, 1.0)):
        space = toy.space(text)
        assert space.exact and space.share == share
    assert 64 * 3906 * 4 < 1_000_000 < 64 * 3907 * 4
    assert toy.space(LARGE.replace("[1, 4000]", "[1, 3906]")).share == 1.0
    other = toy.space(LARGE).searched(method="random", budget=10)
    assert not other.exact and other.share == 1.0


@pytest.mark.parametrize("index", [-1, 1664])
def test_a_design_outside_a_space_is_refused(index: int) -> None:
    space = toy.space()
    assert space.design(0)[1]["width"] == 1 and space.design(1663)[1]["width"] == 32
    with pytest.raises(IndexError):
        space.design(index)


def test_a_space_beyond_the_budget_is_searched_by_the_default() -> None:
    assert toy.space(changed(("budget: 100000", "budget: 100"))).method == "bayesian"
    assert toy.space(changed(("budget: 100000", "budget: 100"), ("auto", "random"))).method == "random"
    assert (
        toy.space(changed(("budget: 100000", "budget: 100"), ("auto", "exhaustive"))).method == "exhaustive"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "grid"}, f"Method must be one of {METHODS}, not 'grid'"),
        (
            {"method": "nsga"},
            f"Method must be one of {METHODS}, not 'nsga'; did you mean 'nsga2'?",
        ),
        ({"budget": 0}, "Budget must be from 1 to 200000000, not 0"),
        ({"seed": -1}, "Seed must be from 0 to 2**63 - 1, not -1"),
    ],
)
def test_a_search_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$"):
        toy.space().searched(**change)


BAD: list[tuple[str, str, str]] = [
    ("schema: ternforge/space/v1", "schema: ternforge/space/v2", "1:1: schema: schema must be 'ternforge/space/v1', not 'ternforge/space/v2'; did you mean 'ternforge/space/v1'?"),
    ("name: toys", "name: ../toys", "2:1: name: name must be a letter followed by at most 63 letters, digits, '_' or '-', not '../toys'"),
    ("family: toy", "family: toi", "3:1: family: family must be one of toy, twin, not 'toi'; did you mean 'toy'?"),
    ("family: toy", "family: [toy, toy]", "3:15: family[1]: family must list every family once, not 'toy' again"),
    ("family: toy", "family: []", "3:1: family: family must name at least one family, not none"),
    ("family: toy", "family: 7", "3:1: family: family must be text or a list, not 7"),
    ("  width: {range: [1, 32]}\n", "", "4:1: parameters: width of toy must be given, and is missing: an integer from 1 to 64"),
    ("  width:", "  widht:", "5:3: parameters.widht: key must be one of depth, registered, style, width, not 'widht'; did you mean 'width'?"),
    ("{range: [1, 32]}", "{range: [1, 65]}", "5:11: parameters.width.range: width must be an integer from 1 to 64, not 65"),
    ("{range: [1, 32]}", "{range: [32, 1]}", "5:23: parameters.width.range[1]: last must be at least the first value 32, not 1"),
    ("{range: [1, 32]}", "{range: [1, 32, 0]}", "5:26: parameters.width.range[2]: step must be at least 1, not 0"),
    ("{range: [1, 32]}", "{range: [1, 32, 1, 1]}", "5:11: parameters.width.range: range must be [first, last, step], not 4 values"),
    ("{range: [1, 32]}", "{range: [1, 2.5]}", "5:22: parameters.width.range[1]: range must hold integers, not 2.5"),
    ("{range: [1, 32]}", "{range: 3}", "5:11: parameters.width.range: range must be a list, not 3"),
    ("{range: [1, 32]}", "{steps: [1, 32]}", "5:11: parameters.width.steps: key must be one of range, log2, not 'steps'"),
    ("{range: [1, 32]}", "{}", "5:3: parameters.width: width must have one of range, log2, not neither"),
    ("{range: [1, 32]}", "[]", "5:3: parameters.width: width must list at least one value, not none"),
    ("{range: [1, 32]}", "[1, 2, 1]", "5:17: parameters.width[2]: width must list every value once, not 1 again"),
    ("{range: [1, 32]}", "[1, true]", "5:14: parameters.width[1]: width must be an integer from 1 to 64, not true"),
    ("{range: [1, 32]}", "wide", "5:3: parameters.width: width must be an integer from 1 to 64, not 'wide'"),
    ("{log2: [1, 4096]}", "{log2: [1, 12]}", "6:21: parameters.depth.log2[1]: log2 must hold powers of two (the values themselves, not exponents), not 12"),
    ("{log2: [1, 4096]}", "{log2: [0, 4]}", "6:18: parameters.depth.log2[0]: log2 must hold powers of two (the values themselves, not exponents), not 0"),
    ("{log2: [1, 4096]}", "{log2: [8, 4]}", "6:21: parameters.depth.log2[1]: last must be at least the first value 8, not 4"),
    ("{log2: [1, 4096]}", "{range: [1, 1000000]}", "6:11: parameters.depth.range: range must hold at most 100000 values, not 1000000"),
    ("[small, fast]", "[small, fats]", "7:18: parameters.style[1]: style must be one of small, fast, not 'fats'; did you mean 'fast'?"),
    ("[false, true]", "[0, 1]", "8:16: parameters.registered[0]: registered must be true or false, not 0"),
    ("technology: none\n", "", "1:1: technology: technology must be given, and is missing"),
    ("technology: none\n", "technology: none\nprompt_tokens: 64\n", "11:1: prompt_tokens: prompt_tokens must stand beside a workload that is a model in phase decode, and it does not"),
    ("technology: none\n", "technology: none\ndram: {bandwidth_gb_s: 10, energy_pj_per_bit: 4}\n", "11:1: dram.source: source must be given, and is missing"),
    ("technology: none\n", "technology: none\ndram: {bandwidth_gb_s: 0, energy_pj_per_bit: 4, source: x}\n", "11:8: dram.bandwidth_gb_s: bandwidth_gb_s must be at least 1e-06, not 0"),
    ("technology: none\n", "technology: none\ndram: {bandwidth_gb_s: 1, energy_pj_per_bit: 4, source: ' '}\n", "11:49: dram.source: source must say where the DRAM numbers are from, not ''"),
    ("{area_um2: min, tokens_per_second: max}", "{}", "11:1: objectives: objectives must name 1 to 4 metrics, not 0"),
    ("area_um2: min", "area: min", "11:14: objectives.area: metric must be one of area_um2, tokens_per_second, energy_pj_per_token, flip_flops, not 'area'; did you mean 'area_um2'?"),
    ("area_um2: min", "area_um: min", "11:14: objectives.area_um: metric must be one of area_um2, tokens_per_second, energy_pj_per_token, flip_flops, not 'area_um'; did you mean 'area_um2'?"),
    ("area_um2: min", "area_um2: least", "11:14: objectives.area_um2: area_um2 must be one of min, max, not 'least'"),
    ("area_um2: {max: 500}", "speed: {max: 500}", "12:15: constraints.speed: metric must be one of area_um2, tokens_per_second, energy_pj_per_token, flip_flops, not 'speed'"),
    ("{max: 500}", "{}", "12:15: constraints.area_um2: area_um2 must have a max or a min, and has neither"),
    ("{max: 500}", "{min: 600, max: 500}", "12:26: constraints.area_um2.min: min must be at most the max 500, not 600"),
    ("{max: 500}", "{most: 500}", "12:26: constraints.area_um2.most: key must be one of min, max, not 'most'"),
    ("{max: 500}", "500", "12:15: constraints.area_um2: area_um2 must be a mapping, not 500"),
    ("method: auto", "method: grid", f"13:10: search.method: method must be one of {METHODS}, not 'grid'"),
    ("method: auto", "method: bayes", f"13:10: search.method: method must be one of {METHODS}, not 'bayes'; did you mean 'bayesian'?"),
    ("method: auto", "method: optuna:tpa", f"13:10: search.method: method must be one of {METHODS}, not 'optuna:tpa'; did you mean 'optuna:tpe'?"),
    ("method: auto", "method: no_such_module:Search", "13:10: search.method: method 'no_such_module:Search' must name a module that can be imported: No module named 'no_such_module'"),
    ("method: auto", "method: tests.dse.toy:Judje", "13:10: search.method: method 'tests.dse.toy:Judje' must name a class of tests.dse.toy, which has no Judje; did you mean 'Judge'?"),
    ("method: auto", "method: tests.dse.toy:Judge", "13:10: search.method: method 'tests.dse.toy:Judge' must be a search (dse.searches.protocol.Search), not without Options, independent, ask, tell"),
    ("method: auto", "method: tests.dse.toy:main", "13:10: search.method: method 'tests.dse.toy:main' must be a search (dse.searches.protocol.Search), not a function"),
    ("method: auto", "method: evolution, tournamant: 3", "13:29: search.tournamant: key must be one of method, budget, seed, population, tournament, children, not 'tournamant'; did you mean 'tournament'?"),
    ("method: auto", "method: random, population: 16", "13:26: search.population: key must be one of method, budget, seed, not 'population'"),
    ("method: auto", "method: nsga2, crossover: 1.5", "13:25: search.crossover: crossover must be from 0 to 1, not 1.5"),
    ("method: auto", "method: nsga2, population: many", "13:25: search.population: population must be an integer, not 'many'"),
    ("budget: 100000", "budget: -5", "13:24: search.budget: budget must be at least 1, not -5"),
    ("budget: 100000", "budget: lots", "13:24: search.budget: budget must be an integer, not 'lots'"),
    ("seed: 7", "sead: 7", "13:40: search.sead: key must be one of method, budget, seed, first, batch, candidates, bound, modelled, population, not 'sead'; did you mean 'seed'?"),
    ("technology: none\n", "technology: none\ncolour: red\n", "11:1: colour: key must be one of"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), BAD, ids=[f"{i:02d}" for i in range(len(BAD))])
def test_a_malformed_space_is_refused_in_one_sentence(old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        toy.space(changed((old, new)))
    found = str(caught.value)
    assert "\n" not in found
    if message.endswith("must be one of"):
        assert found.startswith(f"space.yaml:{message}")
    else:
        assert found == f"space.yaml:{message}"


def test_time_to_first_token_needs_a_prompt() -> None:
    text = changed(
        ("{area_um2: min, tokens_per_second: max}", "{ternary_time_to_first_token_s: min}"),
        ("{gemm: {m: 1, k: 64, n: 64}}", "{model: tiny, phase: decode}"),
    )
    from blueprint.files.document import read_text
    from dse.space_file import space_from

    message = (
        "space.yaml:11:14: objectives.ternary_time_to_first_token_s: "
        "ternary_time_to_first_token_s needs prompt_tokens beside the workload, and it is missing"
    )
    with pytest.raises(SpecError, match=f"^{re.escape(message)}$"):
        space_from(read_text(text, "space.yaml"), families=toy.FAMILIES)


def test_a_space_that_no_index_holds_is_refused() -> None:
    import dataclasses
    from typing import ClassVar

    from blueprint.files.document import read_text
    from blueprint.parameters import parameter
    from blueprint.spec import Spec
    from dse.space_file import space_from

    names = [f"n{i}" for i in range(5)]
    wide = dataclasses.make_dataclass(
        "Wide", [(name, "int", parameter("x", minimum=1, maximum=99999)) for name in names],
        bases=(Spec,), frozen=True, kw_only=True, namespace={"family": "wide", "title": "Wide"},
    )  # fmt: skip
    assert ClassVar
    lines = "\n".join(f"  {name}: {{range: [1, 99999]}}" for name in names)
    text = re.sub(
        r"parameters:\n(  .*\n)+", f"parameters:\n{lines}\n", changed(("family: toy", "family: wide"))
    )
    with pytest.raises(
        SpecError,
        match=r"^space.yaml:4:1: parameters: parameters must span at most 2\*\*62 designs, not 1e\+25$",
    ):
        space_from(read_text(text, "space.yaml"), families={"wide": wide})
