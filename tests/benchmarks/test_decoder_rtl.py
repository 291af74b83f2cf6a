"""Texts of whole decoders as RTL: which cells there are, the record, the command, and one short text that runs."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import decoder_rtl
from benchmarks.decoder_rtl import CACHES, PRODUCTS, PROMPTS, TOKENS, Cell
from blueprint.systems.memory_port import BEHAVIORS

PLAN = decoder_rtl.plan()
#: Cells of which the first twelve stand for all.
WHOLE = [cell for cell in PLAN if cell.system in PRODUCTS and cell.block == 1]
LEAST = 12
RECORD = yaml.safe_load(decoder_rtl.RECORD.read_text(encoding="utf-8"))

# The plan -------------------------------------------------------------------------------------------------------------


def test_every_prompt_product_cache_and_memory_meet() -> None:
    every = set(itertools.product(PRODUCTS, CACHES, [1], PROMPTS, BEHAVIORS))
    assert len(WHOLE) == len(every) == 48
    assert {tuple(cell) for cell in WHOLE} == every
    assert len({cell.name for cell in PLAN}) == len(PLAN)


def test_the_first_cells_have_every_two_values() -> None:
    first = WHOLE[:LEAST]
    assert {(one.system, one.cache, one.prompt) for one in first} == set(
        itertools.product(PRODUCTS, CACHES, PROMPTS)
    )
    for place, values in ((0, PRODUCTS), (1, CACHES), (3, PROMPTS)):
        assert {(one[place], one.memory) for one in first} == set(itertools.product(values, BEHAVIORS))
    assert not all((one.prompt, one.memory) == (first[0].prompt, first[0].memory) for one in first)


def test_prompts_in_blocks_are_longer_than_a_block() -> None:
    wide = [cell for cell in PLAN if cell.block > 1]
    assert {cell.system for cell in wide} == {*PRODUCTS, "small_fp32"}
    assert {(cell.system, cell.cache) for cell in wide[:5]} == {
        *itertools.product(PRODUCTS, CACHES),
        ("small_fp32", 16),
    }
    assert all(cell.prompt > cell.block for cell in wide)


def test_systems_hold_the_longest_text_and_have_what_their_cells_say() -> None:
    for name, bits, block in {cell.design for cell in PLAN}:
        system = decoder_rtl.system_of(name, bits, block)
        assert (system.units["attention"].spec.cache_width, system.block) == (bits, block)
        assert 128 <= PROMPTS[-1] + TOKENS <= system.largest.context
        assert system.largest.heads > system.largest.kv_heads > 1 < system.largest.layers


# The record -----------------------------------------------------------------------------------------------------------


def test_every_recorded_text_is_that_of_golden_model_and_simulator() -> None:
    cells = RECORD["cells"]
    assert (len(cells), len(PLAN), 0) == (RECORD["count"], RECORD["of"], RECORD["differ"])
    for what in ("instructions", "cycles"):
        assert RECORD[what] == sum(one[what] for one in cells.values())
    for one in cells.values():
        assert one["findings"] == [] and len(one["tokens"]) == TOKENS and one["cycles"] > 0
    named = [cell.name for cell in PLAN]
    assert list(cells) == [name for name in named if name in cells]


def test_the_record_has_every_two_values_blocks_and_the_preset() -> None:
    cells = RECORD["cells"]
    least = [*WHOLE[:LEAST], *(cell for cell in PLAN if cell.system == "tiny_decoder")]
    assert [cell.name for cell in least if cell.name not in cells] == []
    wide = [one for one in cells.values() if one["block"] > 1]
    assert {one["system"] for one in wide} == {*PRODUCTS, "small_fp32"}
    assert {one["cache"] for one in wide} == {*CACHES, 16}


def test_neither_memory_nor_block_nor_products_change_a_recorded_token() -> None:
    found: dict[tuple[Any, ...], set[tuple[int, ...]]] = {}
    for one in RECORD["cells"].values():
        numbers = one["system"] if one["system"] not in PRODUCTS else ""
        found.setdefault((numbers, one["cache"], one["prompt"]), set()).add(tuple(one["tokens"]))
    assert {key: len(texts) for key, texts in found.items()} == dict.fromkeys(found, 1)
    assert all(len(set(tokens)) > 5 for texts in found.values() for tokens in texts)


def test_memory_changes_the_cycles_of_a_recorded_text() -> None:
    found: dict[tuple[Any, ...], list[int]] = {}
    for one in RECORD["cells"].values():
        found.setdefault((one["system"], one["cache"], one["block"], one["prompt"]), []).append(one["cycles"])
    assert all(len(set(cycles)) == len(cycles) for cycles in found.values())


def test_the_page_shows_the_record() -> None:
    text = decoder_rtl.PAGE.read_text(encoding="utf-8")
    assert decoder_rtl.page(text, RECORD) == text
    assert f"{RECORD['count']} of {RECORD['of']} cells: 2 differ |" in decoder_rtl.page(
        text, {**RECORD, "differ": 2}
    )


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command without hardware: returns the cells that it runs; those of 64 tokens under `refresh` differ."""
    ran: list[str] = []

    def record(cell: Cell) -> dict[str, Any]:
        ran.append(cell.name)
        bad = cell.prompt == PROMPTS[-1] and cell.memory == "refresh"
        findings = ["load: must do 2 instructions, not 1"] * bad
        sums = {"passes": 10, "instructions": 10, "cycles": 1000}
        return {
            **cell._asdict(),
            **decoder_rtl.identity(cell),
            "tokens": [1] * TOKENS,
            **sums,
            "findings": findings,
        }

    monkeypatch.setattr(decoder_rtl, "record", record)
    monkeypatch.setattr(decoder_rtl, "identity", lambda cell: {"design_hash": "1", "image": "2"})
    return ran


