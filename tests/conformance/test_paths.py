"""What is declared as one path between registers contains no register in the RTL, and declared registers are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.arithmetic import floating
from blueprint.spec import Spec
from blueprint.unit import Path as TimedPath
from costmodel.calibration.sampling import gates
from tests import word_level
from tests.volume import some
from tests.word_level import Netlist

FAMILIES = registry.families()
FLOAT_TABLES: dict[str, Any] = {
    "act_width": 16, "activation": "fp16", "reduction": "adder_tree",
    "m_max": 4, "k_max": 64, "n_max": 8, "mu": 2, "lut_count": 2, "fetch_count": 1,
}  # fmt: skip

ATTENTION: dict[str, Any] = {
    "graph": "memory_free", "dim": 2, "keys_max": 4, "queries_max": 1, "heads_max": 1,
    "exp_stages": 3, "product_stages": 1,
}  # fmt: skip

ONE_PRODUCT: dict[str, Any] = {
    "organization": "output_stationary", "rows": 1, "cols": 1, "dot_length": 1, "act_width": 4, "weight_width": 2,
    "k_max": 4, "n_max": 1, "m_max": 1, "product_register": True,
}  # fmt: skip


def _samples(family: str, seed: int, count: int) -> list[Spec]:
    """The smaller half of random designs: the walk is over every bit."""
    random = np.random.default_rng([seed, 0x9A7])
    drawn = [FAMILIES[family].sample(random) for _ in range(2 * count)]
    return sorted(drawn, key=gates)[:count]


def _format(spec: Spec) -> floating.FloatFormat | None:
    named = (value for value in spec.parameters.values() if value in floating.FORMATS)
    name = next(named, None)
    return floating.get(name) if name else None


def _broken(net: Netlist, spec: Spec, paths: tuple[TimedPath, ...]) -> list[str]:
    """Declared paths that no chain of cells passes, and the steps behind the last that one reaches."""
    found = []
    for path in paths:
        steps = word_level.steps(path, _format(spec), net.places)
        passed = net.passes(steps)
        if passed < len(steps):
            found.append(
                f"{path.name}: a register stands before {steps[passed]}, step {passed} of {len(steps)}"
            )
    return found


def _check(spec: Spec, folder: Path) -> None:
    net = word_level.generated(spec, folder)
    assert _broken(net, spec, spec.paths()) == [], spec.parameters
    if spec.parameters.get("acc_format") == "integer":
        assert net.carries() == word_level.carries(spec.paths()), spec.parameters
    declared: dict[str, int] = {}
    for unit in spec.units():
        if unit.flip_flops:
            declared[unit.place] = declared.get(unit.place, 0) + int(unit.flip_flops)
    # Words may hold flip-flops that synthesis finds to be equal; what is left is counted in test_agreement.py.
    missing = {place: bits for place, bits in declared.items() if net.flip_flops.get(place, 0) < bits}
    assert not missing, spec.parameters


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_declared_paths_hold_no_register(family: str, tmp_path: Path) -> None:
    for number, spec in enumerate(_samples(family, 0, 1)):
        _check(spec, tmp_path / str(number))


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_declared_paths_of_many_designs_hold_no_register(family: str, tmp_path: Path) -> None:
    for number, spec in enumerate(_samples(family, 1, some(1, of=10))):
        _check(spec, tmp_path / str(number))


@pytest.mark.parametrize("stages", [1, 4, 6])
def test_registers_inside_adders_end_paths(stages: int, tmp_path: Path) -> None:
    spec = FAMILIES["ternary_lut"](**FLOAT_TABLES, adder_stages=stages)
    _check(spec, tmp_path)


#: Cells of a sequencer's longest chain that are no declared step: conditions of a few designs, and ends of a chain that
#: are cells of words but not of bits.
_UNDECLARED = 6


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_longest_chain_of_a_sequencer_is_declared(family: str, tmp_path: Path) -> None:
    """The other direction: no stall is longer than what is declared, but for a few gates."""
    (spec,) = _samples(family, 0, 1)
    net = word_level.generated(spec, tmp_path)
    declared = _gates(spec.paths())
    assert declared <= net.depth("control") <= declared + _UNDECLARED, spec.parameters


def _gates(paths: tuple[TimedPath, ...]) -> int:
    """Most gates that a declared path has in the sequencer."""
    here = ("logic", "mux", "comparator")
    return max(
        int(sum(unit.count for unit in path.steps if unit.kind in here and unit.place == "control"))
        for path in paths
    )


@pytest.mark.parametrize("stages", [0, 6])
def test_a_stall_passes_every_stage(stages: int, tmp_path: Path) -> None:
    """A `ready` goes back through all registers between fetch and result within a cycle."""
    spec = FAMILIES["ternary_lut"](**FLOAT_TABLES, adder_stages=stages)
    net = word_level.generated(spec, tmp_path)
    path = _named(spec, "stall-load")
    assert _broken(net, spec, (path,)) == []
    assert _gates((path,)) + 4 >= net.depth("control")
    longer = TimedPath("longer", tuple(unit.times(2) for unit in path.steps))
    (found,) = _broken(net, spec, (longer,))
    assert found.startswith("longer: a register stands before (('control',), 'logic')")


def test_a_single_table_and_the_most_registers(tmp_path: Path) -> None:
    """No adder sums the tables, and the first piece of the accumulator's only orders operands."""
    spec = FAMILIES["ternary_lut"](
        **{**FLOAT_TABLES, "activation": "bf16", "lut_count": 1, "n_max": 1, "m_max": 1},
        adder_stages=6,
        table_style="half",
        build_register=False,
    )
    assert "end-build-fetched-begin-reduce-end-reduce-begin-accumulate" in [
        path.name for path in spec.paths()
    ]
    _check(spec, tmp_path)


