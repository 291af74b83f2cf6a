"""Rows that are drawn: the generator, the noise, probabilities, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import sampling
from blueprint.arithmetic import gumbel
from blueprint.errors import ParamError, SpecError
from blueprint.families.vector import VectorSpec
from blueprint.workloads.tasks import Rowwise
from blueprint.workloads.workload import read_workload_file

DESIGN = {"lanes": 2, "length_max": 40, "rows_max": 40, "format": "fp32", "dots": True}


def spec_of(**changed: Any) -> VectorSpec:
    return VectorSpec(**{**DESIGN, "samples": True, **changed})


def test_the_generator_is_the_published_cipher() -> None:
    """The test vector of Speck32/64 (Beaulieu et al., IACR ePrint 2013/404, appendix C)."""
    found = gumbel.random_words(0x1918_1110_0908_0100, np.array([0x6574_694C]))
    assert found.tolist() == [0xA868_42F2]


def test_a_key_is_a_seed_and_a_position() -> None:
    assert gumbel.key(0, 0) == 1 << 32 | 1
    words = {gumbel.random_words(gumbel.key(*at), np.array([0]))[0] for at in ((0, 0), (0, 1), (1, 0))}
    assert len(words) == 3


def test_the_noise_is_near_its_formula() -> None:
    assert 1e-3 < sampling.noise_error() < 1.2e-3


def test_the_noise_is_positive_and_falls_with_the_word_on_each_side() -> None:
    words = np.sort(np.random.default_rng(0).integers(0, 1 << 32, 20_000))
    ends = np.array([0, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
    found = gumbel.noise(np.concatenate([ends[:1], words, ends[3:]]))
    assert found[0] == found.max() < 1 << gumbel.NOISE_BITS
    assert found[-1] == found.min() >= gumbel.LEAST * (1 << gumbel.FRACTION)
    assert (np.diff(found) <= 8).all()  # lines meet within two thousandths
    assert abs(int(np.diff(gumbel.noise(ends[1:3]))[0])) <= 8


def test_floats_of_the_noise_are_exact() -> None:
    numbers = np.arange(int(gumbel.LEAST * (1 << gumbel.FRACTION)), 1 << gumbel.NOISE_BITS, 7)
    found = gumbel.floats(numbers).astype(np.uint32).view(np.float32)
    assert np.array_equal(found.astype(np.float64), numbers / (1 << gumbel.FRACTION))


def test_probabilities_are_those_of_the_softmax_but_for_the_noise() -> None:
    assert 1e-5 < sampling.deviation((2, 3, 10)) < 3e-5


def test_draws_of_the_golden_model_are_those_of_the_softmax() -> None:
    assert sampling.chi_square(4000) > 1e-3


def test_another_noise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chi-square test would see noise of another distribution, here of a third less."""
    true = gumbel.noise
    monkeypatch.setattr(gumbel, "noise", lambda words: true(words) * 2 // 3)
    assert sampling.chi_square(4000) < 1e-6


@pytest.mark.parametrize("fmt", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("stages", [0, 1, 4])
def test_the_score_of_a_row_is_there_before_its_factor(fmt: str, stages: int) -> None:
    """So that no design takes a cycle more."""
    spec = spec_of(format=fmt, adder_stages=stages)
    noise = gumbel.CIPHER_CYCLES + gumbel.NOISE_CYCLES
    assert max(noise, spec.score_step + 1) + stages + 1 <= spec.factor_cycles - 1
    task = Rowwise(7, 40, "dot")
    assert spec.cycles(task) == VectorSpec(**{**DESIGN, "format": fmt, "adder_stages": stages}).cycles(task)


def test_without_a_temperature_the_row_is_that_of_the_largest_dot_product() -> None:
    spec, plain = spec_of(), VectorSpec(**DESIGN)
    task = Rowwise(40, 16, "dot")
    for seed in range(20):
        given = spec.operands(task, seed)
        assert spec.reference(given)["index"] == plain.reference(given)["index"]


def test_seed_position_and_temperature_change_the_row() -> None:
    spec, scores = spec_of(), np.zeros(40, np.float32)
    base = Rowwise(40, 1, "dot", temperature=1.0, seed=5, position=9)
    same = [sampling.drawn(spec, scores, base) for _ in range(2)]
    assert same[0] == same[1]
    others = [Rowwise(40, 1, "dot", temperature=1.0, seed=5 + i % 2, position=9 + i // 2) for i in range(20)]
    assert len({sampling.drawn(spec, scores, task) for task in others}) > 8
    scores[7] = 1.0
    for temperature, least, most in ((0.01, 20, 20), (100.0, 0, 3)):
        tasks = [Rowwise(40, 1, "dot", temperature=temperature, position=i) for i in range(20)]
        assert least <= sum(sampling.drawn(spec, scores, task) == 7 for task in tasks) <= most


def test_a_row_that_is_no_number_is_drawn_as_it_is_chosen() -> None:
    scores = np.zeros(40, np.float32)
    scores[11] = np.nan
    for position in range(5):
        task = Rowwise(40, 1, "dot", temperature=2.0, position=position)
        assert sampling.drawn(spec_of(), scores, task) == 11


def test_a_row_is_drawn_among_those_with_the_largest_sums() -> None:
    """Also where sums are equal, of which the first ones count; and by the same noise as among all rows."""
    spec, random = spec_of(top_k=8), np.random.default_rng(3)
    for position in range(30):
        scores = random.integers(-3, 4, 40).astype(np.float32)
        base = Rowwise(40, 1, "dot", temperature=100.0, seed=5, position=position)
        among = sorted(range(40), key=lambda row: (-scores[row], row))
        noise = gumbel.values(gumbel.noise(gumbel.random_words(gumbel.key(5, position), np.arange(40))))
        drawn = scores * np.float32(0.01) + noise
        for few in (1, 2, 5, 8):
            found = sampling.drawn(spec, scores, replace(base, top_k=few))
            assert found == max(sorted(among[:few]), key=lambda row: drawn[row])
        assert sampling.drawn(spec, scores, base) == drawn.argmax()


def test_one_row_of_many_is_that_of_the_largest_dot_product() -> None:
    spec, scores = spec_of(top_k=1), np.array([1, 3, 2, 3], np.float32)
    tasks = [Rowwise(4, 1, "dot", temperature=100.0, position=i, top_k=1) for i in range(9)]
    assert {sampling.drawn(spec, scores, task) for task in tasks} == {1}


def test_more_places_than_rows_leave_all_rows() -> None:
    spec, scores = spec_of(top_k=9), np.zeros(5, np.float32)
    tasks = [Rowwise(5, 1, "dot", temperature=1.0, position=i) for i in range(20)]
    few, every = ([sampling.drawn(spec, scores, replace(task, top_k=k)) for task in tasks] for k in (9, 0))
    assert few == every
    assert len(set(few)) > 3


def test_draws_among_a_few_are_those_of_their_softmax() -> None:
    assert sampling.chi_square(4000, top_k=5) > 1e-3


def test_registers_hold_the_inverse_temperature_and_what_noise_follows_from() -> None:
    spec = spec_of()
    found = spec.register_values(Rowwise(3, 8, "dot", temperature=0.5, seed=7, position=20))
    assert found == {
        "rows": 3, "length": 8, "operation": 33, "inverse_temperature": 0x40000000, "seed": 8, "position": 21,
    }  # fmt: skip
    assert spec.register_values(Rowwise(3, 8, "norm"))["inverse_temperature"] == 1
    few = spec_of(top_k=5)
    assert few.register_values(Rowwise(3, 8, "norm"))["top_k"] == 1
    assert few.register_values(Rowwise(3, 8, "dot", temperature=0.5, top_k=5))["top_k"] == 6
    assert [(r.name, r.address, r.fields) for r in few.registers()][-1] == ("top_k", 60, {"value": (0, 3)})
    addresses = {r.name: r.address for r in spec.registers()}
    assert (addresses["cycles"], addresses["hash_hi"], addresses["position"]) == (20, 44, 56)
    assert {r.name: r.address for r in VectorSpec(**DESIGN).registers()}["cycles"] == 20


def test_designs_without_it_keep_their_hash_and_registers() -> None:
    assert VectorSpec(**DESIGN).design_hash == VectorSpec(**DESIGN, samples=False).design_hash
    assert spec_of().design_hash != VectorSpec(**DESIGN).design_hash
    assert spec_of(top_k=0).design_hash == spec_of().design_hash != spec_of(top_k=1).design_hash


def test_sampling_without_dot_products_is_refused() -> None:
    with pytest.raises(ParamError, match=r"^samples must be false where dots is false, not true$"):
        spec_of(dots=False)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"samples": False, "top_k": 2}, "top_k must be 0 where samples is false, not 2"),
        ({"top_k": 65}, "Parameter 'top_k' must be an integer from 0 to 64, not 65"),
    ],
)
def test_places_that_a_design_cannot_have_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamError) as found:
        spec_of(**changed)
    assert str(found.value) == message


