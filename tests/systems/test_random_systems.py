"""Random systems and models: how they are drawn, the command, and in `make test-all` some of them as RTL."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks import random_systems
from blueprint.systems.memory_port import BEHAVIORS
from blueprint.workloads.tasks import Gemm
from compiler import image
from compiler.prompts import BLOCK
from simulator.systems import decoding, proving
from tests.volume import ALL

#: Systems that are drawn, and in `make test-all` run, here: two of each family of products.
SHORT = 4
#: The one that runs in `make test` too.
SAMPLE = 14
_DRAWN = random_systems.drawn  # the fixture below puts `case` in its place


@functools.cache
def case(number: int) -> random_systems.Case:
    return _DRAWN(number)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("random")


@pytest.mark.slow
def test_a_random_system_is_its_simulator(folder: Path) -> None:
    """An array, a cache of 4 bits, an embedding of 8 and blocks of 2 behind a port of 64, under the memory drawn."""
    one = random_systems.in_blocks(case(SAMPLE), 2)
    assert random_systems.turn(SAMPLE) == ("systolic", 4, 8, 64)
    bench, picture, port = (
        random_systems.build(one.hardware, folder),
        image.of_compiled(one.found),
        one.ports["drawn"],
    )
    prompts = [one.prompt[:1], [*one.prompt, *one.prompt][:2], [*one.prompt, 1, 2, 3][:3]]
    for prompt in prompts:
        decoded = decoding.decode(one.hardware, picture, prompt, 1, port)
        proof = proving.prove(one.hardware, bench, picture, prompt, decoded, port)
        assert proof.findings == [] and len(proof.tokens) == 1
    assert BLOCK in decoded.passes
    slower = dataclasses.replace(port, latency=port.latency + 1)
    told = proving.prove(one.hardware, bench, picture, prompt, decoded, slower).findings
    assert any("must take cycles" in finding for finding in told)


if ALL:  # a system takes minutes

    @pytest.mark.slow
    @pytest.mark.parametrize("number", range(SHORT))
    def test_a_random_system_is_its_simulator_under_every_memory(number: int, folder: Path) -> None:
        bench = random_systems.build(case(number).hardware, folder)
        found = dict(random_systems.proofs(case(number), bench))
        assert {name: proof.findings for name, proof in found.items()} == {
            name: [] for name in (*BEHAVIORS, "drawn")
        }
        tokens = [proof.tokens for proof in found.values()]
        assert tokens == tokens[:1] * len(tokens), "memory must not change a token"
        assert len({proof.cycles for proof in found.values()}) > 1, "memory must change cycles"
        assert {len(each) for each in tokens} == {case(number).count}

    @pytest.mark.slow
    def test_what_is_not_so_is_found(folder: Path) -> None:
        """The same run beside a simulation of another memory, another token and another byte."""
        one = case(0)
        bench = random_systems.build(one.hardware, folder)
        picture, port = image.of_compiled(one.found), one.ports["fixed"]
        decoded = decoding.decode(one.hardware, picture, one.prompt, one.count, port)
        slower = dataclasses.replace(port, latency=port.latency + 1)
        told = proving.prove(one.hardware, bench, picture, one.prompt, decoded, slower).findings
        assert any("must take cycles" in finding for finding in told)
        assert f"tokens must be {decoded.tokens}" not in " ".join(told)
        other = dataclasses.replace(decoded, tokens=[token + 1 for token in decoded.tokens])
        told = proving.prove(one.hardware, bench, picture, one.prompt, other, port).findings
        assert told == [f"tokens must be {other.tokens}, not {decoded.tokens}"]
        memory = bytearray(decoded.memory)
        memory[picture.tokens] ^= 1
        hurt = dataclasses.replace(decoded, memory=bytes(memory))
        told = proving.prove(one.hardware, bench, picture, one.prompt, hurt, port).findings
        assert told == [
            f"1 bytes of memory differ, the first at {picture.tokens:#x}: {memory[picture.tokens]}, "
            f"not {decoded.memory[picture.tokens]}"
        ]


def test_a_number_is_always_the_same_system() -> None:
    again = random_systems.drawn(1)
    assert random_systems.described(again) == random_systems.described(case(1))
    assert np.array_equal(again.found.layout.image(), case(1).found.layout.image())


def test_systems_differ_and_families_take_turns() -> None:
    found = [random_systems.described(case(number)) for number in range(SHORT)]
    families = random_systems.families(Gemm)
    assert [one["units"]["matrix"]["family"] for one in found] == [
        families[n % len(families)] for n in range(SHORT)
    ]
    assert len({one["design_hash"] for one in found}) == SHORT
    assert len({str(one["model"]) for one in found}) == SHORT


def test_a_whole_run_has_every_turn() -> None:
    turns = [random_systems.turn(number) for number in range(random_systems.SYSTEMS)]
    assert len(set(turns)) == random_systems.SYSTEMS
    assert [len(set(values)) for values in zip(*turns, strict=True)] == [2, 2, 2, 3]
    for number in range(SHORT):
        hardware = case(number).hardware
        attention = hardware.units["attention"].parameters
        found = (attention["kv_width"], hardware.embedding, hardware.width)
        assert found == turns[number][1:]


# The record -----------------------------------------------------------------------------------------------------------

RECORD = yaml.safe_load(random_systems.RECORD.read_text(encoding="utf-8"))


def test_every_recorded_system_is_its_simulator() -> None:
    systems, runs = RECORD["systems"], [*BEHAVIORS, "drawn"]
    assert len(systems) == RECORD["count"] >= random_systems.SYSTEMS
    assert RECORD["differ"] == 0
    for one in systems.values():
        assert list(one["runs"]) == runs
        assert not any(run["findings"] for run in one["runs"].values())
        tokens = [run["tokens"] for run in one["runs"].values()]
        assert tokens == tokens[:1] * len(runs)
    assert len({one["design_hash"] for one in systems.values()}) == len(systems)


@pytest.mark.parametrize("what", random_systems.VARIED)
def test_recorded_systems_differ(what: str) -> None:
    found = {str(random_systems.at(one, random_systems.VARIED[what])) for one in RECORD["systems"].values()}
    assert len(found) > 1
    if what == "matrix unit":
        assert found == set(random_systems.families(Gemm))


def test_the_page_shows_the_record() -> None:
    text = random_systems.PAGE.read_text(encoding="utf-8")
    assert random_systems.page(text, RECORD) == text
    changed = {**RECORD, "differ": 2}
    assert "cycles: 2 differ |" in random_systems.page(text, changed)


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The command without hardware: returns the numbers of the systems that it runs; number 1 differs."""
    ran: list[int] = []

    def record(one: random_systems.Case, bench: Path) -> dict[str, Any]:
        ran.append(one.number)
        findings = ["load: must do 2 instructions, not 1"] * (one.number == 1)
        run = {"tokens": [1], "cycles": 1000, "instructions": 10, "findings": findings}
        return {**random_systems.described(one), "ok": not findings, "runs": {"fixed": run}}

    monkeypatch.setattr(random_systems, "drawn", case)
    monkeypatch.setattr(random_systems, "build", lambda hardware, folder, engine: folder)
    monkeypatch.setattr(random_systems, "record", record)
    return ran