@pytest.mark.parametrize(
    "changes", [{"pe": "ternary"}, {"pe": "ent", "act_width": 2, "weight_width": 4}], ids=["ternary", "ent"]
)
def test_a_registered_product_of_one_row_is_not_reduced(changes: dict[str, Any], tmp_path: Path) -> None:
    spec = FAMILIES["systolic"](**{**ONE_PRODUCT, **changes})
    assert [step.count for step in _named(spec, "multiply").steps if step.kind == "compressor"] == [0]
    _check(spec, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"pe": "mac", "dot_length": 2},
        {"pe": "mac", "dot_length": 2, "rows": 2, "cols": 2},
        {"pe": "booth_flex", "act_width": 8, "weight_width": 4},
        {"pe": "ent", "act_width": 8, "weight_width": 8},
    ],
    ids=["mac", "mac-2x2", "booth_flex", "ent"],
)
def test_registered_products_end_paths(changes: dict[str, Any], tmp_path: Path) -> None:
    """An array of one row passes its operands through a module without cells; the twin has no such register."""
    large = {"k_max": 12, "n_max": 4, "m_max": 4}
    spec = FAMILIES["systolic"](**{**ONE_PRODUCT, **large, "weight_width": 4, **changes})
    _check(spec, tmp_path)
    multiply, accumulate = _named(spec, "multiply"), _named(spec, "accumulate")
    joined = TimedPath("joined", (*multiply.steps, *multiply.steps, *accumulate.steps))
    (found,) = _broken(word_level.netlist(tmp_path), spec, (joined,))
    assert found.startswith("joined: a register stands before ")


def _named(spec: Spec, name: str) -> TimedPath:
    return next(path for path in spec.paths() if path.name == name)


