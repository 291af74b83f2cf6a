"""The page of attention says enough: a golden model and a bench written from it alone agree with ours."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from blueprint.arithmetic import floating
from blueprint.arithmetic.pruning import Pruning, encode, surrogate
from blueprint.arithmetic.softmax.arithmetic import GRAPHS, Arithmetic, Scales
from blueprint.arithmetic.softmax.attention import trace
from blueprint.families.streaming_attention import StreamingAttentionSpec
from blueprint.workloads.tasks import Attention
from tests.attention_by_the_page import Row

Integers = npt.NDArray[np.int64]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "families" / "streaming_attention.md"

FORMATS = {
    "int8": ("int8", "integer", 8),
    "int4": ("int8", "integer", 4),
    **{f"{i}_{s}": (i, s, 8) for i in ("fp16", "bf16") for s in ("fixed", "fp32", "same")},
}


# Values ---------------------------------------------------------------------------------------------------------------


def drawn(a: Arithmetic, random: np.random.Generator, keys: int, wild: float) -> tuple[Any, ...]:
    """A query, keys and values, numbers of like size and patterns of any kind, and the smallest exponent above all."""
    shapes = ((1, a.dim), (keys, a.dim), (keys, a.dim))
    if not a.is_float:
        tops = (128, 1 << (a.kv_width - 1), 1 << (a.kv_width - 1))
        return tuple(random.integers(-top, top, shape) for top, shape in zip(tops, shapes, strict=True))
    found = []
    for shape in shapes:
        near = floating.from_float64(
            a.input_format, random.normal(size=shape) * 2.0 ** random.integers(-3, 8)
        )
        found.append(np.where(random.random(shape) < wild, random.integers(0, 1 << 16, shape), near))
    return tuple(found)


def fitting(a: Arithmetic, scales: Scales, q: Integers, k: Integers) -> int:
    """The offset that a row of ``naive`` needs."""
    other = dataclasses.replace(a, graph="scaled")
    order = np.arange(len(k))[None]
    return int(trace(other, scales, q, k, k, order)["reference"].max())


def differences(name: str, graph: str, seeds: range) -> tuple[list[Any], set[bool]]:
    """Cases in which the page and the reference differ, and which flags there were."""
    inputs, sums, kv_width = FORMATS[name]
    wrong, flags = [], set()
    for seed in seeds:
        random = np.random.default_rng([seed, *name.encode()])
        dim, keys = int(random.integers(2, 6)), int(random.integers(1, 8))
        size = {"dim": dim, "keys_max": int(random.choice([8, 40, 3000])), "kv_width": kv_width}
        stages = seed % 4 if sums in ("fp32", "same") else 0
        a = Arithmetic(inputs=inputs, acc_format=sums, graph=graph, sum_stages=stages, **size).check()
        q, k, v = drawn(a, random, keys, (0, 0.2, 0.02)[seed % 3])
        unit = dim**0.5 * (1 if a.is_float else 128 << (kv_width - 1))
        scale = 4.0 ** random.uniform(-1, (3, 9)[seed % 2]) / unit
        gain = (0.4, 300.0, 3.0, 30.0)[seed // 3 % 4]
        scales = Scales.of(a, min(scale, 250.0 if a.is_float else 15.0), 1.0 if seed % 3 else gain)
        if graph == "naive":
            far = int(random.choice([0, 0, 0, -1, 1, 8]))
            offset = fitting(a, scales, q, k) + far if seed % 7 else -32700
            scales = Scales(**(vars(scales) | {"offset": offset}))
        found = trace(a, scales, q, k, v, np.arange(keys)[None])
        row = Row(a.constants(), graph, inputs, sums, vars(scales), stages)
        out = row.attend(q[0].tolist(), k.tolist(), v.tolist())
        flags.add(bool(found["saturated"][0]))
        if out != found["out"][0].tolist() or row.saturated != bool(found["saturated"][0]):
            wrong.append((seed, out, found["out"][0].tolist(), row.saturated))
    return wrong, flags


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", FORMATS)
def test_the_steps_of_the_page_give_what_the_reference_gives(name: str, graph: str) -> None:
    wrong, flags = differences(name, graph, range(14))
    assert wrong == [] and flags == {False, True}


@pytest.mark.parametrize("name", ["int8", "fp16_fixed", "bf16_same"])
def test_a_step_written_differently_shows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    power = Row.power

    def other(row: Row, f: int) -> int:
        return power(row, f ^ (1 << (row.c["exponent_fraction"] - 3)))

    monkeypatch.setattr(Row, "power", other)
    assert differences(name, "scaled", range(12))[0] != []


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("keys_max", [2, 100, 128, 129, 16384])
def test_the_constants_are_those_of_the_table(keys_max: int, name: str, graph: str) -> None:
    inputs, sums, kv_width = FORMATS[name]
    given = {"format": inputs, "acc_format": sums, "kv_width": kv_width, "keys_max": keys_max}
    found = StreamingAttentionSpec(graph=graph, dim=4, **given).constants()
    fraction = 10 if inputs == "fp16" else 7
    first, n, bits = graph in ("naive", "scaled"), (keys_max - 1).bit_length(), keys_max.bit_length()
    wanted: dict[str, int] = {
        "integer": {"exponent_fraction": 12, "mantissa_bits": 15, "divisor_fraction": 16},
        "fixed": {"exponent_fraction": 20, "mantissa_bits": 20, "divisor_fraction": 16},
        "fp32": {"exponent_fraction": 20, "mantissa_bits": 23, "divisor_fraction": 16},
        "same": {"exponent_fraction": 8, "mantissa_bits": fraction, "divisor_fraction": fraction},
    }[sums]
    if sums in ("integer", "fixed"):
        weight = n + 8 if sums == "integer" else min(n + (20 if first else 16), 32)
        wanted |= {"weight_fraction": weight, "sum_width": weight + bits}
    if sums == "fixed":
        wanted |= {"score_fraction": 22, "value_fraction": 29 + bits if first else 30}
    coefficients = found.pop("coefficients")
    assert found == wanted
    segments = {len(column) for column in coefficients}
    assert len(segments) == 1 and segments.pop().bit_count() == 1
    assert len(coefficients) == (2 if wanted["mantissa_bits"] <= 10 else 3)


def test_codes_and_buckets_are_those_of_the_page() -> None:
    def code(x: int) -> int:
        return 8 if x == -128 else abs(x).bit_length() + (8 if x < 0 else 0)

    def number(c: int) -> int:
        return -128 if c == 8 else 0 if c == 0 else (1 << ((c & 7) - 1)) * (-1 if c & 8 else 1)

    def bucket(score: int) -> int:
        a = -score - 1 if score < 0 else score
        e = a.bit_length() - 2
        b = a if a < 4 else 4 * e + ((a >> (e - 1)) % 4)
        return -1 - b if score < 0 else b

    every = np.arange(-128, 128)
    assert encode(every).tolist() == [code(int(x)) for x in every]
    random = np.random.default_rng(3)
    for count in (2, 3, 9):
        q, k = random.integers(-128, 128, 4).tolist(), random.integers(-128, 128, (20, 4)).tolist()
        scores = [sum(number(code(x)) * number(code(y)) for x, y in zip(q, key, strict=True)) for key in k]
        ranked = sorted(range(20), key=lambda n: (-bucket(scores[n]), n))[:count]
        found = surrogate(encode(np.array([q])), encode(np.array(k)))
        assert found[0].tolist() == scores
        taken = Pruning(dim=4, keys_max=20).select(found, count)[0]
        assert np.flatnonzero(taken).tolist() == sorted(ranked)


# Beats ----------------------------------------------------------------------------------------------------------------


def places(text: str) -> dict[str, tuple[int, int]]:
    """(word, lowest bit) of the fields of a scale beat, out of the page's table."""
    rows = re.findall(r"^\| (\d) \| (?:(\d+)\.\.(\d+)|all that it has) \| `(\w+)`", text, re.MULTILINE)
    return {name: (int(word), int(low or 0)) for word, _, low, name in rows}