@pytest.mark.parametrize("places", [0, 3])
def test_more_rows_than_a_design_has_places_are_refused(places: int) -> None:
    what = rf"^top_k must be at least the 5 rows among which one is drawn, not {places}$"
    with pytest.raises(ParamError, match=what):
        spec_of(top_k=places).check_workload(Rowwise(9, 8, "dot", temperature=0.5, top_k=5))


def test_a_temperature_that_a_design_cannot_have_is_refused() -> None:
    with pytest.raises(ParamError, match=r"^samples must be true for temperature 0\.5$"):
        VectorSpec(**DESIGN).check_workload(Rowwise(3, 8, "dot", temperature=0.5))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"temperature": 1e-3}, ParamError, "Rowwise temperature must be 0 or from 0.01 to 100, not 0.001"),
        ({"temperature": float("nan")}, ParamError, "Rowwise temperature must be 0 or from 0.01 to 100, not nan"),
        ({"temperature": "warm"}, TypeError, "Rowwise temperature must be a number, not 'warm'"),
        ({"temperature": True}, TypeError, "Rowwise temperature must be a number, not True"),
        ({"seed": 1}, ParamError, "Rowwise seed must be 0 without a temperature, not 1"),
        ({"position": 2}, ParamError, "Rowwise position must be 0 without a temperature, not 2"),
        ({"operation": "norm", "temperature": 1.0}, ParamError, "Rowwise temperature must be 0 without dot, not 1"),
        ({"top_k": 3}, ParamError, "Rowwise top_k must be 0 without a temperature, not 3"),
        ({"top_k": 65}, ParamError, "Rowwise top_k must be at most 64, not 65"),
        ({"seed": -1}, ParamError, "Rowwise seed must be at least 0, not -1"),
        ({"seed": 1 << 32}, ParamError, "Rowwise seed must be at most 4294967293, not 4294967296"),
        ({"position": 1 << 20}, ParamError, "Rowwise position must be at most 1048575, not 1048576"),
        ({"position": 0.5}, TypeError, "Rowwise position must be an integer, not 0.5"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as found:
        Rowwise(3, 8, **{"operation": "dot", **given})
    assert str(found.value) == message


def written(tmp_path: Path, more: str) -> Path:
    path = tmp_path / "workload.yaml"
    text = f"schema: ternforge/workload/v1\nrowwise: {{rows: 3, length: 8, operation: dot{more}}}\n"
    path.write_text(text)
    return path


def test_a_workload_says_temperature_seed_and_position(tmp_path: Path) -> None:
    found = read_workload_file(written(tmp_path, ", temperature: 0.5, seed: 3, position: 4"))
    assert found.tasks == (Rowwise(3, 8, "dot", temperature=0.5, seed=3, position=4),)
    assert found.tasks[0].sizes["temperature"] == 0.5
    assert "temperature" not in Rowwise(3, 8, "dot").sizes
    found = read_workload_file(written(tmp_path, ", temperature: 0.5, top_k: 7"))
    assert found.tasks == (Rowwise(3, 8, "dot", temperature=0.5, top_k=7),)
    assert found.tasks[0].sizes["top_k"] == 7


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (", temperature: 200", "Rowwise temperature must be 0 or from 0.01 to 100, not 200"),
        (", temperature: hot", "temperature must be a number, not 'hot'"),
        (", seed: -1", "seed must be at least 0, not -1"),
        (", temperature: 1, top_k: 65", "top_k must be at most 64, not 65"),
        (", top_k: 2", "top_k must stand beside a temperature above 0, and there is none"),
        (", seed: 0", "2:47: rowwise.seed: seed must stand beside a temperature above 0, and there is none"),
        (
            ", temperature: 0, position: 3",
            "position must stand beside a temperature above 0, and there is none",
        ),
        (", temperature: 1e-400", "number must be 0 or large enough for 64 bits, not '1e-400'"),
        (", temperature: -0.0e5, seed: 3", "seed must stand beside a temperature above 0, and there is none"),
    ],
)
def test_a_workload_that_cannot_be_drawn_is_refused(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(SpecError, match=message.replace("(", r"\(")):
        read_workload_file(written(tmp_path, more))
