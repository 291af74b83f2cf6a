"""Sum and difference of the same two operands, with shared alignment."""

from functools import partial

from amaranth.hdl import Cat, Const, Mux, Value
from amaranth.lib import data

from blueprint.arithmetic.floating import ADD_DELAYS, FloatFormat
from generator.arithmetic.floating import add
from generator.arithmetic.floating.pipeline import FloatBlock, Results, Step, Values, Wires, suffix
from generator.arithmetic.floating.words import is_special, pack, rounded, subtract
from generator.layout import bits, side_by_side

#: Values between the steps that belong to both results.
_BOTH = ("sum_sign", "difference_sign", "minus", "special", "sum_nan", "difference_nan")


def pair_layout(fmt: FloatFormat) -> data.StructLayout:
    """The layout of a result: ``sum`` is ``a + b``, ``difference`` is ``a - b``."""
    return data.StructLayout({"sum": fmt.width, "difference": fmt.width})


def steps(fmt: FloatFormat) -> tuple[Step, ...]:
    """Compute ``result``, a :func:`pair_layout`, from ``a`` and ``b`` by the steps of an addition."""
    found = (_order, partial(_align, fmt), partial(_totals, fmt), partial(_normalize, fmt))
    return (*found, partial(_round, fmt))


def _order(w: Wires, v: Values) -> Results:
    a, b = v.a, v.b
    swap = w("swap", a[:-1] < b[:-1])
    return {
        "large": w.either("large", swap, b[:-1], a[:-1]),
        "small": w.either("small", swap, a[:-1], b[:-1]),
        "sum_sign": w.either("sum_sign", swap, b[-1], a[-1]),
        "difference_sign": w.either("difference_sign", swap, ~b[-1], a[-1]),
        "minus": w("minus", a[-1] ^ b[-1]),
    }


def _align(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    found = add.aligned(fmt, w, v.large, v.small)
    infinite, nan = is_special(fmt, v.large)
    invalid = {"sum_nan": w("sum_nan", nan)}
    if fmt.infinities:
        both = v.small[fmt.fraction_bits :].all() & infinite
        invalid = {
            "sum_nan": w("sum_nan", nan | (both & v.minus)),
            "difference_nan": w("difference_nan", nan | (both & ~v.minus)),
            "special": w("special", infinite | nan),
        }
    return _kept(v) | invalid | found


def _kept(v: Values) -> Results:
    return {name: v[name] for name in _BOTH if name in v}


def _totals(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    """Sum and difference of the magnitudes; the sticky bit borrows from the difference."""
    width = fmt.fraction_bits + 3
    x, y, lost = v.x, v.y, v.lost
    plus = Cat(Const(0, 2), x) + y
    less = Cat(Const(1, 1), Const(0, 2), x) + Cat(~lost, ~y)
    found = {"plus": w("plus", plus[: width + 1]), "less": w("less", less[1 : width + 1])}
    return _kept(v) | v.keep("lost", "exponent") | found


def _normalize(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    plus, lost = v.plus, v.lost
    # The leading bit of a sum is the top bit or the next one; a subnormal sum is treated like the latter.
    carry = plus[-1]
    moved = w.either("plus_normal", carry, plus, Cat(Const(0, 1), plus)[: len(plus)])
    base = subtract(v.exponent, ~carry, fmt.exponent_bits)
    found = {
        "plus_base": w("plus_base", base),
        "plus_significand": moved[3:],
        "plus_guard": moved[2],
        "plus_sticky": w("plus_sticky", moved[0] | moved[1] | lost),
    }
    less = Values(add.normalized(fmt, w, Cat(v.less, Const(0, 1)), v.exponent, lost))
    found |= {
        "less_base": less.base,
        "less_significand": less.significand,
        "less_guard": less.guard,
        "less_sticky": w("less_sticky", less.sticky),
    }
    return _kept(v) | found


def _round(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    def magnitude(path: str, base: Value, significand: Value, guard: Value, sticky: Value) -> Value:
        whole = rounded(Wires(w.m, path), fmt, base, significand, guard, sticky)
        return whole[: fmt.width - 1] if fmt.infinities else whole

    plus = magnitude("plus_", v.plus_base, v.plus_significand, v.plus_guard, v.plus_sticky)
    less = magnitude("less_", v.less_base, v.less_significand, v.less_guard, v.less_sticky)
    zero, special = w("zero", ~less.any()), v.get("special", Const(0, 1))

    def signed(path: str, takes: Value, sign: Value, nan: Value) -> Value:
        inside = Wires(w.m, path)
        value = inside("magnitude", Mux(takes, less, plus))
        return pack(inside, fmt, value, sign & ~(takes & zero), special, nan)

    total = signed("sum_", v.minus, v.sum_sign, v.sum_nan)
    nan = v.get("difference_nan", v.sum_nan)
    difference = signed("difference_", ~v.minus, v.difference_sign, nan)
    return {"result": bits(side_by_side(sum=total, difference=difference))}


class FloatPair(FloatBlock):
    """Adds and subtracts the same two floats, rounded to nearest even; the sum stands in the lower half."""

    def __init__(self, fmt: FloatFormat, *, stages: int = 0, separate: bool = False) -> None:
        self.format = fmt
        operands = {"a": fmt.width, "b": fmt.width}
        name = f"fp_pair_{suffix(fmt, False)}"
        super().__init__(name, operands, pair_layout(fmt), steps(fmt), ADD_DELAYS, stages, False, separate)
