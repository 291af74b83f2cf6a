"""Blocks of pruned decode: codes, surrogate scores, buckets, and the keys that are selected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from blueprint.arithmetic.pruning import Pruning, encode, surrogate
from generator.arithmetic.softmax.pruning import Bucket, LeadingOneCode, LeadingOneScore, TopK
from generator.emission import emit
from tests.generator.vectors import drive
from toolchain import yosys

Integers = npt.NDArray[np.int64]
COUNT = 100_000


def masked(words: Any, width: int) -> Integers:
    return np.asarray(words, np.int64) & ((1 << width) - 1)


def test_codes_of_all_numbers() -> None:
    values = np.arange(-128, 128)
    assert np.array_equal(drive(LeadingOneCode(), {"value": values})["code"], encode(values))


@pytest.mark.parametrize("dim", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 8))])
def test_surrogate_scores(dim: int) -> None:
    random = np.random.default_rng(dim)
    p = Pruning(dim=dim, keys_max=4).check()
    q, k = (encode(random.integers(-128, 128, (COUNT, dim))) for _ in "qk")
    q[:16], k[:16] = 8, np.arange(16)[:, None]
    lanes = np.arange(dim) * 4
    given = {"q": (q << lanes).sum(axis=1), "k": (k << lanes).sum(axis=1)}
    wanted = np.concatenate([surrogate(q[row : row + 1], k[row : row + 1])[0] for row in range(2000)])
    found = drive(LeadingOneScore(p), given)["result"]
    assert np.array_equal(found[:2000], masked(wanted, p.score_width))
    from blueprint.arithmetic.pruning import decode

    assert np.array_equal(found, masked((decode(q) * decode(k)).sum(axis=1), p.score_width))


@pytest.mark.slow
@pytest.mark.parametrize(("dim", "bits"), [(1, 0), (8, 1), (64, 2), (3, 4)])
def test_buckets(dim: int, bits: int) -> None:
    p = Pruning(dim=dim, keys_max=4, bucket_bits=bits).check()
    limit = dim << 14
    scores = np.unique(np.clip(np.arange(-COUNT // 2, COUNT // 2), -limit, limit))
    scores = np.concatenate(
        [scores, np.random.default_rng(bits).integers(-limit, limit + 1, COUNT), [limit, -limit]]
    )
    assert np.array_equal(drive(Bucket(p), {"score": scores})["bucket"], p.bucket(scores))


def selection(p: Pruning, rows: int, seed: int) -> None:
    """Rows of scores one after the other, each counted, scanned and picked."""
    random = np.random.default_rng(seed)
    keys, scan = p.keys_max, 2 * p.magnitude_buckets + 2
    limit = p.dim << 14
    scores = random.integers(-limit, limit + 1, (rows, keys)) >> random.integers(0, 20, (rows, 1))
    scores[0] = 0
    seen = random.random((rows, keys)) < 0.9
    wanted_count = random.integers(1, keys + 1, rows)
    columns: dict[str, list[Integers]] = {
        name: [] for name in ("rst", "clear", "count", "scan", "pick", "bucket")
    }
    columns["candidates"] = []
    length = 1 + keys + scan + keys
    at = np.arange(length)
    for row in range(rows):
        buckets = p.bucket(scores[row])
        phases = {
            "rst": at < 0,
            "clear": at == 0,
            "count": np.concatenate([[False], seen[row], np.zeros(scan + keys, bool)]),
            "scan": at == 1 + keys,
            "pick": np.concatenate([np.zeros(1 + keys + scan, bool), seen[row]]),
            "bucket": np.concatenate([[0], buckets, np.zeros(scan, np.int64), buckets]),
            "candidates": np.full(length, wanted_count[row]),
        }
        for name, column in phases.items():
            columns[name].append(np.asarray(column, np.int64))
    found = drive(TopK(p), {name: np.concatenate(column) for name, column in columns.items()})
    taken = found["taken"].reshape(rows, length)[:, 1 + keys + scan :].astype(bool) & seen
    ready = found["ready"].reshape(rows, length)
    assert ready[:, 1 + keys + scan :].all() and not ready[:, 2 + keys].any()
    wanted = [
        p.select(scores[row : row + 1], int(wanted_count[row]), seen[row : row + 1])[0] for row in range(rows)
    ]
    assert np.array_equal(taken, np.array(wanted))


def test_the_best_keys_are_selected() -> None:
    selection(Pruning(dim=4, keys_max=40, bucket_bits=1), 150, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("dim", "keys", "bits"), [(64, 300, 2), (1, 1, 0), (2, 7, 3), (128, 64, 0)])
def test_the_best_keys_are_selected_in_every_size(dim: int, keys: int, bits: int) -> None:
    selection(Pruning(dim=dim, keys_max=keys, bucket_bits=bits), 400, dim)


def test_flip_flops(tmp_path: Path) -> None:
    p = Pruning(dim=4, keys_max=9, bucket_bits=1)
    wanted = {}
    for block in (LeadingOneScore(p, 1), LeadingOneScore(p, 2), TopK(p)):
        for name, text in emit(block).modules.items():
            (tmp_path / f"{name}.v").write_text(text)
        stages = getattr(block, "stages", 0)
        wanted[block.module_name] = p.surrogate_bits(stages) if stages else p.selector_bits
    lines = [f"read_verilog -sv {name}.v" for name in wanted]
    lines += [
        "proc",
        "opt -fast",
        "simplemap t:*dff*",
        "opt -fast",
        "opt_clean",
        "tee -o stat.json stat -json",
    ]
    yosys.run("\n".join(lines), cwd=tmp_path, timeout_s=300)
    modules = json.loads((tmp_path / "stat.json").read_text())["modules"]
    found = {
        name.lstrip("\\"): sum(n for kind, n in cells["num_cells_by_type"].items() if "DFF" in kind)
        for name, cells in modules.items()
    }
    assert found == wanted
