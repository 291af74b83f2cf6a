"""Movers: values by NumPy, every event in the cycle of the model, under four behaviors of memory."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blueprint.errors import ParamError
from blueprint.systems.dma import Dma, Transfer, cut
from blueprint.systems.memory_port import BEHAVIORS, MemoryPort, Silence
from blueprint.unit import flip_flops
from generator.emission import emit
from generator.systems.bursts import Bursts
from generator.systems.dma import Reader, Writer
from generator.systems.packer import Packer
from simulator.systems import dma as model
from tests.named_registers import built_registers, there
from tests.systems.dma_bench import Case, expected, program, random_case, random_dma, run
from toolchain import files, process, verilator, yosys

SIZE = 1 << 14
#: Those of rtl_templates/lint.vlt.j2.
WAIVED = "`verilator_config\n" + "".join(
    f"lint_off -rule {rule}\n" for rule in ("UNUSEDSIGNAL", "DECLFILENAME", "WIDTHEXPAND")
)
#: Enough for every step to be taken, few enough to be quick; the slow ones are of other shapes.
DRAWN = [*range(1), *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, 8))]


def drawn(direction: str, number: int) -> tuple[Dma, np.random.Generator]:
    random = np.random.default_rng([number, direction == "read"])
    return random_dma(direction, random), random


def agrees(bench: Path, case: Case, folder: Path) -> None:
    found = run(bench, case, folder)
    assert found.events == case.events()
    assert found.image == expected(case)


@pytest.mark.parametrize("number", DRAWN)
@pytest.mark.parametrize("direction", ["read", "write"])
def test_random_transfers_end_in_the_cycle_of_the_model(direction: str, number: int, tmp_path: Path) -> None:
    dma, random = drawn(direction, number)
    bench = program(dma, tmp_path)
    for behavior in (*BEHAVIORS.values(), MemoryPort(latency=11, beats=5, interval=7)):
        for framed in (True, False):
            port = dataclasses.replace(behavior, size=SIZE, depth=int(random.integers(1, 12)))
            agrees(bench, random_case(dma, port, random, frames=framed), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["read", "write"])
def test_verilator_and_cxxrtl_see_the_same(direction: str, tmp_path: Path) -> None:
    dma, random = drawn(direction, 3)
    case = random_case(dma, dataclasses.replace(BEHAVIORS["random"], size=SIZE), random)
    agrees(program(dma, tmp_path, engine="verilator"), case, tmp_path)


#: A mover whose word, beat and unit differ, for cases by hand.
BY_HAND: Mapping[str, Any] = {
    "data_width": 64, "stream_width": 32, "unit_bytes": 2, "address_width": 20, "burst_words": 8,
    "outstanding": 4, "buffer_words": 16, "row_width": 11, "rows_width": 4, "index_width": 4,
}  # fmt: skip


def by_hand(direction: str, transfers: list[Transfer], **given: Any) -> Case:
    dma = Dma(direction=direction, **BY_HAND)
    random = np.random.default_rng(3)
    frames = given.pop("frames", [t.beats(dma) for t in transfers if t.refusal(dma) is None])
    port = MemoryPort(latency=9, size=SIZE, poisoned=given.pop("poisoned", (0, 0)))
    beats = random.bytes(4 * sum(frames))
    return Case(
        dma, transfers, port, random.bytes(SIZE), given.pop("indices", ()), frames=frames, beats=beats
    )


def ends_of(case: Case) -> list[tuple[str, int, int]]:
    return [(e.kind, e.first, e.second) for e in case.events() if e.kind in ("done", "refused")]


ERRORS = [Transfer(0, 64), Transfer(4080, 64), Transfer(SIZE - 8, 16), Transfer(8, 8, 0), Transfer(2, 6)]


@pytest.mark.parametrize("direction", ["read", "write"])
def test_errors_of_the_bus_and_of_transfers_are_told_and_nothing_hangs(
    direction: str, tmp_path: Path
) -> None:
    case = by_hand(direction, ERRORS, poisoned=(4096, 4112))
    assert [end for end in ends_of(case) if end[0] == "done"] == [
        ("done", worst, 0) for worst in (0, 2, 3, 0)
    ]
    assert ends_of(case).count(("refused", 0, 0)) == 1
    agrees(program(case.dma, tmp_path), case, tmp_path)


def test_a_stream_that_ends_early_or_late_is_told_and_the_next_one_is_whole(tmp_path: Path) -> None:
    case = by_hand("write", [Transfer(64 * i, 30) for i in range(4)], frames=[8, 5, 11, 8])
    assert ends_of(case) == [("done", 0, 0), ("done", 0, 1), ("done", 0, 1), ("done", 0, 0)]
    agrees(program(case.dma, tmp_path), case, tmp_path)


def test_a_page_is_never_crossed_and_no_burst_is_longer_than_allowed() -> None:
    dma = Dma(**BY_HAND)
    assert list(cut(dma, 4096 - 22, 100)) == [(4072, 3), (4096, 8), (4160, 2)]
    assert list(cut(dma, 6, 2)) == [(0, 1)]


def test_an_aligned_reader_keeps_the_port_busy() -> None:
    """512 words at one a cycle: what is not a word is the latency before the first, and two cycles behind the last."""
    dma = Dma(data_width=64, stream_width=64, unit_bytes=8, buffer_words=64, outstanding=8)
    ends = model.Ends([Transfer(0, 4096)], (), lambda _: True, lambda _: True)
    events = model.events(dma, ends, MemoryPort(latency=20))
    beats = [event.cycle for event in events if event.kind == "beat"]
    assert np.diff(beats).tolist() == [1] * 511
    assert beats[0] == 3 + 20 + 2


class Crossing(Bursts):
    """A twin whose bursts do not end with a page."""

    def _length(self, m: Any, next_word: Any, left: Any) -> Any:
        found = super()._length(m, next_word & 0, left)
        return found


def test_a_burst_across_a_page_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    case = by_hand("read", [Transfer(4096 - 22, 100)])
    monkeypatch.setattr("generator.systems.dma.Bursts", Crossing)
    with pytest.raises(process.ToolError, match="a burst must not cross 4 kB"):
        run(program(case.dma, tmp_path), case, tmp_path)


#: Silences of every channel, from the first handshake on and within a burst.
SILENT = [
    *(("read", channel, after) for channel, after in (("ar", 0), ("ar", 2), ("r", 0), ("r", 3))),
    *(("write", channel, after) for channel in ("aw", "w", "b") for after in (0, 2)),
]


@pytest.mark.parametrize("direction", ["read", "write"])
def test_a_memory_that_goes_on_after_a_silence_is_that_of_the_model(direction: str, tmp_path: Path) -> None:
    case = by_hand(direction, [Transfer(2, 402, 2, 512), Transfer(1024, 64)])
    bench = program(case.dma, tmp_path)
    ends = {ends_of(case)[-1]}
    for _, channel, after in (one for one in SILENT if one[0] == direction):
        port = dataclasses.replace(case.port, silence=Silence(channel, after, 700))
        slow = dataclasses.replace(case, port=port)
        agrees(bench, slow, tmp_path)
        assert slow.events()[-1].cycle > 700 > case.events()[-1].cycle
        ends.add(ends_of(slow)[-1])
    assert len(ends) == 1, "a silence changes no response"


@pytest.mark.parametrize(("direction", "channel", "after"), SILENT)
def test_a_mover_waits_for_a_memory_that_never_answers(direction: str, channel: str, after: int) -> None:
    case = by_hand(direction, [Transfer(2, 402, 2, 512)])
    port = dataclasses.replace(case.port, silence=Silence(channel, after))
    told = r"^A mover must end its transfers, not be stuck from cycle \d+ on$"
    with pytest.raises(RuntimeError, match=told):
        dataclasses.replace(case, port=port).events()


@pytest.mark.parametrize(
    ("direction", "channel", "register"),
    [("read", "ar", "request_valid"), ("write", "aw", "request_valid"), ("write", "w", "m_axi_wvalid")],
)
def test_an_offer_that_is_withdrawn_is_noticed(
    direction: str, channel: str, register: str, tmp_path: Path
) -> None:
    case = by_hand(direction, [Transfer(2, 402)])
    slow = dataclasses.replace(case, port=dataclasses.replace(case.port, silence=Silence(channel, 0, 90)))
    edit = (f"if (rst) {register} <= 1'h0;", f"if (rst | {register}) {register} <= 1'h0;")
    with pytest.raises(process.ToolError, match="what was offered must stay until it is taken"):
        run(program(case.dma, tmp_path, edit), slow, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"latency": 10},
        {"depth": 1},
        {"interval": 2},
        {"beats": 3, "interval": 8},
        {"period": 100, "gap": 40},
    ],
)
def test_a_memory_that_is_another_one_is_noticed(change: dict[str, int], tmp_path: Path) -> None:
    case = by_hand("read", [Transfer(2, 402)])
    assert run(program(case.dma, tmp_path), case, tmp_path).events == case.events()
    other = dataclasses.replace(case, port=dataclasses.replace(case.port, **change))
    assert other.events() != case.events()


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("direction", ["read", "write"])
def test_registers_are_those_that_are_counted_by_name(direction: str, number: int) -> None:
    dma, _ = drawn(direction, number)
    mover = (Reader if dma.reads else Writer)(dma)
    assert built_registers(Bursts(dma)) == there(dma.bursts())
    assert built_registers(Packer(dma)) == there(dma.packer())
    assert built_registers(mover) == there(dma.mover())


UNIT = "Parameter 'unit_bytes' must be a power of two of at most 4 bytes, the narrower port"


def netlist_flip_flops(text: str, top: str) -> int:
    """Flip-flops that Yosys finds in a design; memories are left as they are."""
    script = f"read_verilog -sv design.v\nhierarchy -top {top}\nproc -noopt\nflatten\nwrite_json design.json"
    with files.scratch("ternforge-movers-") as folder:
        (folder / "design.v").write_text(text)
        yosys.run(script, cwd=folder, timeout_s=120)
        cells = json.loads((folder / "design.json").read_text())["modules"][top]["cells"].values()
    return sum(len(cell["connections"]["Q"]) for cell in cells if "dff" in cell["type"])


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("direction", ["read", "write"])
def test_flip_flops_are_those_of_the_netlist_and_lint_is_silent(
    direction: str, number: int, tmp_path: Path
) -> None:
    dma, _ = drawn(direction, number)
    emitted = emit((Reader if dma.reads else Writer)(dma))
    logic = {name: text for name, text in emitted.modules.items() if name not in emitted.blackboxes}
    boxes = "".join(emitted.stubs.values())
    assert netlist_flip_flops("\n".join(logic.values()) + boxes, emitted.top) == flip_flops(dma.units())
    source = tmp_path / "mover.v"
    source.write_text("\n".join(emitted.modules.values()))
    waivers = [tmp_path / "lint.vlt"]
    waivers[0].write_text(WAIVED)
    assert verilator.lint([source], emitted.top, waivers) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data_width": 96}, "Parameter 'data_width' must be a power of two, not 96"),
        ({"stream_width": 24}, "Parameter 'stream_width' must be a power of two, not 24"),
        ({"unit_bytes": 8}, f"{UNIT}, not 8"),
        ({"unit_bytes": 3}, f"{UNIT}, not 3"),
        (
            {"data_width": 1024, "burst_words": 33, "buffer_words": 64},
            "Parameter 'burst_words' must be at most 32, 4096 bytes, not 33",
        ),
        ({"buffer_words": 7}, "Parameter 'buffer_words' must be at least burst_words 8, not 7"),
        ({"direction": "reed"}, "Parameter 'direction' must be one of read, write, not 'reed'; did you mean 'read'?"),
    ],
)  # fmt: skip
def test_a_mover_that_cannot_be_built_says_why(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        Dma(**{**BY_HAND, **change})


@pytest.mark.parametrize(
    ("transfer", "told"),
    [
        (Transfer(3, 8), "Transfer's address must be a multiple of unit_bytes 2, not 3"),
        (Transfer(1 << 20, 8), "Transfer's address must fit 20 bits, not be 1048576"),
        (Transfer(0, 0), "Transfer's row_bytes must be at least 2, not 0"),
        (Transfer(0, 2, 16), "Transfer's rows must be from 1 to 15, not 16"),
        (Transfer(0, 2, 1, 5), "Transfer's stride must be a multiple of unit_bytes 2, not 5"),
    ],
)
def test_a_transfer_that_is_refused_says_why(transfer: Transfer, told: str) -> None:
    with pytest.raises(ParamError, match=f"^{re.escape(told)}$"):
        transfer.check(Dma(**BY_HAND))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"latency": 0}, "Memory's latency must be at least 1, not 0"),
        ({"beats": 0}, "Memory's beats must be at least 1, not 0"),
        ({"beats": 3, "interval": 2}, "Memory's beats must be at most interval 2, not 3"),
        ({"period": 10, "gap": 10}, "Memory's gap must be from 0 to period 10 less 1, not 10"),
    ],
)
def test_a_memory_that_never_answers_is_refused(given: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        MemoryPort(**given)


@pytest.mark.parametrize(
    ("channel", "after", "told"),
    [
        ("x", 0, "Silent channel must be one of ar, r, aw, w, b, not 'x'"),
        ("r", -1, "Handshakes before a silence must be at least 0, not -1"),
    ],
)
def test_a_silence_that_is_none_is_refused(channel: str, after: int, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        Silence(channel, after)


def test_a_writer_without_its_stream_is_stuck_and_says_so() -> None:
    case = by_hand("write", [Transfer(0, 8)], frames=[])
    with pytest.raises(
        RuntimeError, match=r"^A mover must end its transfers, not be stuck from cycle \d+ on$"
    ):
        case.events()
