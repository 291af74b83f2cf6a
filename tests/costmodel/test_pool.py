"""Designs measured at once: order, estimate, faults, and what an interruption leaves."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint import registry
from blueprint.errors import ParamError
from blueprint.spec import Spec
from costmodel.calibration import measuring, pool
from costmodel.groundtruth.recipe import RECIPES
from costmodel.technology import technology
from toolchain import cache
from toolchain.process import ToolError

ASAP7 = technology.load("asap7")
SPECS = [registry.families()["systolic"].sample(np.random.default_rng(seed)) for seed in range(6)]


def _generate(spec: Spec, folder: Path) -> dict[str, Any]:
    raise AssertionError("nothing is generated here")


def _measured(monkeypatch: pytest.MonkeyPatch, measure: Callable[[Spec], Any], **named: Any) -> list[Any]:
    monkeypatch.setattr(pool, "measure", lambda spec, *_: measure(spec))
    return pool.measure_all(SPECS, ASAP7, _generate, **named)


def _none_is_left() -> bool:
    """Whether all processes end within a second: the pool's own thread may be about to take note of one that did."""
    end = time.monotonic() + 1
    while multiprocessing.active_children() and time.monotonic() < end:
        time.sleep(0.01)
    return not multiprocessing.active_children()


def test_samples_are_in_the_order_of_the_designs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _measured(monkeypatch, lambda spec: (spec.design_hash, os.getpid()), processes=2)
    assert [name for name, _ in found] == [spec.design_hash for spec in SPECS]
    assert os.getpid() not in {process for _, process in found}


def test_one_process_measures_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _measured(monkeypatch, lambda _: os.getpid(), processes=1) == [os.getpid()] * len(SPECS)


def test_one_estimate_covers_all_designs(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    monkeypatch.setattr(pool, "_CACHED_S", -1.0)
    _measured(monkeypatch, lambda _: 0, processes=2, note=notes.append)
    assert len(notes) == len(SPECS)
    assert notes[0].startswith("measured 1 of 6 designs in asap7, about ")
    assert notes[-1] == "measured 6 of 6 designs in asap7, about 0 s to go"


def test_time_that_is_left_follows_the_sizes_of_the_designs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 100.0, 200.0])
    notes: list[str] = []
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    monkeypatch.setattr(pool, "gates", lambda spec: 0 if spec is SPECS[0] else 5 * pool._OVERHEAD_GATES)
    left = pool._Left(SPECS[:2], "mine", notes.append)
    left.told(SPECS[0], None, 100.0)  # type: ignore[arg-type]  # one part of seven took 100 s
    left.told(SPECS[1], None, 100.0)  # type: ignore[arg-type]
    assert notes == [
        "measured 1 of 2 designs in mine, about 10 min to go",
        "measured 2 of 2 designs in mine, about 0 s to go",
    ]


def test_no_time_below_zero_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that are added in another order, that of completion, have another sum."""
    weights = iter([0.3, 0.2, 0.1, 0.1, 0.2, 0.3])
    now = iter([0.0, 1e16, 2e16, 3e16])
    notes: list[str] = []
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    monkeypatch.setattr(pool, "_weight", lambda spec: next(weights))
    left = pool._Left(SPECS[:3], "mine", notes.append)
    for spec in SPECS[:3]:
        left.told(spec, None, 1e16)  # type: ignore[arg-type]
    assert notes[-1] == "measured 3 of 3 designs in mine, about 0 s to go"


def test_what_the_cache_held_says_nothing_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run goes on after an interruption: two of three designs take no time, the third takes 100 s of two parts."""
    now = iter([0.0, 0.1, 0.2, 100.0])
    notes: list[str] = []
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    monkeypatch.setattr(pool, "gates", lambda _: 0)
    left = pool._Left(SPECS[:4], "mine", notes.append)
    for spec, seconds in zip(SPECS, (0.1, 0.1, 99.8), strict=False):
        left.told(spec, None, seconds)  # type: ignore[arg-type]
    assert notes == [
        "measured 1 of 4 designs in mine",
        "measured 2 of 4 designs in mine",
        "measured 3 of 4 designs in mine, about 2 min to go",
    ]


