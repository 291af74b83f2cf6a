"""An image as a folder: the contents of memory, the programs as a listing, and the facts that a host needs.

``image.bin`` is loaded at the address ``base`` of ``image.json``; ``program.lst`` has a line for every instruction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from blueprint.errors import ParamError
from blueprint.files.document import is_kind, kind_name
from blueprint.files.tree import show
from blueprint.systems import instructions
from blueprint.systems.address_map import PAGE, Region
from blueprint.systems.control import Hardware
from blueprint.systems.instructions import MORE, MOVED, UNITS, WORD_BYTES, Instruction
from checkpoints.digest import digest
from checkpoints.faults import fault
from compiler.compile import Compiled
from compiler.layout import Octets
from compiler.plan import PRODUCTS, WORD
from compiler.prompts import BLOCK
from compiler.purpose import Purpose

SCHEMA = "ternforge/image/v1"
DATA, LISTING, DESCRIPTION = "image.bin", "program.lst", "image.json"
#: Number of the register of a transfer's address.
_ADDRESS = MOVED.index("address")
#: What :func:`read` needs of ``image.json``, and of each of its programs.
KEYS: dict[str, type] = {
    "design_hash": str, "hardware": str, "checkpoint": str, "base": int, "bytes": int, "sha256": str, "tokens": int,
    "context": int, "vocab": int, "programs": dict,
}  # fmt: skip
PROGRAM_KEYS: dict[str, type] = {"page": int, "instructions": int, "notes": list}


@dataclass(frozen=True)
class Image:
    """An image that a system runs: memory from ``base`` on, programs, and where tokens are.

    A pass takes a token of each of ``batch`` sequences, whose tokens lie ``stride`` bytes apart. ``units`` are those of
    the hardware that have queues.
    """

    base: int
    data: Octets
    programs: Mapping[str, tuple[Instruction, ...]]
    pages: Mapping[str, int]
    notes: Mapping[str, Sequence[tuple[Purpose, int]]]
    tokens: int
    context: int
    vocab: int
    checkpoint: str
    block: int = 1
    batch: int = 1
    stride: int = 0
    units: tuple[str, ...] = UNITS

    def tokens_of(self, sequence: int) -> int:
        """Address of the first token of a sequence."""
        return self.tokens + sequence * self.stride

    @property
    def end(self) -> int:
        """Bytes of memory that it needs."""
        return self.base + self.data.size


def of_compiled(compiled: Compiled) -> Image:
    """The image of a compiled model."""
    layout, model = compiled.layout, compiled.model
    programs = {one.name: one.instructions for one in compiled.programs}
    pages = {one.name: layout[one.region].base // PAGE for one in compiled.programs}
    notes = {one.name: one.notes for one in compiled.programs}
    tokens, batch = layout["tokens"], compiled.batch
    weights = digest(compiled.checkpoint.source)
    return Image(
        layout.base, layout.image(), programs, pages, notes, tokens.base, model.context, model.vocab, weights,
        compiled.block, batch, tokens.size // batch * (batch > 1), compiled.hardware.queues,
    )  # fmt: skip


def write(
    compiled: Compiled, folder: Path, cycles: Mapping[str, Sequence[int]] | None = None, calibrated: str = ""
) -> None:
    """Write the folder; ``cycles`` are those of every instruction, by program."""
    image = of_compiled(compiled)
    (folder / DATA).write_bytes(image.data.tobytes())
    regions = tuple(compiled.layout.regions.values())
    (folder / LISTING).write_text(listing(image, cycles or {}, regions), encoding="utf-8")
    text = json.dumps(described(compiled, image, calibrated), indent=1) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")


def described(compiled: Compiled, image: Image, calibrated: str) -> dict[str, Any]:
    """Contents of ``image.json``."""
    model = compiled.model
    return {
        "schema": SCHEMA,
        "hardware": compiled.hardware.name,
        "design_hash": compiled.hardware.design_hash,
        "model": model.name,
        "checkpoint": image.checkpoint,
        "context": model.context,
        "vocab": model.vocab,
        "base": image.base,
        "bytes": int(image.data.size),
        "sha256": hashlib.sha256(image.data.tobytes()).hexdigest(),
        "memory_bytes": image.end,
        "tokens": image.tokens,
        **({"batch": image.batch, "tokens_stride": image.stride} if image.batch > 1 else {}),
        "programs": {
            name: {
                "page": image.pages[name],
                "instructions": len(program),
                "notes": [[*astuple(purpose), size] for purpose, size in image.notes[name]],
            }
            for name, program in image.programs.items()
        },
        "regions": [asdict(region) for region in compiled.layout.regions.values()],
        "calibrated_on": calibrated,
        "steps": [asdict(step) for step in compiled.steps],
    }


def listing(image: Image, cycles: Mapping[str, Sequence[int]], regions: Sequence[Region] = ()) -> str:
    """The programs for a reader: number, word, bytes, cycles, what it is for, what it does.

    Where a unit beside that of tokens runs the products of the layers, a line names it and the region of its weights.
    """
    parts = []
    for name, program in image.programs.items():
        parts.append(f"; program {name}, page {image.pages[name]}, {len(program)} instructions\n")
        parts += _products(program, image.notes[name], regions)
        parts.append("; number  word              bytes  cycles  for                       instruction\n")
        times = cycles.get(name, [-1] * len(program))
        for number, (one, (purpose, size), time) in enumerate(
            zip(program, image.notes[name], times, strict=True)
        ):
            took = "" if time < 0 else f"{time}"
            parts.append(
                f"{number:8d}  {one.encode(image.units):016x}  {size or '':>5}  {took:>6}  {purpose!s:<24}  {one}\n"
            )
    return "".join(parts)


def _products(
    program: Sequence[Instruction], notes: Sequence[tuple[Purpose, int]], regions: Sequence[Region]
) -> Iterator[str]:
    """The line of a further unit that runs the products of the layers; none without one."""
    mine = {number: one for number, one in enumerate(program) if notes[number][0].step in PRODUCTS}
    unit = next((one.unit for one in mine.values() if one.unit in MORE), "")
    if unit:
        addresses = [
            one.value
            for number, one in mine.items()
            if notes[number][0].weights and (one.unit, one.register, one.kind) == ("load", _ADDRESS, "set")
        ]
        names = [region.name for region in regions if region.base <= addresses[0] < region.end]
        yield f"; products of the layers by {unit}, weights in region {', '.join(names) or 'unknown'}\n"


def read(folder: Path, hardware: Hardware) -> Image:
    """An image that was written for this hardware.

    Raises ``SpecError`` for a file that is not one, ``ParamError`` for one of other hardware.
    """
    path = folder / DESCRIPTION
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        data = np.frombuffer((folder / DATA).read_bytes(), np.uint8)
    except FileNotFoundError as problem:
        raise fault(str(problem.filename), "file must exist, and there is none; compile writes it") from None
    except (ValueError, RecursionError) as problem:
        raise fault(path, f"file must be JSON as compile writes it, and is not: {problem}") from None
    if not isinstance(said, dict) or said.get("schema") != SCHEMA:
        raise fault(path, f"schema must be {SCHEMA}, as compile writes it")
    _check(path, said, KEYS)
    if said["design_hash"] != hardware.design_hash:
        what = f"must be for this design, whose hash is {hardware.design_hash}"
        raise ParamError(f"{path}: image {what}, not for {said['design_hash']} ({said['hardware']})")
    if data.size != said["bytes"]:
        raise fault(folder / DATA, f"file must have {said['bytes']} bytes, not {data.size}")
    if hashlib.sha256(data.tobytes()).hexdigest() != said["sha256"]:
        raise fault(folder / DATA, "file must be as compile wrote it, and was changed; compile again")
    programs, pages, notes = {}, {}, {}
    for name, one in said["programs"].items():
        if not isinstance(one, dict):
            raise fault(path, f"program {name} must be an object, not {show(one)}")
        _check(path, one, PROGRAM_KEYS, f" of program {name}")
        at = one["page"] * PAGE - said["base"]
        if at < 0 or one["instructions"] < 0 or at + WORD_BYTES * one["instructions"] > data.size:
            raise fault(path, f"program {name} must lie in {DATA}, and does not")
        code = data[at : at + WORD_BYTES * one["instructions"]].tobytes()
        programs[name], pages[name] = instructions.disassemble(code, hardware.queues), one["page"]
        notes[name] = [_note(path, name, note) for note in one["notes"]]
        if len(notes[name]) != len(programs[name]):
            what = f"notes of program {name} must be {len(programs[name])}, one for each instruction"
            raise fault(path, f"{what}, not {len(notes[name])}")
    sizes = (said["tokens"], said["context"], said["vocab"])
    block = hardware.block if BLOCK in programs else 1
    beside = said.get("batch", 1), said.get("tokens_stride", 0)
    if not all(is_kind(one, int) for one in beside):
        raise fault(path, f"batch and tokens_stride must be integers, not {beside[0]!r} and {beside[1]!r}")
    _check_tokens(path, said, *beside)
    return Image(
        said["base"],
        data,
        programs,
        pages,
        notes,
        *sizes,
        said["checkpoint"],
        block,
        *beside,
        hardware.queues,
    )


def _check_tokens(path: Path, said: Mapping[str, Any], batch: int, stride: int) -> None:
    """Refuse tokens of sequences that do not lie one behind the other in front of the image."""
    if batch < 1:
        raise fault(path, f"batch must be at least 1, not {batch}")
    each = WORD * (said["context"] + 1)
    if said["tokens"] < 0 or said["tokens"] + (batch - 1) * stride + each > said["base"]:
        raise fault(path, f"tokens of every sequence must lie in front of base {said['base']}, and do not")
    if batch > 1 and stride < each:
        raise fault(path, f"tokens_stride must be at least {each}, the bytes of a sequence, not {stride}")


def _note(path: Path, name: str, note: Any) -> tuple[Purpose, int]:
    """Purpose of an instruction and its bytes, as :func:`described` writes them."""
    try:
        *purpose, size = note
        return Purpose(*purpose), int(size)
    except (TypeError, ValueError):
        raise fault(path, f"notes of program {name} must be as compile writes them, not {note!r}") from None


def _check(path: Path, said: Mapping[str, Any], keys: Mapping[str, type], where: str = "") -> None:
    """Refuse an object without a key, or with one of another kind."""
    for key, kind in keys.items():
        if key not in said:
            raise fault(path, f"{key}{where} must be given, as compile writes it, and is missing")
        if not is_kind(said[key], kind):
            raise fault(path, f"{key}{where} must be {kind_name(kind)}, not {show(said[key])}")
