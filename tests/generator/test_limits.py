"""Designs at their limits: whatever a spec takes is written, and text does not grow with the array."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from blueprint.errors import ParamError
from blueprint.families.streaming_attention.inventory import fifo
from blueprint.numbers import VECTOR_BITS
from blueprint.parameters import Parameter
from blueprint.registry import families
from blueprint.spec import Spec
from costmodel.calibration import sampling
from generator.block import Block, sliced, widths_of, word
from generator.cells.fifo import Fifo
from generator.cells.skew import Skew
from generator.emission import Emitted, emit
from generator.export import hardware
from tests.conformance.test_contract import FAMILIES
from tests.volume import some

SMALL: dict[str, dict[str, Any]] = {
    "ternary_lut": {"mu": 2, "lut_count": 2, "fetch_count": 2, "act_width": 4, "k_max": 64, "n_max": 64},
    "systolic": {
        "organization": "output_stationary", "pe": "ternary", "rows": 2, "cols": 2, "act_width": 4,
        "weight_width": 2, "k_max": 64, "n_max": 64,
    },
    "streaming_attention": {"dim": 4, "keys_max": 16},
    "vector": {"lanes": 2, "length_max": 70, "rows_max": 8},
}  # fmt: skip


def written(spec: Spec) -> Emitted:
    return emit(hardware(spec))


def extremes(limit: Parameter) -> list[Any]:
    if limit.choices:
        return list(limit.choices)
    return [False, True] if limit.kind is bool else [limit.minimum, limit.maximum]


def corners(family: str) -> list[Spec]:
    """Small designs with one parameter at a time at each of its extremes, of those that can be built, each once."""
    spec = families()[family]
    found: dict[str, Spec] = {}
    for name, limit in spec.limits().items():
        for value in extremes(limit):
            try:
                corner = spec.from_mapping(SMALL[family] | {name: value})
            except ParamError:
                continue
            found.setdefault(corner.name, corner)
    return list(found.values())


def combined(family: str, count: int) -> list[Spec]:
    """Small designs with three parameters at extremes, of at most half a million gates: larger ones take minutes."""
    random, spec, found = np.random.default_rng(7), families()[family], []
    limits = spec.limits()
    while len(found) < count:
        names = random.choice(list(limits), 3, replace=False)
        chosen = {name: extremes(limits[name]) for name in names}
        values = {name: some[int(random.integers(len(some)))] for name, some in chosen.items()}
        with suppress(ParamError):
            drawn = spec.from_mapping(SMALL[family] | values)
            if sampling.gates(drawn) <= 500_000:
                found.append(drawn)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_spec_takes_is_written(family: str) -> None:
    for spec in (*corners(family)[:: some(5, of=1)], *combined(family, some(1, of=12))):
        assert spec.name in written(spec).modules, spec.parameters


@pytest.mark.parametrize("family", FAMILIES)
def test_a_design_at_its_largest_sizes_is_written(family: str) -> None:
    limits = families()[family].limits()
    sizes = {name: limit.maximum for name, limit in limits.items() if name.endswith("_max")}
    spec = families()[family].from_mapping(SMALL[family] | sizes)
    assert spec.name in written(spec).modules


class Wide(Block):
    """Passes two words that only together have more bits than Amaranth counts in a module."""

    place = "wide"

    def __init__(self) -> None:
        ports = {f"{way}{n}": kind(40_000) for way, kind in (("in", In), ("out", Out)) for n in range(2)}
        super().__init__(
            "wide", ports | {"more": In(VECTOR_BITS + 1), "all": Out(VECTOR_BITS + 1)}, clocked=False
        )

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        m.d.comb += [self.out0.eq(self.in1), self.out1.eq(self.in0), self.all.eq(self.more)]
        return m


def test_a_module_has_more_bits_than_a_vector_and_no_vector_has() -> None:
    text = emit(Wide()).modules["wide"]
    widths = [int(high) + 1 for high in re.findall(r"^  input \[(\d+):0\]", text, re.M)]
    assert widths == [40_000, 32_769, 32_768, 40_000]
    assert re.search(r"assign out0 = in1;\n", text)
    assert re.search(r"assign all_1 = more_1;\n", text)


def test_a_wide_fifo_has_its_memory_in_banks_in_every_view() -> None:
    width = VECTOR_BITS + 1001
    modules = emit(Fifo("core", width, 20, ahead=False, refills=False, in_memory=True))
    built = Counter(
        {
            tuple(map(int, name.rsplit("_", 1)[1].split("x"))): modules.instances[name]
            for name in modules.blackboxes
        }
    )
    lines = [unit for unit in fifo(1, 20, width, 0) if unit.kind == "sram" and unit.count]
    assert built == Counter({(unit.dims["words"], unit.dims["width"]): unit.count for unit in lines})
    assert sum(unit.count * unit.dims["width"] for unit in lines) == width
    assert len(lines) == 2


def test_a_memory_that_fits_a_vector_is_one() -> None:
    lines = [unit for unit in fifo(1, 20, VECTOR_BITS, 0) if unit.kind == "sram" and unit.count]
    assert [(unit.count, dict(unit.dims)) for unit in lines] == [(1, {"words": 20, "width": VECTOR_BITS})]


@pytest.mark.parametrize(
    ("family", "changes", "parameter", "message"),
    [
        ("streaming_attention", {"dim": 256, "parallel": 32, "format": "fp16", "acc_format": "fp32"}, "parallel",
         "A beat of queries must be at most 65536 bits, the widest port of Verilog, not 131072"),
        ("ternary_lut", {"lut_count": 256, "mu": 6, "token_lanes": 64}, "lut_count",
         "A beat of activations must be at most 65536 bits, the widest port of Verilog, not 393216"),
        ("ternary_lut", {"lut_count": 256, "mu": 6, "fetch_count": 256}, "fetch_count",
         "A beat of weights must be at most 65536 bits, the widest port of Verilog, not 655360"),
        ("ternary_lut", {"fetch_count": 512, "token_lanes": 64}, "fetch_count",
         "A beat of results must be at most 65536 bits, the widest port of Verilog, not 524288"),
        ("systolic", {"organization": "cube", "rows": 256, "act_width": 16, "dot_length": 64}, "rows",
         "A beat of activations must be at most 65536 bits, the widest port of Verilog, not 262144"),
    ],
)  # fmt: skip
def test_a_beat_wider_than_a_port_is_refused(
    family: str, changes: dict[str, Any], parameter: str, message: str
) -> None:
    spec = families()[family]
    values = SMALL[family] | changes
    with pytest.raises(ParamError, match=f"^{re.escape(message)}$") as caught:
        spec.from_mapping(values)
    assert caught.value.parameter == parameter  # type: ignore[attr-defined]
    mask, code, reasons = spec.columns({name: np.array([value]) for name, value in values.items()}).feasible()
    assert not mask[0]
    stream = message.split(" must")[0].removeprefix("A beat of ")
    assert reasons[code[0]] == f"more than 65536 bits in a beat of {stream}"


def size(emitted: Emitted) -> int:
    return sum(len(text) for text in emitted.modules.values())


def test_text_of_a_wider_fifo_grows_by_its_instances_alone() -> None:
    small, large = (emit(Fifo("core", width, 8, ahead=False, refills=False)) for width in (2048, 4096))
    assert size(large) - size(small) < 300 * 8
    assert len(large.modules) == len(small.modules) == 2


def test_modules_of_a_skew_grow_with_the_logarithm_of_its_lanes() -> None:
    small, large = emit(Skew("core", "edge", 16, 8)), emit(Skew("core", "edge", 64, 8))
    assert len(large.modules) < 2 * len(small.modules)
    assert size(large) < 2.5 * size(small)


def test_text_of_an_attention_core_hardly_grows_with_what_is_repeated() -> None:
    base = SMALL["streaming_attention"] | {"format": "fp16", "acc_format": "fp32", "graph": "naive"}
    small, large = (
        written(families()["streaming_attention"].from_mapping(base | {"dim": dim})) for dim in (16, 32)
    )
    assert size(large) < 1.2 * size(small)


@pytest.mark.parametrize(
    "bits", [1, 5, VECTOR_BITS - 1, VECTOR_BITS, VECTOR_BITS + 1, 2 * VECTOR_BITS + 7, 200_003]
)
def test_a_wide_word_is_as_few_vectors_as_can_hold_it(bits: int) -> None:
    widths = widths_of(bits)
    assert sum(widths) == bits and min(widths) > 0 and max(widths) <= VECTOR_BITS
    assert len(widths) == -(-bits // VECTOR_BITS) and len(set(widths[:-1])) <= 1
    value = word(bits, "wide")
    assert len(value) == bits
    assert [len(piece) for piece in sliced(Signal(bits))] == widths
    assert len(sliced(value)) == len(widths)