def test_a_killed_process_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(spec: Spec) -> None:
        if spec == SPECS[2]:
            os.kill(os.getpid(), signal.SIGKILL)

    message = (
        "^A process that measures designs was killed, as happens where memory runs out; what was measured is "
    )
    with pytest.raises(ToolError, match=message + "kept, and the same command goes on$"):
        _measured(monkeypatch, measure, processes=2)


def test_a_fault_of_one_design_ends_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(spec: Spec) -> None:
        if spec == SPECS[0]:
            raise ParamError("Design must fit, and it does not")
        time.sleep(60)

    begin = time.monotonic()
    with pytest.raises(ParamError, match="^Design must fit, and it does not$"):
        _measured(monkeypatch, measure, processes=len(SPECS))
    assert time.monotonic() - begin < 30
    assert _none_is_left()


def test_an_interruption_ends_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def note(_: str) -> None:
        raise KeyboardInterrupt

    slow = {spec.design_hash for spec in SPECS[1:]}
    with pytest.raises(KeyboardInterrupt):
        _measured(
            monkeypatch,
            lambda spec: time.sleep(60 if spec.design_hash in slow else 0),
            processes=len(SPECS),
            note=note,
        )
    assert _none_is_left()


def test_a_design_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERNFORGE_CACHE", str(tmp_path / "cache"))
    calls: list[Spec] = []

    def generate(spec: Spec, folder: Path) -> dict[str, Any]:
        (folder / "top.v").write_text("module top; endmodule")
        return {"files": ["top.v"]}

    def measured(spec: Spec, *_: Any) -> measuring.Sample:
        calls.append(spec)
        return measuring.Sample(spec, {}, 0.0, {}, float(len(calls)), (), {}, 0.0, None)  # type: ignore[arg-type]

    monkeypatch.setattr(measuring, "_measured", measured)
    found = [measuring.measure(spec, ASAP7, generate) for spec in (SPECS[0], SPECS[0], SPECS[1])]
    assert [sample.critical_path_ps for sample in found] == [1, 1, 2]
    model = {**ASAP7.model, "leakage": {}}
    other = ASAP7.with_model(model)
    assert (
        measuring.measure(SPECS[0], other, generate).critical_path_ps == 1
    )  # a model is no part of a netlist
    recipe = next(name for name in RECIPES if name != ASAP7.recipe)
    other = ASAP7.with_model({**model, "area": {"source": f"recipe {recipe}"}})
    assert measuring.measure(SPECS[0], other, generate).critical_path_ps == 3
    assert measuring.measure(SPECS[0], ASAP7, generate, recipe).critical_path_ps == 3
    assert len(list((tmp_path / "cache" / "samples").glob("*/.seal.json"))) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"files": ["top.v", "more.v"]},
        {"registers": {"k": {"address": 8}}},
        {"streams": {"act": {"width": 8}}},
        {"modules": {"top": {"place": "pe"}}},
        {"reset": "rst"},
    ],
)
def test_what_is_measured_of_a_manifest_tells_measurements_apart(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TERNFORGE_CACHE", str(tmp_path / "cache"))
    plain = {
        "files": ["top.v"],
        "registers": {},
        "streams": {},
        "modules": {},
        "reset": "aresetn",
        "hash": "a",
    }
    times = iter(range(1, 9))

    def measured(manifest: dict[str, Any]) -> float:
        def generate(spec: Spec, folder: Path) -> dict[str, Any]:
            for name in manifest["files"]:
                (folder / name).write_text("module top; endmodule")
            return manifest

        return measuring.measure(SPECS[0], ASAP7, generate).critical_path_ps

    monkeypatch.setattr(
        measuring,
        "_measured",
        lambda spec, *_: measuring.Sample(spec, {}, 0.0, {}, float(next(times)), (), {}, 0.0, None),  # type: ignore[arg-type]
    )
    assert [measured(plain), measured({**plain, "hash": "b"}), measured({**plain, **change})] == [1, 1, 2]


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TERNFORGE_CACHE", str(tmp_path / "cache"))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    def generate(spec: Spec, folder: Path) -> dict[str, Any]:
        return {"files": []}

    monkeypatch.setattr(measuring, "_measured", full)
    with pytest.raises(cache.CacheError, match="with room that can be written, and it is not: No space"):
        measuring.measure(SPECS[0], ASAP7, generate)
