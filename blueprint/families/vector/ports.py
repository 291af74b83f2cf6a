"""Ports of a vector unit: rows, second operands, gains, results and registers."""

from __future__ import annotations

from blueprint.families.vector.parameters import (
    DRAWN_MOST,
    INDEX_WIDTH,
    INTEGER_WIDTH,
    SCALE_WIDTH,
    VectorParameters,
)
from blueprint.numbers import Number, bit_length
from blueprint.port import BeatLoop, Operand, Operation, Stream
from blueprint.record import Field, Place, Record
from blueprint.shell import RegisterFile, Size
from blueprint.workloads.tasks import Rowwise

#: What each stall counter counts.
_WAITS = {
    "input": "cycles without a second operand or a gain",
    "memory": "cycles without a beat of a row",
    "output": "cycles without room for another row",
}
_SIZES = ("rows", "length", "operation")
_SCALES = {
    "weight_scale": "scale of the weights that a row of sums is of",
    "row_scale": "scale of the row that the sums are of",
}


def operation(p: VectorParameters) -> Operation:
    """The chain of operations; a run applies those that its operation names."""
    inputs = [Operand("x", ("rows", "length"), "rows: floats, or sums of INT32 to dequantize")]
    if p.dequantizes:
        inputs += [Operand(name, ("rows",), meaning) for name, meaning in _SCALES.items()]
    if p.takes_operand:
        inputs.append(Operand("operand", ("rows", "length"), _SECOND + _PAIRS * p.rotates))
    inputs.append(
        Operand("gain", ("length",), "gain of the norm" + ", or the other factor of dot" * p.dotted)
    )
    outputs = [
        Operand("out", ("rows", "length"), "results"),
        Operand("quantized", ("rows", "length"), "the same, rounded to integers of 8 bits"),
        Operand("scale", ("rows",), "what quantized results have to be multiplied by"),
    ]
    computes = _COMPUTES.replace(_RELU2, _SILU) if p.activation == "silu" else _COMPUTES
    if p.rotates:
        computes = computes.replace("; norm", f"; {_ROTATES}; norm")
    if p.dots:
        computes += f"; {_DOTS}"
        outputs += [Operand("dot", ("rows",), _ROWS["dot"]), Operand("index", (), _ROWS["index"])]
    bits = ", ".join(f"{name} {1 << place}" for place, name in enumerate(p.operations))
    alone = "; dot without norm and quantize" * p.dotted
    if p.samples:
        outputs[-1] = Operand("index", (), _ROWS["index"] + _OR_DRAWN + _AMONG * (p.top_k > 0))
        computes = computes.replace(_DOTS, _DOTS + _DRAWS)
    given = {"operation": f"1, and for what a run applies besides: {bits}{alone}"}
    given |= _DRAWN if p.samples else {}
    given |= _FEW if p.top_k else {}
    return Operation(
        computes, tuple(inputs), tuple(outputs), {name: name for name in (*_SIZES, *given)}, given
    )


#: Formulas of the gates.
_RELU2, _SILU = "max(x, 0)**2 * operand", "x / (1 + exp(-x)) * operand"
_COMPUTES = (
    f"in this order, what the operation names: dequantize, x * weight_scale * row_scale; gate, {_RELU2}; "
    "add, x + operand; norm, x * gain / sqrt(mean of x**2 + epsilon); quantize, round(127 * x / largest magnitude)"
)
#: Formulas of the optional operations.
_ROTATES = "rotate, (e c - o s, o c + e s) of neighbors (e, o), whose operand is (c, s)"
_DOTS = "dot, the sum of x * gain over a row, and the row with the largest"
_DRAWS = ", or of dot * inverse_temperature + noise"
_OR_DRAWN = "; where inverse_temperature is a normal number, that of dot * inverse_temperature + noise"
#: Registers of a run that draws a row.
_DRAWN = {
    "inverse_temperature": "FP32 pattern of 1 / temperature; 1 draws nothing",
    "seed": "1 plus the seed of the noise",
    "position": "1 plus the position of the noise",
}
_FEW = {
    "top_k": "1 plus how many rows with the largest dot, the first of equals, one is drawn from; 1 draws from all"
}
_AMONG = ", of the rows that top_k leaves"
#: Meaning of a second operand.
_SECOND, _PAIRS = "second operand of a gate or of a sum", ", or cosine and sine of every pair that is rotated"
#: The results of a row of a run that takes dot products.
_ROWS = {
    "dot": "sum of x * gain over the row where a run asks for dot, else of x**2",
    "index": "the row with the largest dot, the first of equals; NaN is larger than infinity",
}