def test_a_path_through_registers_is_found(tmp_path: Path) -> None:
    """The failing twin: paths of the same design without registers inside its adders."""
    deep = FAMILIES["ternary_lut"](**FLOAT_TABLES, adder_stages=1)
    flat = FAMILIES["ternary_lut"](**FLOAT_TABLES)
    found = _broken(word_level.generated(deep, tmp_path), deep, flat.paths())
    assert [line.split(":")[0] for line in found] == [
        "build-fetch-reduce-accumulate",
        "key-reduce-accumulate",
    ]


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> tuple[Spec, Netlist]:
    """An attention core whose division has one register."""
    spec = FAMILIES["streaming_attention"](**ATTENTION, reciprocal_stages=1)
    return spec, word_level.generated(spec, tmp_path_factory.mktemp("attention"))


def test_every_path_of_attention_is_there(divided: tuple[Spec, Netlist]) -> None:
    spec, net = divided
    assert _broken(net, spec, spec.paths()) == []
    assert net.carries() == word_level.carries(spec.paths())


def test_attention_paths_through_registers_are_found(divided: tuple[Spec, Netlist]) -> None:
    """The failing twin: paths of the same design without registers in its division, exponentials and products."""
    _, net = divided
    flat = FAMILIES["streaming_attention"](**ATTENTION, reciprocal_stages=0)
    found = _broken(net, flat, flat.paths())
    assert len(found) == 1 and found[0].startswith(
        "reciprocal-first: a register stands before (('reciprocal',), 'adder')"
    )
    joined = FAMILIES["streaming_attention"](
        **{**ATTENTION, "exp_stages": 0, "product_stages": 0}, reciprocal_stages=1
    )
    assert [line.split(":")[0] for line in _broken(net, joined, joined.paths())] == [
        "exp2-0-4",
        "reference-0-4",
        "output",
    ]


@pytest.mark.parametrize(
    ("times", "found"),
    [(0, []), (2, ["reciprocal-first", "reciprocal-last"])],
    ids=["dropped", "doubled"],
)
def test_rows_of_the_division_dropped_or_doubled_are_found(
    divided: tuple[Spec, Netlist], times: int, found: list[str]
) -> None:
    """All steps of a path that is too short are there, but the longest chain has more carries."""
    spec, net = divided
    wrong = tuple(_with_rows(path, times) for path in spec.paths())
    assert [line.split(":")[0] for line in _broken(net, spec, wrong)] == found
    assert net.carries() != word_level.carries(wrong)


def _with_rows(path: TimedPath, times: int) -> TimedPath:
    """The path with so many times its rows of a division."""
    steps = (unit.times(times if unit.place == "reciprocal" else 1) for unit in path.steps)
    return TimedPath(path.name, tuple(steps))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_names_of_paths_tell_them_apart(family: str) -> None:
    for spec in _samples(family, 0, 20):
        named: dict[str, TimedPath] = {}
        for path in spec.paths():
            if any(unit.count for unit in path.steps):
                assert named.setdefault(path.name, path) == path


@pytest.mark.parametrize(
    "changes",
    [
        {"pe": "ternary", "adder_stages": 2},
        {"pe": "float", "weight_width": 8, "adder_stages": 4, "product_stages": 3},
        {"pe": "opt1", "activation": "int", "weight_width": 4, "resolve_cycles": 3},
    ],
    ids=["adder", "adder-and-multiplier", "result"],
)
def test_registers_inside_adders_of_arrays_end_paths(changes: dict[str, Any], tmp_path: Path) -> None:
    spec = FAMILIES["systolic"](
        **{**ONE_PRODUCT, "activation": "fp8_e5m2", "act_width": 8, "k_max": 12, **changes}
    )
    _check(spec, tmp_path)
    inside = [path for path in spec.paths() if path.name.startswith(("inside-", "resolve-piece"))]
    assert sum(bool(sum(unit.count for unit in path.steps)) for path in inside) >= 1
    joined = TimedPath("joined", tuple(unit for path in inside for unit in path.steps if unit.count) * 3)
    assert _broken(word_level.netlist(tmp_path), spec, (joined,)) != []
