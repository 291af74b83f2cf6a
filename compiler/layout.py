"""The layout of a model in memory: first the regions that runs change, then those of the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from blueprint.numbers import ceil_div
from blueprint.systems.address_map import PAGE, Region

Octets = NDArray[np.uint8]
#: Regions inside a page begin at multiples of this many bytes, so that no small vector is split over two bursts.
ALIGNMENT = 64


@dataclass
class Layout:
    """Regions in the order of their addresses, and the contents of those of the image.

    Regions that runs change come before all others, so that what an image has is one piece, from ``base`` on. A region
    of the image whose contents are not known has its size alone.
    """

    regions: dict[str, Region] = field(default_factory=dict)
    contents: dict[str, Octets] = field(default_factory=dict)
    end: int = 0
    base: int = -1

    def reserve(self, name: str, size: int, text: str, *, page: bool = False) -> Region:
        """A region of memory that runs write. Raises ``ValueError`` after the first region with contents."""
        if self.base >= 0:
            raise ValueError(f"Region {name} must be reserved before those with contents")
        return self._add(name, size, text, page)

    def place(self, name: str, data: Octets | int, text: str) -> Region:
        """A region of the image at a page, with its contents or of so many bytes."""
        region = self._add(name, data if isinstance(data, int) else data.size, text, True)
        if not isinstance(data, int):
            self.contents[name] = data.reshape(-1)
        self.base = region.base if self.base < 0 else self.base
        return region

    def _add(self, name: str, size: int, text: str, page: bool) -> Region:
        step = PAGE if page else ALIGNMENT
        base = ceil_div(self.end, step) * step
        found = Region(name, base, ceil_div(size, step) * step, text)
        self.regions[name], self.end = found, found.end
        return found

    def __getitem__(self, name: str) -> Region:
        return self.regions[name]

    def image(self) -> Octets:
        """Bytes of memory from `base` on."""
        base = self.base
        found = np.zeros(self.end - base, np.uint8)
        for name, data in self.contents.items():
            begin = self.regions[name].base - base
            found[begin : begin + data.size] = data
        return found


class Constants:
    """FP32 numbers that runs are scaled by, as arrays with their places in a region.

    Equal numbers have places of their own, so that where they are follows from shapes alone.
    """

    def __init__(self) -> None:
        self._values: list[int] = []

    def words(self, *patterns: int) -> int:
        """Byte offset of words that follow one another."""
        place = 4 * len(self._values)
        self._values += patterns
        return place

    def numbers(self, *values: float) -> int:
        """Byte offset of FP32 numbers that follow one another."""
        return self.words(*(int(np.float32(value).view(np.uint32)) for value in values))

    def data(self) -> Octets:
        """The region."""
        return np.array(self._values, "<u4").view(np.uint8)


def contained(values: NDArray[np.int64], container: int) -> Octets:
    """Elements in containers of so many bytes, little-endian."""
    kinds: Mapping[int, str] = {1: "<i1", 2: "<i2", 4: "<i4", 8: "<i8"}
    wide = np.ascontiguousarray(values, "<i8").view(np.uint8).reshape(-1, 8)
    found: Octets = np.ascontiguousarray(wide[:, : np.dtype(kinds[container]).itemsize]).reshape(-1)
    return found
