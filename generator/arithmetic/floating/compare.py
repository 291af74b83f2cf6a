"""Maximum and negation; neither rounds."""

from functools import partial

from amaranth.hdl import Cat, Const, Mux

from blueprint.arithmetic.floating import FloatFormat
from generator.arithmetic.floating.pipeline import FloatBlock, Results, Step, Values, Wires
from generator.arithmetic.floating.words import is_special


def maximum_steps(fmt: FloatFormat) -> tuple[Step, ...]:
    """Steps from ``a`` and ``b`` to ``result``: compare, select."""
    return partial(_compare, fmt), partial(_choose, fmt)


def _compare(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    a, b = v.a, v.b
    nan = is_special(fmt, a)[1] | is_special(fmt, b)[1]
    # Sign and magnitude become unsigned numbers in the same order; a set sign reverses the order of magnitudes.
    keys = [Cat(word[:-1] ^ word[-1].replicate(len(word) - 1), ~word[-1]) for word in (a, b)]
    return {"a": a, "b": b, "less": w("less", keys[0] < keys[1]), "nan": w("nan", nan)}


def _choose(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    larger = w.either("larger", v.less, v.b, v.a)
    return {"result": Mux(v.nan, Const(fmt.canonical_nan, fmt.width), larger)}


def negate_steps(fmt: FloatFormat) -> tuple[Step, ...]:
    """Negate ``a`` into ``result`` in one step."""
    return (partial(_negate, fmt),)


def _negate(fmt: FloatFormat, w: Wires, v: Values) -> Results:
    a = v.a
    nan = w("nan", is_special(fmt, a)[1])
    return {"result": Mux(nan, Const(fmt.canonical_nan, fmt.width), Cat(a[:-1], ~a[-1]))}


class FloatMax(FloatBlock):
    """Gives the larger of two floats, NaN if one is a NaN, +0 rather than -0."""

    def __init__(self, fmt: FloatFormat, *, stages: int = 0, handshake: bool = False) -> None:
        self.format = fmt
        operands = {"a": fmt.width, "b": fmt.width}
        super().__init__(
            f"fp_max_{fmt.name}", operands, fmt.width, maximum_steps(fmt), (5, 1), stages, handshake
        )


class FloatNegate(FloatBlock):
    """Changes the sign of a float."""

    def __init__(self, fmt: FloatFormat, *, stages: int = 0, handshake: bool = False) -> None:
        self.format = fmt
        super().__init__(
            f"fp_negate_{fmt.name}", {"a": fmt.width}, fmt.width, negate_steps(fmt), (1,), stages, handshake
        )