def test_the_command_goes_on_where_it_ended(
    quick: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cells.yaml"
    lut = "small_lut, cache 4, block 1, prompt"
    assert decoder_rtl.main(["--only", f"{lut} 7, memory half", "--out", str(out)]) == 0
    assert decoder_rtl.main(["--only", f"{lut} *, memory [hr]*", "--out", str(out)]) == 1
    assert len(quick) == len(set(quick)) == 9
    written = yaml.safe_load(out.read_text(encoding="utf-8"))
    assert {name: written[name] for name in ("count", "of", "differ", "instructions", "cycles")} == {
        "count": 9, "of": len(PLAN), "differ": 1, "instructions": 90, "cycles": 9000,
    }  # fmt: skip
    told = capsys.readouterr().err
    assert f"{lut} 7, memory half: in {out}" in told
    assert f"{lut} 64, memory refresh: 1,000 cycles, load: must do 2 instructions, not 1; about " in told
    assert f"{lut} 64, memory half: 1,000 cycles, equal; about " in told


def test_a_record_of_another_image_is_run_again(quick: list[str], tmp_path: Path) -> None:
    out = tmp_path / "cells.yaml"
    asked = ["--only", PLAN[0].name, "--out", str(out)]
    decoder_rtl.main(asked)
    text = out.read_text(encoding="utf-8")
    out.write_text(text.replace("image: '2'", "image: '3'"), encoding="utf-8")
    decoder_rtl.main(asked)
    decoder_rtl.main(asked)
    decoder_rtl.main([*asked, "--again"])
    assert quick == [PLAN[0].name] * 3
    assert out.read_text(encoding="utf-8") == text


def test_time_that_is_left_is_that_of_passes_of_the_same_system() -> None:
    one, seven = (Cell("small_lut", 8, 1, prompt, "fixed") for prompt in (1, 7))
    wide = Cell("tiny_decoder", 8, 1, 64, "system")
    assert decoder_rtl._seconds([seven], {"small_lut": [1.0, 3.0]}) == 2 * 70
    assert decoder_rtl._seconds([one, wide], {"small_lut": [1.0], "tiny_decoder": [10.0]}) == 64 + 1270


# One text -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_short_text_is_that_of_golden_model_and_simulator() -> None:
    """A prompt of 64 in blocks and two tokens, on the files of `ternforge generate` in Verilator."""
    cell = Cell("small_array", 4, 8, 64, "refresh")
    proof = decoder_rtl.proved(cell, 2)
    assert proof.findings == [] and len(proof.tokens) == 2
    slower = dataclasses.replace(decoder_rtl.behavior(cell), latency=15)
    told = decoder_rtl.proved(cell, 2, slower).findings
    assert any("must take cycles" in finding for finding in told)


def test_a_pattern_that_fits_no_cell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert decoder_rtl.main(["--only", "nope"]) == 2
    assert capsys.readouterr().err == "--only must fit one of the 70 cells, not 'nope'\n"


def test_the_list_says_what_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = decoder_rtl.kept(decoder_rtl.RECORD)
    some = dict(itertools.islice(cells.items(), 3))
    decoder_rtl.write(tmp_path / "some.yaml", some)
    assert decoder_rtl.main(["--list", "--out", str(tmp_path / "some.yaml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.removesuffix(", recorded") for line in lines] == [cell.name for cell in decoder_rtl.plan()]
    assert [line for line in lines if line.endswith(", recorded")] == [f"{name}, recorded" for name in some]