def register_file(p: VectorParameters) -> RegisterFile:
    """Registers for rows, their length and the operation; an operation that the design lacks is refused."""
    operations = p.operation_bits
    sizes = (
        Size("rows", p.rows_max, bit_length(p.rows_max), "rows of the next run"),
        Size("length", p.length_max, bit_length(p.length_max), "elements of a row of the next run"),
        Size("operation", p.operation_max, operations, "1 plus the bits of what the next run applies"),
    )
    drawn = (
        Size(name, DRAWN_MOST[name], bit_length(DRAWN_MOST[name]), text, p.sampled, later=True)
        for name, text in _DRAWN.items()
    )
    few = Size("top_k", p.top_k + 1, p.top_bits, _FEW["top_k"], p.listed, later=True)
    return RegisterFile((*sizes, *drawn, few), _WAITS)


def register_values(p: VectorParameters, task: Rowwise) -> dict[str, int]:
    """Values of the size registers of a run."""
    sizes = {"rows": task.rows, "length": task.length, "operation": p.operation_value(task.operation)}
    return sizes | p.drawn_values(task)


def asked(p: VectorParameters, *names: str) -> str:
    """1 where the operation of a run has one of these names, as an expression of the manifest."""
    places = [p.operations.index(name) for name in names if name in p.operations]
    bits = [f"(operation - 1) // {1 << place} % 2" for place in places]
    return bits[0] if len(bits) == 1 else f"min({' + '.join(bits)}, 1)"


def streams(p: VectorParameters) -> tuple[Stream, ...]:
    """The AXI4-Stream ports; a second operand and gains come only in runs that apply them."""
    beats = BeatLoop("beat", f"ceil(length / {p.lanes})")
    rows = (BeatLoop("row", "rows"), beats)
    x = _elements(p, "x", p.x_width, "one element of a row", signed=p.dequantizes > 0)
    scales = tuple(_scale(name, f"{meaning}, in every beat") for name, meaning in _SCALES.items())
    operand = _elements(p, "operand", p.element_width, "one element of a second operand")
    gain = _elements(p, "gain", p.element_width, "the gain of an element")
    out = _elements(p, "out", p.element_width, "one result")
    quantized = _elements(p, "quantized", INTEGER_WIDTH, "one result as an integer", signed=True)
    results = [out, quantized, _scale("scale", "scale of a row of integers, in every beat")]
    if p.dots:
        results += [_scale("dot", f"{_ROWS['dot']}; in every beat"), _index()]
    found = [Stream("x", "in", Record((x, *scales) if p.dequantizes else (x,)), rows)]
    if p.takes_operand:
        count = f"rows * ({asked(p, 'gate', 'add', 'rotate')})"
        found.append(Stream("operand", "in", Record((operand,)), (BeatLoop("row", count), beats)))
    count = f"rows * ({asked(p, 'norm', 'dot')})"
    found.append(Stream("gain", "in", Record((gain,)), (BeatLoop("row", count), beats)))
    return (*found, Stream("out", "out", Record(tuple(results)), rows))


def _elements(
    p: VectorParameters, name: str, width: Number, meaning: str, signed: bool | None = None
) -> Field:
    """A field of one element a lane; floats unless it says whether its integers are signed."""
    column = f"beat * {p.lanes} + lane"
    place = Place(name, (column,) if name == "gain" else ("row", column))
    whole = signed is True
    return Field(
        name, width, (p.lanes,), whole, "int" if whole else p.format, axes=("lane",), meaning=meaning, holds=place
    )  # fmt: skip


def _scale(name: str, meaning: str) -> Field:
    return Field(name, SCALE_WIDTH, (), False, "fp32", meaning=meaning, holds=Place(name, ("row",)))


def _index() -> Field:
    """The result of a whole run: the last beat has it."""
    meaning = f"of the rows so far, {_ROWS['index']}; that of the run in its last beat"
    return Field("index", INDEX_WIDTH, (), False, meaning=meaning, holds=Place("index", ()))
