"""Checkpoints in safetensors files: one, or several that an index lists.

Headers are read and checked by the package ``safetensors``, which maps files into memory and reads a tensor, or some of
its rows, when asked. What it lets pass is refused here: a name that a header gives twice, an index that points
elsewhere, shards that disagree with it. BF16 needs ``ml_dtypes``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blueprint.files import kinds
from blueprint.files.document import Section, read_json
from blueprint.files.nearest import suggestion
from checkpoints import packages
from checkpoints.faults import fault, of_tensor, shown
from checkpoints.stored import Stored

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
#: The largest header that the package reads.
_LARGEST_HEADER = 100_000_000


def read_folder(folder: Path) -> dict[str, Stored] | None:
    """All tensors of a folder, from its single file or by its index; ``None`` where it has neither.

    Raises ``SpecError``.
    """
    if (folder / SINGLE).exists():
        return read_file(folder / SINGLE)
    return _read_index(folder / INDEX) if (folder / INDEX).exists() else None


def read_file(path: Path) -> dict[str, Stored]:
    """The tensors of one file by name. Raises ``SpecError``."""
    package = packages.load("safetensors", "read safetensors files")
    header = _header(path)
    _check_size(path, _content(path, header), 8 + len(header))
    try:
        opened = package.safe_open(path, framework="numpy")
        slices = {str(name): opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
    except (package.SafetensorError, OSError, ValueError) as problem:
        raise fault(path, f"file must be valid safetensors, and it is not: {_reason(problem)}") from None
    if any(part.get_dtype() == "BF16" for part in slices.values()):
        packages.load("ml_dtypes", "read BF16 tensors")
    return {
        name: Stored(path, name, tuple(part.get_shape()), part.get_dtype(), _reader(path, name, part, opened))
        for name, part in slices.items()
    }


def check_whole(path: Path) -> None:
    """Refuse a file that is one of several. Raises ``SpecError``."""
    index = path.parent / INDEX
    if path.name != SINGLE and index.exists() and path.name in _places(read_json(index)).values():
        raise fault(
            path, f"file must hold a whole model, and is a part of one; name its folder, {path.parent}"
        )


def _header(path: Path) -> bytes:
    """The bytes of the header, if its length is one that the file can have."""
    if not path.is_file():
        raise fault(path, f"file must be a safetensors checkpoint, not {kinds.of_path(path)}")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > size - 8:
            raise _too_short(path, start, length, size)
        if length > _LARGEST_HEADER:
            raise fault(path, f"header must be at most {_LARGEST_HEADER} bytes, not {length}")
        return file.read(length)


def _too_short(path: Path, start: bytes, length: int, size: int) -> Exception:
    if len(start) == 8 and (found := kinds.of_path(path)) not in ("another file", "a safetensors checkpoint"):
        return fault(path, f"file must be a safetensors checkpoint, not {found}")
    if len(start) < 8:
        return fault(path, f"file must be a safetensors checkpoint, and has only {size} bytes")
    swapped = int.from_bytes(start, "big")
    order = ", or its bytes are in the order of another machine" if 0 < swapped <= size - 8 else ""
    what = f"header must end in the file, and its length says {length} of {size - 8} bytes"
    return fault(path, f"{what}: the file is truncated or no safetensors{order}")


def _content(path: Path, header: bytes) -> Any:
    """The header as JSON; refused where a name is there twice, of which the package keeps one."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names if len(set(names)) < len(names) else ():
            if names.count(name) > 1:
                raise of_tensor(path, name, "must be in the header once, not again")
        return dict(pairs)

    def integer(digits: str) -> int:
        if len(digits) > 19:
            raise fault(path, f"header must hold integers of 64 bits, not {shown(digits)}")
        return int(digits)

    try:
        return json.loads(header.decode(), object_pairs_hook=once, parse_int=integer)
    except RecursionError:
        raise fault(path, "header must not be nested so deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise fault(path, f"header must be JSON, and it is not: {_reason(problem)}") from None


def _check_size(path: Path, content: Any, start: int) -> None:
    """Refuse a file that is shorter or longer than its header says; what else may be wrong, the package finds."""
    entries = content.values() if isinstance(content, dict) else ()
    places = [entry.get("data_offsets") for entry in entries if isinstance(entry, dict)]
    ends = [place[-1] for place in places if isinstance(place, list) and place and isinstance(place[-1], int)]
    wanted, size = start + max(ends, default=0), path.stat().st_size
    if size < wanted:
        raise fault(path, f"file must have {wanted} bytes as its header says, not {size}: it is truncated")
    if size > wanted:
        raise fault(path, f"file must have {wanted} bytes as its header says, not {size}")


def _reader(path: Path, name: str, part: Any, opened: Any) -> Any:
    def read(first: int, last: int) -> NDArray[Any]:
        try:
            shape = part.get_shape()
            found = part[first:last] if shape and 0 not in shape else opened.get_tensor(name)
            return np.asarray(found)
        except (TypeError, ValueError, AttributeError) as problem:
            kind = part.get_dtype()
            raise of_tensor(
                path, name, f"must be of a kind that NumPy holds, not {kind}: {_reason(problem)}"
            ) from None

    return read


def _read_index(path: Path) -> dict[str, Stored]:
    section = read_json(path)
    places = _places(section)
    shards = {place: _shard(path, section, place, places) for place in dict.fromkeys(places.values())}
    return {name: shards[place][name] for name, place in places.items()}


def _places(section: Section) -> dict[str, str]:
    """The file of every tensor of an index."""
    places: dict[str, str] = section.take("weight_map", dict)
    for name, place in places.items():
        if not isinstance(place, str) or not place or Path(place).name != place or place in (".", ".."):
            what = f"{shown(name)} must be in a file of this folder, not in {shown(str(place))}"
            raise section.error("weight_map", what)
    return places


def _shard(path: Path, section: Section, place: str, places: Mapping[str, str]) -> dict[str, Stored]:
    """The tensors of one file of an index, if they are those that the index says."""
    shard = path.parent / place
    if not shard.exists():
        hint = suggestion(place, [file.name for file in path.parent.glob("*.safetensors")])
        raise section.error(
            "weight_map", f"file must be in this folder, and is missing: {shown(place)}{hint}"
        )
    found = read_file(shard)
    wanted = [name for name, where in places.items() if where == place]
    for name in wanted:
        if name not in found:
            raise of_tensor(
                shard, name, f"must be there as {path.name} says, and is missing{suggestion(name, found)}"
            )
    for name in found.keys() - set(wanted):
        where = f"{path.name} has it in {places[name]}" if name in places else f"{path.name} does not list it"
        raise of_tensor(shard, name, f"must be where the index says, and {where}")
    return found


def _reason(problem: BaseException) -> str:
    """Message of a package, shortened to one line."""
    text = " ".join(str(problem).removeprefix("Error while deserializing header: ").split())
    return text if len(text) <= 160 else f"{text[:140]}..."
