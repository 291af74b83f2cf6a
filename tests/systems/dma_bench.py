"""Runs movers in RTL and in the model on the same transfers, memory and patterns."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.systems.dma import Dma, Transfer
from blueprint.systems.memory_port import MemoryPort, mixed
from generator.emission import Emitted, emit
from generator.systems.dma import Reader, Writer
from simulator.systems import dma as model
from toolchain import cxxrtl, process, verilator

HERE = Path(__file__).parent
ENGINES = {"cxxrtl": cxxrtl, "verilator": verilator}
LIMIT = 200_000


@dataclass(frozen=True)
class Case:
    """One run: transfers, what they index, memory's contents and behavior, patterns, and what a writer is given."""

    dma: Dma
    transfers: Sequence[Transfer]
    port: MemoryPort
    image: bytes
    indices: Sequence[int] = ()
    stream: tuple[int, int] = (1, 256)  # seed, open cycles of 256
    index: tuple[int, int] = (2, 256)
    frames: Sequence[int] = ()
    beats: bytes = b""

    def ends(self) -> model.Ends:
        return model.Ends(
            self.transfers, self.indices, pattern(*self.index), pattern(*self.stream), self.frames
        )

    def events(self) -> list[model.Event]:
        return model.events(self.dma, self.ends(), self.port)


def pattern(seed: int, rate: int) -> model.Pattern:
    return lambda cycle: mixed(seed + cycle) % 256 < rate


@dataclass(frozen=True)
class Found:
    """What the RTL did: events as the model tells them, and the beats or the memory that it left."""

    events: list[model.Event] = field(default_factory=list)
    image: bytes = b""


def written(emitted: Emitted, path: Path, edit: tuple[str, str] | None) -> Path:
    """All modules in one file; ``edit`` replaces a piece of the Verilog."""
    text = "\n".join(emitted.modules.values())
    if edit is not None:
        assert edit[0] in text, f"nothing to edit: {edit[0]!r}"
        text = text.replace(edit[0], edit[1], 1)
    path.write_text(text)
    return path


def program(dma: Dma, folder: Path, edit: tuple[str, str] | None = None, engine: str = "cxxrtl") -> Path:
    """The bench around a mover; ``edit`` replaces a piece of the Verilog: a failing twin."""
    block = (Reader if dma.reads else Writer)(dma)
    emitted = emit(block)
    source = written(emitted, folder / "mover.v", edit)
    mangle: Any = ENGINES[engine].mangle
    harness = resources.files("simulator.rtl").joinpath("harness")
    lines = [f"#define PORT_{name} {mangle(name)}" for name in block.pins]
    widths = {name: min(len(signal), 64) for name, (_, signal) in block.pins.items()}
    lines += [f"#define MASK_{name} 0x{(1 << width) - 1:x}ull" for name, width in widths.items()]
    lines += [f"#define TERNFORGE_TOP {mangle(dma.name)}", f"#define READS {dma.reads}"]
    lines += [f"#define WORD_BYTES {dma.data_width // 8}", f"#define BEAT_BYTES {dma.stream_width // 8}"]
    sources = {
        "bench.cpp": (HERE / "dma_bench.cpp").read_text(),
        "binding.h": "\n".join([*lines, '#include "ports.h"', ""]),
        "ports.h": harness.joinpath(f"ports_{engine}.h").read_text(),
        "numbers.h": harness.joinpath("numbers.h").read_text(),
        "axi_memory.h": harness.joinpath("axi_memory.h").read_text(),
    }
    return ENGINES[engine].executable([source], dma.name, sources)


def run(program: Path, case: Case, folder: Path) -> Found:
    """What the RTL does in a case. Raises ``ToolError`` where it breaks a rule of AXI or does not end."""
    (folder / "in").write_bytes(_packed(case))
    process.run([program, folder / "in", folder / "out", folder / "image"], tool="bench", timeout_s=60)
    rows = [line.split() for line in (folder / "out").read_text().splitlines()]
    found = [model.Event(int(cycle), kind, int(a), int(b)) for cycle, kind, a, b in rows]
    return Found(found, (folder / "image").read_bytes())


