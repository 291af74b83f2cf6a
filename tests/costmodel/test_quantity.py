from __future__ import annotations

import pytest

from costmodel.model import quantity


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("pJ", 93_170_631_107.0, "93.17 mJ"),
        ("pJ", 5.1, "5.1 pJ"),
        ("pJ", 0.0116, "11.6 fJ"),
        ("pJ", 0.0, "0 pJ"),
        ("pJ", 2.5e12, "2.5 J"),
        ("um2", 6_871.0, "6,871 µm²"),
        ("um2", 651_100.0, "0.6511 mm²"),
        ("um2", 0.5, "0.5 µm²"),
        ("um2", 3e9, "3,000 mm²"),
        ("ps", 1_303.0, "1.303 ns"),
        ("ps", 864.0, "864 ps"),
        ("MHz", 864.3, "864.3 MHz"),
        ("MHz", 1_250.0, "1.25 GHz"),
        ("s", 0.0013, "1.3 ms"),
        ("s", 154.4, "154.4 s"),
        ("mW", 4_101.0, "4.101 W"),
        ("mW", 0.02, "20 µW"),
        ("token/s", 38_174.2, "38,174 token/s"),
        ("", 0.3512, "0.3512"),
        ("pJ", None, "-"),
    ],
)
def test_a_value_is_shown_in_the_unit_that_a_person_would_use(
    unit: str, value: float | None, text: str
) -> None:
    assert quantity.shown(unit, [value]).text(value) == text


def test_a_column_has_one_unit_and_keeps_its_values() -> None:
    unit = quantity.shown("pJ", [2e6, 3e6, 4e9, None, float("nan")])
    assert (unit.unit, [unit.number(value) for value in (2e6, 3e6, 4e9, None)]) == (
        "µJ",
        ["2", "3", "4,000", "-"],
    )


PREFIXES = ("a", "f", "p", "n", "µ", "m", "", "k", "M", "G", "T")


@pytest.mark.parametrize(("unit", "power"), [("pJ", -12), ("s", 0), ("ps", -12), ("mW", -3), ("MHz", 6)])
def test_every_power_of_ten_has_the_prefix_below_it(unit: str, power: int) -> None:
    base = {"pJ": "J", "s": "s", "ps": "s", "mW": "W", "MHz": "Hz"}[unit]
    for exponent in range(-18, 15):
        shown = quantity.shown(unit, [3 * 10.0 ** (exponent - power)])
        step, rest = divmod(exponent + 18, 3)
        assert shown.unit == PREFIXES[step] + base
        assert float(shown.number(3 * 10.0 ** (exponent - power))) == pytest.approx(3 * 10**rest)


@pytest.mark.parametrize(
    ("name", "unit", "label"),
    [
        ("ternary_energy_pj_per_token", "mJ", "ternary energy per token [mJ]"),
        ("attention_tokens_per_second", "token/s", "attention throughput [token/s]"),
        ("rows_per_second", "row/s", "throughput [row/s]"),
        ("flip_flops", "", "flip-flops"),
        ("mu", "", "mu"),
    ],
)
def test_headings_name_the_part_and_the_unit(name: str, unit: str, label: str) -> None:
    assert quantity.label(name, unit) == label