def row_keys(mask: str, high: int, parallel: int, window: int, sinks: int, count: int) -> list[int]:
    if mask == "none":
        return list(range(count))
    if mask == "causal":
        return list(range(high + 1))
    low = max(high - (parallel + window - 2), 0)
    first = list(range(min(sinks, low))) if mask == "lambda" else []
    return [*first, *range(low, high + 1)]


def row_queries(masked: bool, row: int, parallel: int, count: int) -> list[int]:
    first = count - parallel * (row + 1) if masked else parallel * row
    return [first + x for x in range(parallel)]


RUNS = [
    ({"mask": "none", "parallel": 3, "head_group": 2}, Attention(5, 4, 6, 2, 3, "none")),
    ({"mask": "causal", "parallel": 2, "head_group": 2}, Attention(5, 7, 2, 1, 3, "causal")),
    ({"mask": "window", "parallel": 2, "head_group": 1}, Attention(6, 8, 2, 2, 3, "window", 2)),
    ({"mask": "lambda", "parallel": 3, "head_group": 1}, Attention(7, 9, 1, 1, 3, "lambda", 2, 3)),
    ({"mask": "lambda", "parallel": 1, "head_group": 2}, Attention(1, 6, 3, 1, 3, "none")),
    ({"mask": "none", "candidates": 3, "queries_max": 1}, Attention(1, 8, 2, 1, 3, "none")),
]