def test_the_command_goes_on_where_it_ended(
    quick: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "systems.yaml"
    assert random_systems.main(["--systems", "1", "--out", str(out)]) == 0
    assert random_systems.main(["--systems", "3", "--out", str(out)]) == 1
    assert quick == [0, 1, 2]
    written = yaml.safe_load(out.read_text())
    assert {name: written[name] for name in ("count", "differ", "runs", "instructions", "cycles")} == {
        "count": 3, "differ": 1, "runs": 3, "instructions": 30, "cycles": 3000,
    }  # fmt: skip
    told = capsys.readouterr().err
    assert f"0: in {out}" in told
    assert "1: 1,000 cycles, load: must do 2 instructions, not 1;" in told
    assert "2: 1,000 cycles, equal;" in told


def test_a_record_of_another_design_is_run_again(quick: list[int], tmp_path: Path) -> None:
    out = tmp_path / "systems.yaml"
    random_systems.main(["--systems", "1", "--out", str(out)])
    text = out.read_text()
    out.write_text(text.replace(case(0).hardware.design_hash, "0" * 16))
    random_systems.main(["--systems", "1", "--out", str(out)])
    random_systems.main(["--systems", "1", "--out", str(out), "--again"])
    assert quick == [0, 0, 0]
    assert out.read_text() == text
