"""Steps that evaluate a piecewise polynomial of a fraction (:class:`Polynomial`), by Horner's rule."""

from amaranth.hdl import Const, Mux, Value

from blueprint.arithmetic.softmax.exponential import GUARD, Polynomial
from generator.arithmetic.floating.pipeline import Results, Values, Wires
from generator.arithmetic.integers import zero_extend


def looked_up(table: list[Value], address: Value) -> Value:
    """The entry of a table at an address, by a tree of multiplexers; the length of the table is a power of two."""
    while len(table) > 1:
        table = [Mux(address[0], high, low) for low, high in zip(table[::2], table[1::2], strict=True)]
        address = address[1:]
    return table[0]


def column(w: Wires, poly: Polynomial, power: int, f: Value) -> Value:
    """The coefficient of ``power`` for the segment that ``f`` lies in."""
    width = max(poly.coefficients[power]).bit_length()
    table = [Const(value, width) for value in poly.coefficients[power]]
    return w(f"c{power}", looked_up(table, f[poly.u_bits :]))


def slope(poly: Polynomial, w: Wires, v: Values) -> Results:
    """Step: the inner sum of a quadratic polynomial; a linear one has none and passes its values on."""
    if len(poly.coefficients) < 3:
        return v
    u = v.f[: poly.u_bits]
    square = w("square", column(w, poly, 2, v.f) * u)
    slope = column(w, poly, 1, v.f) + square[poly.u_bits :]
    return {"slope": w("slope", zero_extend(slope, poly.sum_widths[1]))} | v.keep("f", "amount", "flag")


def mantissa(poly: Polynomial, w: Wires, v: Values) -> Results:
    """Step: the fraction bits of the result, which lies from 1 to 2."""
    total = column(w, poly, 0, v.f)
    if len(poly.coefficients) > 1:
        slope = v.slope if "slope" in v else column(w, poly, 1, v.f)
        product = w("product", slope * v.f[: poly.u_bits])
        total = total + product[poly.u_bits :]
    total = w("total", zero_extend(total, poly.sum_widths[0]))
    mantissa = total[GUARD : poly.scale]
    if poly.reaches_two:
        mantissa = mantissa | total[-1].replicate(len(mantissa))
    return {"mantissa": w("mantissa", mantissa)} | v.keep("amount", "flag")


def evaluated(poly: Polynomial, w: Wires, f: Value) -> Value:
    """The fraction bits of the polynomial at ``f``, without registers."""
    return Values(mantissa(poly, w, Values(slope(poly, w, Values(f=f))))).mantissa