@pytest.mark.parametrize(("given", "task"), RUNS, ids=lambda x: x["mask"] if isinstance(x, dict) else "")
def test_beats_come_in_the_order_of_the_page(given: dict[str, Any], task: Attention) -> None:
    spec = StreamingAttentionSpec(**({"dim": 3, "keys_max": 9, "queries_max": 9, "heads_max": 6} | given))
    operands = spec.operands(task, 1)
    streams = {stream.name: stream for stream in spec.streams()}
    raw = spec.stimulus(operands)
    beats = {name: streams[name].unpack(words) for name, words in raw.items() if name != "scale"}
    beats["scale"] = np.ascontiguousarray(raw["scale"]).view("<u4").astype(np.int64)
    share, masked, parallel = task.heads // task.kv_heads, spec.mask != "none", spec.parallel
    turns, rows = -(-share // spec.head_group), -(-task.queries // parallel)
    assert spec.register_values(task)["passes"] == task.kv_heads * turns
    wanted: dict[str, list[Any]] = {"scale": [], "key": [], "value": [], "code": [], "pick": []}
    at, fields = 0, places(PAGE.read_text())
    results = np.zeros((task.kv_heads * turns * rows, parallel, spec.head_group, 3), dtype=np.int64)
    answer = np.arange(task.heads * task.queries * 3).reshape(task.heads, task.queries, 3) % 100
    for head in range(task.kv_heads):
        for turn in range(turns):
            words = [0, 0, 0]
            for name, value in zip(
                ("multiplier", "shift", "offset", "output_multiplier", "output_shift"),
                operands["scale"][head].tolist(),
                strict=True,
            ):
                words[fields[name][0]] |= (value & 0xFFFF) << fields[name][1]
            wanted["scale"].append(words)
            wanted["code"] += encode(operands["key"][head]).tolist() if spec.prunes else []
            for row in range(rows):
                high = task.keys - 1 - parallel * row
                keys = row_keys(task.mask, high, parallel, task.window, task.sinks, task.keys)
                if spec.prunes:
                    keys = spec.reference(operands)["pick"][head * share + turn].tolist()
                for name in ("key", "value"):
                    wanted[name] += operands[name][head][keys].tolist()
                for x, query in enumerate(row_queries(masked, row, parallel, task.queries)):
                    for member in range(spec.head_group):
                        mine = turn * spec.head_group + member
                        if 0 <= query < task.queries and mine < share:
                            taken = operands["query"][head * share + mine, query]
                            assert beats["query"][at, x, member].tolist() == taken.tolist()
                            results[at, x, member] = answer[head * share + mine, query]
                at += 1
    assert len(beats["query"]) == at
    for name in ("scale", "key", "value", *(("code",) if spec.prunes else ())):
        assert beats[name].reshape(len(wanted[name]), -1).tolist() == wanted[name]
    given_back = {"out": streams["out"].pack(results)}
    if spec.prunes:
        given_back["pick"] = streams["pick"].pack(spec.reference(operands)["pick"].reshape(-1, 1))
    assert np.array_equal(spec.collect(given_back, task)["out"], answer)


def test_the_status_bits_are_those_of_the_page() -> None:
    spec = StreamingAttentionSpec(dim=4, keys_max=8)
    fields = next(register.fields for register in spec.registers() if register.name == "status")
    text = (PAGE.parent.parent / "registers.md").read_text()
    text += PAGE.read_text()[PAGE.read_text().index("| bit | `status` |") :]
    table = re.findall(r"^\| (\d) \| `(\w+)` \| (?:by|with|when)", text, re.MULTILINE)
    assert {name: (int(bit), 1) for bit, name in table} == fields
    assert "sets `saturated` in hardware and in the reference" in PAGE.read_text()
