"""What the registers of a design answer: a model of its AXI4-Lite side for the bench."""

from __future__ import annotations

from collections.abc import Mapping

from blueprint.axi import ALL_BYTES, status_bit
from blueprint.port import Register
from blueprint.shell import STATUS
from blueprint.spec import Spec


class Shell:
    """Registers of a design by name, what is written to them and what they then read as."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.registers: dict[str, Register] = {register.name: register for register in spec.registers()}
        self.most = {size.name: int(size.most) for size in spec.sizes}
        self.held: dict[str, int] = dict.fromkeys(self.most, 0)

    def address(self, name: str) -> int:
        return self.registers[name].address

    def width(self, name: str) -> int:
        return self.registers[name].fields["value"][1]

    def bit(self, flag: str) -> int:
        """The mask of a bit of the status register."""
        return status_bit(self.registers["status"].fields, flag)

    @property
    def own(self) -> int:
        """The mask of the status bits that a family has of its own, which may rise at any time of a run."""
        return sum(self.bit(flag) for flag in self.registers["status"].fields if flag not in STATUS)

    def clear(self) -> None:
        self.held = {name: self.registers[name].reset for name in self.held}

    def write(self, name: str, value: int, strobe: int = ALL_BYTES) -> None:
        lanes = sum(255 << 8 * lane for lane in range(4) if strobe >> lane & 1)
        self.held[name] = (self.held[name] & ~lanes) | (value & lanes)

    def reads(self, name: str) -> int:
        """What a size reads as; all ones where too large a number for the register was written."""
        ones = (1 << self.width(name)) - 1
        return self.held[name] if self.held[name] <= ones else ones

    def legal(self, values: Mapping[str, int]) -> bool:
        """Whether the hardware starts with these sizes."""
        return self.spec.refuses(values) is None

    def unmapped(self) -> list[int]:
        """Word addresses within the address bus that no register has."""
        taken = {register.address for register in self.registers.values()}
        return [address for address in range(0, 64, 4) if address not in taken]
