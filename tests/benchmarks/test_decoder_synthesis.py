"""The record of whole decoders beside their netlists: what the model says today, and how far off it may be."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import decoder_synthesis as benchmark
from benchmarks import systems
from costmodel.systems import synthesized
from ternforge import synthesizing

#: The most that predictions of a whole decoder may be off: area, clock, energy of a cycle.
AREA, CLOCK, ENERGY = 0.05, 0.15, 0.15
RECORD = benchmark.kept()


def off(pair: list[float]) -> float:
    return abs(pair[0] / pair[1] - 1)


def total(parts: dict[str, Any], *keys: str) -> list[float]:
    return [sum(part[key][side] for part in parts.values() for key in keys) for side in (0, 1)]


def check(record: dict[str, Any]) -> None:
    """Flip-flops equal in every part; logic, cells with memories, clock and energy within their limits."""
    parts = record["parts"]
    assert all(part["flip_flops"][0] == part["flip_flops"][1] for part in parts.values()), "flip-flops"
    assert off(total(parts, "logic_um2")) < AREA, "logic"
    assert off(total(parts, "logic_um2", "memory_um2")) < AREA, "area"
    assert off(record["path_ps"]) < CLOCK, "clock"
    if "energy" in record:
        assert off(record["energy"]["pj_per_cycle"]["sum"]) < ENERGY, "energy"


@pytest.mark.parametrize("name", benchmark.names())
def test_what_is_recorded_is_within_its_limits_and_what_the_model_says_today(name: str) -> None:
    record = RECORD[name]
    check(record)
    system, hardware, technology = synthesizing.read(benchmark.FOLDER / f"{name}.yaml", None)
    assert hardware.design_hash == record["design_hash"]
    expected = synthesized.predicted(hardware, technology)
    for part, numbers in record["parts"].items():
        assert numbers["logic_um2"][0] == round(expected[part].logic_area_um2, 1), part
        assert numbers["memory_um2"][0] == round(expected[part].memory_area_um2, 1), part
        assert numbers["flip_flops"][0] == expected[part].flip_flops, part
    assert record["path_ps"][0] == round(synthesized.whole(expected.values()).path_ps, 1)
    if "energy" in record:
        energies = benchmark.predicted_energies(system, hardware, technology)
        said = {part: pair[0] for part, pair in record["energy"]["pj_per_cycle"].items() if part != "sum"}
        assert said == {part: round(energy, 3) for part, energy in energies.items()}


def test_the_energy_of_a_token_was_measured_of_one_system_at_least() -> None:
    assert any("energy" in record for record in RECORD.values())


@pytest.mark.parametrize(("key", "what"), [("flip_flops", "flip-flops"), ("logic_um2", "logic")])
def test_a_part_that_is_off_is_noticed(key: str, what: str) -> None:
    record = RECORD["tables"]
    parts = {name: dict(part) for name, part in record["parts"].items()}
    parts["around units"][key] = [2 * parts["around units"][key][1], parts["around units"][key][1]]
    with pytest.raises(AssertionError, match=what):
        check({**record, "parts": parts})


def test_the_table_of_the_page_is_that_of_the_record() -> None:
    text = systems.PAGE.read_text(encoding="utf-8")
    assert benchmark.page(text, RECORD) == text
