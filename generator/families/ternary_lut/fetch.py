"""Reading a table by a weight key."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import ternary
from blueprint.families.ternary_lut import TernaryLutSpec
from generator.arithmetic.integers import add, one_of, zero_extend
from generator.block import Block, drive, register
from generator.layout import element, elements


class TritUnpack(Block):
    """Unpacks a byte of five base-3 digits into five two's complement weights of two bits."""

    place = "recode"

    def __init__(self, spec: TernaryLutSpec) -> None:
        super().__init__(
            f"{spec.family}_trits", {"byte": In(8), "weight": Out(ArrayLayout(2, 5))}, clocked=False
        )

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        weights = ternary.raw_weights(5).tolist()
        lines = [self.byte == raw for raw in range(len(weights))]
        words = [Const(sum((w & 3) << 2 * place for place, w in enumerate(group)), 10) for group in weights]
        m.d.comb += self.weight.eq(one_of(lines, words))
        return m


class Fetch(Block):
    """Reads one entry of a table for every token lane, all by one key, and complements it where the key says so.

    ``value`` has its top bit inverted (offset binary) when a carry-save reduction follows; the +1 that completes a
    negation leaves as ``sign``. For a float only the sign bit flips, which completes the negation. A key that belongs
    to no group may read anything.
    """

    place = "fetch"

    def __init__(self, spec: TernaryLutSpec) -> None:
        self.spec = spec
        self.registered = spec.fetch_register
        self.latency = "1 cycle" if self.registered else self.latency
        self.encoding = "two_bit" if spec.key_encoding == "five_trits" else spec.key_encoding
        width, lanes = spec.entry_width, spec.token_lanes
        form = "float" if spec.floats else "offset" if spec.reduction == "carry_save" else "signed"
        style = f"{spec.table_style}_{self.encoding}_{form}"
        held = "_reg" if self.registered else ""
        name = f"{spec.family}_fetch_mu{spec.mu}_w{width}_t{lanes}_{style}{held}"
        ports = {
            "key": In(ternary.key_width(self.encoding, spec.mu)),
            "entry": In(ArrayLayout(ArrayLayout(width, spec.entries), lanes)),
            "enable": In(1 if self.registered else 0),
            "value": Out(ArrayLayout(width, lanes)),
            "sign": Out(1 if spec.half and not spec.floats else 0),
        }
        super().__init__(name, ports, clocked=self.registered)

    def elaborate(self, platform: Any) -> Module:
        spec, m = self.spec, self.module()
        width = spec.entry_width
        sign, index = self._address(m)
        tables = [elements(table) for table in self.entry]
        lines = [self._line(index, number) for number in range(spec.entries)]
        found = [one_of(lines, table) for table in tables]
        if spec.floats:
            values: list[Value] = [Cat(lane[:-1], lane[-1] ^ sign) for lane in found]
        else:
            offset = 1 << (width - 1) if spec.reduction == "carry_save" else 0
            values = [lane ^ sign.replicate(width) ^ Const(offset, width) for lane in found]
        self._leave(m, values, sign)
        return m

    def _line(self, index: Value, number: int) -> Value:
        """1 if the key reads stored entry ``number``."""
        if not ternary.sparse_keys(self.spec.mu) or not self.spec.half or self.encoding != "sign_index":
            return index == self._raw_index(number)
        bits = ternary.telling_bits(self.spec.mu, number)
        return Cat(*(index[bit] if number >> bit & 1 else ~index[bit] for bit in bits)).all()

    def _raw_index(self, number: int) -> int:
        """The key of stored entry ``number``: a full table has no entry for the all-zero group in its middle."""
        return number if self.spec.half or number < self.spec.entries // 2 else number + 1

    def _leave(self, m: Module, values: list[Value], sign: Value) -> None:
        if self.registered:
            width = self.spec.entry_width
            values = [register(m, width, f"held{lane}", self.enable, v) for lane, v in enumerate(values)]
            if len(self.sign):
                sign = register(m, 1, "held_sign", self.enable, sign)
        drive(m, self.value, Cat(*values))
        if len(self.sign):
            m.d.comb += self.sign.eq(sign)

    def _address(self, m: Module) -> tuple[Value, Value]:
        """(sign, table address) of the key; a full table has no sign."""
        mu, half = self.spec.mu, self.spec.half
        if self.encoding == "sign_index":
            key = element(ternary.key_field(self.encoding, mu, 1, 1))(self.key)
            if half:
                return key.sign, key.index
            return Const(0, 1), self._mirror(key.sign, key.index, ternary.key_width("full_index", mu))
        if self.encoding == "full_index" and not half:
            return Const(0, 1), self.key
        zero = ternary.half_entries(mu)
        raw = self._raw(m)
        if not half:
            return Const(0, 1), raw
        sign = raw > zero
        return sign, self._mirror(sign, raw, len(raw))[: ternary.key_width("sign_index", mu) - 1]

    def _mirror(self, condition: Value, index: Value, width: int) -> Value:
        """The index of the negated group where the condition holds."""
        wide = zero_extend(index, width)
        last = Const(3**self.spec.mu - 1, width)
        return Mux(condition, (last - wide)[:width], wide)

    def _raw(self, m: Module) -> Value:
        mu = self.spec.mu
        width = ternary.key_width("full_index", mu)
        if self.encoding == "full_index":
            return self.key
        # Digit 1 - w: one place value unless the weight is +1 (01), two where it is -1 (11).
        total: Value = Const(0, width)
        for position, weight in enumerate(elements(ArrayLayout(2, mu)(self.key))):
            place = Const(3 ** (mu - 1 - position), width)
            unless_plus = ~(weight[0] & ~weight[1])
            minus = weight[1]
            total = add(total, place & unless_plus.replicate(width), None, width)
            total = add(total, place & minus.replicate(width), None, width)
        raw = Signal(width, name="raw")
        m.d.comb += raw.eq(total)
        return raw


class FetchRow(Block):
    """Reads one table by the keys of all output columns."""

    place = "fetch"

    def __init__(self, spec: TernaryLutSpec) -> None:
        fetch = self.fetch = Fetch(spec)
        self.latency, self.columns = fetch.latency, spec.fetch_count
        ports = {
            "key": In(ArrayLayout(len(fetch.key), self.columns)),
            "entry": In(fetch.entry.shape()),
            "enable": In(len(fetch.enable)),
            "value": Out(ArrayLayout(fetch.value.shape(), self.columns)),
            "sign": Out(self.columns * len(fetch.sign)),
        }
        name = fetch.module_name.replace("_fetch_", f"_fetches{self.columns}_")
        super().__init__(name, ports, clocked=fetch.clocked)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        signs = list(self.sign) or [Const(0, 0)] * self.columns
        for column in range(self.columns):
            self.use(
                m, self.fetch, f"fetch{column}", key=self.key[column], entry=self.entry, enable=self.enable,
                value=self.value[column], sign=signs[column],
            )  # fmt: skip
        return m
