"""The committed record of the soak is about the adder as it is now, and the soak can fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from benchmarks import float_soak
from blueprint.arithmetic.floating import FORMATS


@pytest.mark.parametrize("name", float_soak.FORMATS)
def test_record_is_of_the_current_adder(name: str) -> None:
    record = yaml.safe_load(float_soak.RECORD.read_text())[name]
    _, text = float_soak.rtl(FORMATS[name])
    assert record["rtl_sha256"] == float_soak.rtl_hash(text), "the adder has changed: run make soak"
    assert (record["pairs"], record["mismatches"]) == (2**32, 0)
    assert re.fullmatch(r"[0-9a-f]{64}", record["results_sha256"])


@pytest.mark.slow
@pytest.mark.parametrize("name", float_soak.FORMATS)
def test_soak_agrees_with_the_oracle_and_notices_a_broken_adder(name: str) -> None:
    fmt = FORMATS[name]
    top, text = float_soak.rtl(fmt)
    smallest_normal = fmt.min_normal
    good = float_soak.run_block(float_soak.build(top, text, "verilator"), fmt, smallest_normal - 2, 4)
    assert (len(good["hashes"]), good["mismatches"], good["wrong"]) == (4, 0, [])
    line = next(line for line in text.splitlines() if re.match(r"\s*assign sticky = ", line))
    broken = float_soak.build(top, text.replace(line, "assign sticky = 1'h0;"), "verilator")
    bad = float_soak.run_block(broken, fmt, smallest_normal - 2, 4)
    assert bad["mismatches"] > 0 and bad["hashes"] != good["hashes"]
    assert re.fullmatch(r"[0-9a-f]{4} \+ [0-9a-f]{4} must be [0-9a-f]{4}, not [0-9a-f]{4}", bad["wrong"][0])


def test_a_soak_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "fp16.jsonl"
    path.write_text('{"first": 128, "hashes": ["00"], "mismatches": 0, "wrong": []}\n{"first": 256, "has')
    assert sorted(float_soak.finished(path)) == [128]


def test_an_unfinished_soak_is_no_record() -> None:
    done = {0: {"hashes": ["0" * 16], "mismatches": 0}}
    with pytest.raises(RuntimeError, match=r"^A soak must check 65536 operands, not 1$"):
        float_soak.summary("0" * 64, done)