def _packed(case: Case) -> bytes:
    port, size = case.port, -(-int(case.dma.transfer.width) // 8)
    numbers = [*port.numbers, *case.stream, *case.index, len(case.transfers), size]
    words = b"".join(transfer.word(case.dma).to_bytes(size, "little") for transfer in case.transfers)
    lists = [[len(part), *part] for part in (case.indices, case.frames)]
    tail = b"".join(
        [_numbers(lists[0]), _numbers(lists[1]), *(_numbers([len(b)]) + b for b in (case.image, case.beats))]
    )
    return _numbers(numbers) + words + tail + _numbers([LIMIT])


def _numbers(values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


def expected(case: Case) -> bytes:
    """The beats of a reader, or the memory that a writer leaves: by rows, with NumPy, not by bursts."""
    image, dma = np.frombuffer(case.image, np.uint8).copy(), case.dma
    indices, given, read = list(case.indices), case.beats, b""
    beat, frames, place = dma.stream_width // 8, list(case.frames), 0
    for transfer in case.transfers:
        if transfer.refusal(dma) is not None:
            continue
        mine = [indices.pop(0) for _ in range(transfer.rows)] if transfer.gather else ()
        places = np.concatenate([
            np.arange(start, start + transfer.row_bytes) for start in transfer.starts(dma, mine)
        ]) % (1 << dma.address_width)  # fmt: skip
        if dma.reads:
            data = np.where(places < len(image), image[np.minimum(places, len(image) - 1)], 0)
            read += data.astype(np.uint8).tobytes().ljust(transfer.beats(dma) * beat, b"\0")
            continue
        length = frames.pop(0) * beat
        data = np.frombuffer(given[place : place + length], np.uint8)[: len(places)]
        place += length
        for spot, value in zip(places[: len(data)].tolist(), data.tolist(), strict=True):
            if case.port.response(spot) == 0:
                image[spot] = value
    return read if dma.reads else image.tobytes()


# Random designs and runs ----------------------------------------------------------------------------------------------


def random_dma(direction: str, random: np.random.Generator) -> Dma:
    data, stream = (2 ** int(random.integers(*span)) for span in ((5, 9), (3, 9)))
    unit = 2 ** int(random.integers(0, (min(data, stream) // 8).bit_length()))
    burst = int(random.integers(1, 18))
    return Dma(
        direction=direction,
        data_width=data,
        stream_width=stream,
        unit_bytes=unit,
        address_width=int(random.integers(18, 41)),
        burst_words=burst,
        outstanding=int(random.choice((1, 2, 3, 4, 5, 8, 16, 32))),
        buffer_words=burst + int(random.integers(0, 24)),
        row_width=int(random.integers(4, 12)),
        rows_width=int(random.integers(2, 8)),
        index_width=int(random.integers(1, 9)),
    )


def random_transfer(dma: Dma, size: int, random: np.random.Generator) -> Transfer:
    unit = dma.unit_bytes
    rows = int(random.integers(1, min(6, 1 << dma.rows_width)))
    row = int(random.integers(1, min(1 << dma.row_width, 1 + max(1, 600 // unit))))
    stride = int(random.integers(0, 1 + size // 16 // unit))
    gather = bool(random.random() < 0.4)
    room = size // unit - row - stride * (rows - 1 if not gather else (1 << dma.index_width) - 1)
    if room < 1:
        stride, room = 0, size // unit - row
    address = int(random.integers(0, room))
    wrong = random.random()
    transfer = Transfer(address * unit, row * unit, rows, stride * unit, gather)
    if wrong < 0.05:
        return Transfer(transfer.address, transfer.row_bytes, 0, transfer.stride, gather)
    if wrong < 0.1 and unit > 1:
        return Transfer(transfer.address + 1, transfer.row_bytes, rows, transfer.stride, gather)
    return transfer


def random_case(
    dma: Dma, port: MemoryPort, random: np.random.Generator, *, frames: bool = True, count: int = 8
) -> Case:
    """Random transfers; rows of a writer do not overlap in time, so that order does not matter."""
    transfers = [random_transfer(dma, port.size, random) for _ in range(count)]
    moved = [transfer for transfer in transfers if transfer.refusal(dma) is None]
    wanted = sum(transfer.rows for transfer in moved if transfer.gather)
    indices = random.integers(0, 1 << dma.index_width, wanted).tolist()
    lengths: list[int] = []
    for transfer in moved if not dma.reads else ():
        lengths.append(transfer.beats(dma))
        if not frames:
            lengths[-1] = max(1, lengths[-1] + int(random.integers(-3, 4)))
    patterns = [(int(random.integers(1 << 30)), int(random.choice([60, 160, 256]))) for _ in range(2)]
    return Case(
        dma, transfers, port, random.bytes(port.size), indices, patterns[0], patterns[1], lengths,
        random.bytes(sum(lengths) * dma.stream_width // 8),
    )  # fmt: skip
