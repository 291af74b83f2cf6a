"""What all benches have in common: order of writes, names of ports, and the cycle in which a beat is offered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blueprint import axi
from blueprint.axi import Offer, StreamPort

ROOT = Path(__file__).resolve().parents[2]
#: Names that only the description may spell out.
SPELLED = re.compile(r"s_axil_|[\"']a(clk|resetn)[\"']|\.a(clk|resetn)\b|_t(valid|ready|data|last)\b")


def test_sizes_are_written_in_order_and_the_start_last() -> None:
    assert axi.writes({"k": 5, "n": 3}) == [("k", 5), ("n", 3), ("control", 1)]
    assert axi.writes({"k": 5}, start=False) == [("k", 5)]


def test_status_bit_of_a_design_without_it_is_none() -> None:
    fields = {"busy": (0, 1), "done": (3, 1)}
    assert (axi.status_bit(fields, "done"), axi.status_bit(fields, "size_error")) == (8, 0)


def test_streams_of_a_manifest_come_inputs_first() -> None:
    stream = {"prefix": "m_axis_out", "direction": "out", "width": 16}
    manifest = {"streams": {"out": stream, "act": {**stream, "prefix": "s_axis_act", "direction": "in"}}}
    assert axi.stream_ports(manifest) == (
        StreamPort("act", "in", "s_axis_act", 2),
        StreamPort("out", "out", "m_axis_out", 2),
    )


def test_ports_of_the_top_module() -> None:
    found = axi.ports([StreamPort("act", "in", "s_axis_act", 3)])
    assert list(found)[:6] == [
        "aclk",
        "aresetn",
        "s_axis_act_tdata",
        "s_axis_act_tvalid",
        "s_axis_act_tready",
        "s_axis_act_tlast",
    ]
    assert (found["s_axis_act_tdata"], found["s_axil_wdata"], found["s_axil_wstrb"]) == (24, 32, 4)


@pytest.mark.parametrize(
    ("opened", "ready", "valid", "moves"),
    [
        # Offered from the first open cycle on and held, also while closed.
        ("0100000", "0001000", "0111000", "0001000"),
        # The next beat waits for an open cycle after the one in which the last was accepted.
        ("1001111", "1111111", "1001000", "1001000"),
        # Nothing after the last beat, and nothing is taken that is not offered.
        ("1111111", "0111111", "1110000", "0110000"),
    ],
)
def test_beats_are_offered_when_open_and_held_until_taken(
    opened: str, ready: str, valid: str, moves: str
) -> None:
    offer, seen, moved = Offer(2), "", ""
    for now, taking in zip(opened, ready, strict=True):
        began = offer.drive(now == "1")
        assert began <= offer.valid
        seen += str(int(offer.valid))
        moved += str(int(offer.sample(taking == "1")))
    assert (seen, moved) == (valid, moves)


def test_last_beat_is_marked() -> None:
    offer = Offer(2)
    marks = []
    for _ in range(4):
        offer.drive(opened=True)
        marks.append(offer.last)
        offer.sample(ready=True)
    assert (marks, offer.done, offer.taken) == ([False, True, False, False], True, 2)


def test_source_without_beats_offers_nothing() -> None:
    offer = Offer(0)
    assert (offer.drive(opened=True), offer.valid, offer.last, offer.done) == (False, False, False, True)


def test_no_bench_decides_it_again() -> None:
    files = [path for room in ("simulator", "costmodel") for path in (ROOT / room).rglob("*.*")]
    sources = [path for path in files if path.suffix in {".py", ".cpp", ".h"}]
    assert len(sources) > 50
    spelled = [str(path.relative_to(ROOT)) for path in sources if SPELLED.search(path.read_text())]
    assert spelled == []
