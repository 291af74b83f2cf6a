"""What an array computes, bit for bit, how it travels, and random cases to try it on.

Float sums: the products of an element (one per lane) are added pairwise, neighbors first, an odd one waiting for the
next level. Where sums stay, beats are added one after the other to a sum that starts at +0. Where weights stay, the
rows of a tile are added first to last, starting with the first row's products, then tiles one after the other to a
sum that starts at +0. A reduction that always fits one beat or tile starts at no sum, unless a single selected
activation would be all of it. Missing activations and weights are +0 and take part.

Ternary weights: a lane's product is its activation in the format of sums (every one is a number there), the same with
its sign flipped, or +0, which takes part in the sums as any other number: -0 + +0 is +0. A weight of zero keeps an
infinity or NaN out of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import floating
from blueprint.arithmetic.floating import FloatFormat
from blueprint.arithmetic.processing import SERIAL
from blueprint.arithmetic.processing.golden import partial
from blueprint.arithmetic.sparsity import Pattern, encode, prune
from blueprint.families.systolic import elements, sparsity
from blueprint.families.systolic.schedule import is_whole
from blueprint.numbers import choose, larger
from blueprint.workloads.tasks import Gemm

if TYPE_CHECKING:
    from blueprint.families.systolic.spec import SystolicSpec

Integers = npt.NDArray[np.int64]
Octets = npt.NDArray[np.uint8]

#: Bits of a sum that float64 adds up exactly, with a sign.
_EXACT = 53


def product(spec: SystolicSpec, act: Integers, wgt: Integers) -> Integers:
    """``act @ wgt`` in the arithmetic of ``spec``."""
    if spec.floats:
        return _floats(spec, floating.get(spec.sum_format), act, wgt)
    if spec.result_width > _EXACT:
        return act @ wgt
    return (act.astype(np.float64) @ wgt.astype(np.float64)).astype(np.int64)


def _floats(spec: SystolicSpec, fmt: FloatFormat, act: Integers, wgt: Integers) -> Integers:
    """Beat by beat, or tile by tile and in it row by row."""
    beats = -(-act.shape[1] // spec.beat_k)
    rows = spec.rows if spec.stationary else 1
    acts = _pad(act, len(act), beats * spec.beat_k).reshape(len(act), beats * rows, -1)
    values, places = _travelling(spec, wgt, beats * spec.beat_k)
    lanes = values.reshape(beats * rows, spec.depth, -1), places.reshape(beats * rows, spec.depth, -1)
    total = np.zeros((len(act), wgt.shape[1]), dtype=np.int64)
    for beat in range(beats):
        found = _dot(spec, acts[:, beat * rows], lanes[0][beat * rows], lanes[1][beat * rows])
        for row in range(beat * rows + 1, (beat + 1) * rows):
            found = floating.add(fmt, found, _dot(spec, acts[:, row], lanes[0][row], lanes[1][row]))
        total = floating.add(fmt, total, found) if spec.accumulates else found
    return total


def _dot(spec: SystolicSpec, act: Integers, values: Integers, places: Integers) -> Integers:
    """Sum of an element's products: ``act`` (m, lanes), weights and their places (depth, n)."""
    first = (np.arange(spec.depth) // spec.kept * spec.group)[:, None]
    chosen = act[:, first + places].transpose(0, 2, 1)
    return partial(spec.element, np.broadcast_to(values.T, chosen.shape), chosen)


def _travelling(spec: SystolicSpec, wgt: Integers, rows: int) -> tuple[Integers, Integers]:
    """(weights, places) of what travels of a matrix padded to so many rows."""
    padded = _pad(wgt, rows, wgt.shape[1])
    if spec.group == 1:
        return padded, np.zeros_like(padded)
    return encode(padded, Pattern(spec.kept, spec.group))


def operands(spec: SystolicSpec, workload: Gemm, seed: int) -> dict[str, Integers]:
    """Random operands, extremes included; weights as sparse as the array takes them."""
    random = np.random.default_rng(seed)
    sizes = (workload.m, workload.k), (workload.k, workload.n)
    if spec.floats:
        fmt = floating.get(spec.activation)
        act = _float_operands(fmt, random, sizes[0])
        wgt = random.integers(-1, 2, sizes[1]) if spec.selects else _float_operands(fmt, random, sizes[1])
    else:
        act = _whole_operands(spec.act_width, random, sizes[0])
        ternary = spec.pe == "ternary" or (spec.flexible and random.random() < 0.5)
        wgt = (
            random.integers(-1, 2, sizes[1])
            if ternary
            else _whole_operands(spec.weight_width, random, sizes[1])
        )
    return {"act": act, "wgt": _thinned(spec, wgt, random)}


def _thinned(spec: SystolicSpec, wgt: Integers, random: np.random.Generator) -> Integers:
    """As few weights other than zero in a group as the array takes, whichever."""
    if spec.group == 1:
        return wgt
    drawn = prune(1 + random.permutation(wgt.size).reshape(wgt.shape), Pattern(spec.kept, spec.group))
    return np.where(drawn > 0, wgt, 0)


def typical_operands(spec: SystolicSpec, workload: Gemm, seed: int) -> dict[str, Integers]:
    """Activations uniform over their width or normal floats of deviation 1; weights that a flexible element packs."""
    random = np.random.default_rng(seed)
    sizes = (workload.m, workload.k), (workload.k, workload.n)
    if spec.floats:
        fmt = floating.get(spec.activation)
        act, wgt = (floating.from_float64(fmt, random.standard_normal(shape)) for shape in sizes)
        wgt = random.integers(-1, 2, sizes[1]) if spec.selects else wgt
    else:
        act = random.integers(-(1 << (spec.act_width - 1)), 1 << (spec.act_width - 1), sizes[0])
        least = 1 if spec.pe == "ternary" or spec.flexible else 1 << (spec.weight_width - 1)
        wgt = random.integers(-least, max(least, 2), sizes[1])
    return {"act": act, "wgt": _thinned(spec, wgt, random)}


def _whole_operands(width: int, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
    """Two's complement numbers of any size; a tenth are the most negative one."""
    low = -(1 << (width - 1))
    numbers: Integers = random.integers(low, -low, shape, dtype=np.int64)
    small = random.random(shape) < 0.4
    numbers = np.where(small, numbers >> (width // 2), numbers)
    return np.where(random.random(shape) < 0.1, low, numbers)


def _float_operands(fmt: FloatFormat, random: np.random.Generator, shape: tuple[int, ...]) -> Integers:
    """Numbers near one, so that sums round and cancel; some of any size; NaN and infinity in every fourth case."""
    near = np.clip(fmt.bias + random.integers(-3, 3, shape), 0, 2**fmt.exponent_bits - 2) << fmt.fraction_bits
    found = near | random.integers(0, fmt.min_normal, shape)
    anything = random.integers(0, fmt.max_finite + 1, shape)
    found = np.where(random.random(shape) < 0.08, anything, found)
    special = random.choice([0, 1, fmt.min_normal - 1, fmt.min_normal, fmt.max_finite], shape)
    found = np.where(random.random(shape) < 0.05, special, found)
    if random.random() < 0.25:
        broken = random.choice([fmt.overflow, fmt.canonical_nan, fmt.sign_mask - 1], shape)
        found = np.where(random.random(shape) < 0.02, broken, found)
    signs: Integers = random.integers(0, 2, shape) << (fmt.width - 1)
    return found | signs


def stimulus(spec: SystolicSpec, act: Integers, wgt: Integers) -> dict[str, Octets]:
    """The beats of both input streams."""
    whole = is_whole(spec, wgt)
    loops = spec.loops(Gemm(m=act.shape[0], k=act.shape[1], n=wgt.shape[1]), whole=whole)
    groups, columns, beats, _ = (int(count) for count in loops)
    if spec.flexible:
        act, sent = _words(spec, act, wgt, whole, beats, columns)
    else:
        wide = _pad(wgt, beats * spec.beat_k, columns * spec.cols)
        values, places = _travelling(spec, wide, beats * spec.beat_k)
        field = spec.streams()[1].field
        sent = values if spec.group == 1 else field.join(value=values, index=places)
    steps = beats * (spec.rows if spec.stationary else 1)
    # (step of the reduction, lane, column group, column) to (column group, step, column, lane)
    tiled = sent.reshape(steps, spec.depth, columns, spec.cols).transpose(2, 0, 3, 1)
    streams = {stream.name: stream for stream in spec.streams()}
    weights = streams["wgt"].pack(tiled.reshape(columns * steps, spec.cols, spec.depth))
    activations = streams["act"].pack(_act_beats(spec, act, groups, columns, beats))
    return {"act": activations, "wgt": np.tile(weights, (groups, 1))}


def _words(
    spec: SystolicSpec, act: Integers, wgt: Integers, whole: bool, beats: int, columns: int
) -> tuple[Integers, Integers]:
    """(activations, weight words) of a flexible element: as many ternary weights as fit a word, or one integer.

    The bit above a word says which. An integer's activation is the first of its beat.
    """
    digits, field = int(spec.element_digits), spec.streams()[1].field
    ternary = np.array(int(not whole))
    if whole:
        spread = np.zeros((len(act), beats, digits), np.int64)
        spread[:, :, 0] = act
        integers = _pad(wgt, beats, columns * spec.cols)
        return spread.reshape(len(act), -1), field.join(integer=integers, ternary=ternary)
    pairs = _pad(wgt, beats * digits, columns * spec.cols).reshape(beats, digits, -1).swapaxes(1, 2)
    return act, field.join(digits=pairs, ternary=ternary)


def _act_beats(spec: SystolicSpec, act: Integers, groups: int, columns: int, beats: int) -> Integers:
    """Activations by token group, column group and beat; where weights stay, tokens come last of these."""
    lanes = int(spec.act_lanes)
    if spec.stationary:
        tokens = min(int(spec.most_tokens), len(act))
        padded = _pad(act, groups * tokens, beats * spec.beat_k)
        turned = padded.reshape(groups, tokens, beats, spec.rows, lanes).transpose(0, 2, 1, 3, 4)
        order = turned.reshape(groups, 1, beats * tokens, spec.rows, lanes)
    else:
        padded = _pad(act, groups * spec.rows, beats * lanes)
        turned = padded.reshape(groups, spec.rows, beats, lanes).transpose(0, 2, 1, 3)
        order = turned.reshape(groups, 1, beats, spec.rows, lanes)
    return np.repeat(order, columns, axis=1).reshape(-1, spec.rows, lanes)


def collect(spec: SystolicSpec, beats: Octets, workload: Gemm) -> Integers:
    """The results, (m, n), out of the beats of the output stream."""
    groups, columns, _, tokens = (int(count) for count in spec.loops(workload))
    given = tokens if spec.stationary else spec.rows
    values = spec.streams()[2].unpack(beats).reshape(groups, columns, given, spec.cols)
    rows = values.transpose(0, 2, 1, 3).reshape(groups * given, columns * spec.cols)
    return rows[: workload.m, : workload.n]


def _pad(array: Any, rows: int, columns: int) -> Any:
    return np.pad(array, ((0, rows - array.shape[0]), (0, columns - array.shape[1])))


def consistent(table: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters, or columns of them, of which those that belong together follow one of them."""
    found = dict(table)
    whole = found["activation"] == "int"
    floats = (found["pe"] == "float") | ((found["pe"] == "ternary") & (found["activation"] != "int"))
    found["activation"] = choose(floats, choose(whole, "bf16", found["activation"]), "int")
    width = elements.look_up(found["activation"], lambda fmt: fmt.width)
    found["act_width"] = choose(floats, width, found["act_width"])
    whole_width = choose(floats, width, found["weight_width"])
    found["weight_width"] = choose(found["pe"] == "ternary", 2, whole_width)
    found["rows"] = choose(found["organization"] == "adder_tree", 1, found["rows"])
    flexible = found["pe"] == "booth_flex"
    even = larger(4, found["weight_width"] + found["weight_width"] % 2)
    found["weight_width"] = choose(flexible, even, found["weight_width"])
    found["sparsity"] = choose(flexible, "dense", found["sparsity"])
    found["depth"] = choose(flexible, 1, found["depth"])
    kept = sparsity.look_up(found["sparsity"], 0)
    unit = choose((found["pe"] == "opt4e") & (kept < 4), 4, kept)
    found["pe"] = choose(
        (found["pe"] == "opt3") & (found["organization"] != "output_stationary"), "opt4c", found["pe"]
    )
    deep = choose(found["organization"] == "broadcast_matrix", 1, -(-found["depth"] // unit))
    found["depth"] = unit * deep
    stays = found["organization"] == "weight_stationary"
    alike = (found["pe"] == "opt2") & (found["organization"] != "weight_stationary") & (found["rows"] > 1)
    never = elements.is_one_of(found["pe"], SERIAL) | alike
    found["product_register"] = choose(never, False, found["product_register"])
    found["pe"] = choose(stays & elements.is_one_of(found["pe"], elements.SUMS_STAY), "mac", found["pe"])
    found["accumulate"] = choose(floats, found["accumulate"], "same")
    found["acc_width"] = choose(floats, 0, found["acc_width"])
    return found


def draw(random: np.random.Generator) -> dict[str, Any]:
    """Random parameters that fit together: organizations and elements equally often."""
    from blueprint.families.systolic.spec import ORGANIZATIONS, SystolicSpec

    kinds = {
        "integer": ("mac", "ternary", "ent", "booth_flex"),
        "carry_save": ("opt1", "opt2"),
        "serial": tuple(pe for pe in elements.KINDS if pe in SERIAL),
        "float": ("float", "ternary"),
    }
    kind = str(random.choice(SystolicSpec.facets.samples.calibration.arithmetics))
    pe = str(random.choice(kinds[kind]))
    # Few elements let weights stay: those do so more often.
    several = ORGANIZATIONS[1:] if pe in elements.SUMS_STAY else (*ORGANIZATIONS, *ORGANIZATIONS[:1] * 2)
    organization = "output_stationary" if pe == "opt3" else str(random.choice(several))
    while True:
        table: dict[str, Any] = {
            "organization": organization,
            "pe": pe,
            "sparsity": str(random.choice(["dense", "dense", *sparsity.PATTERNS])),
            "activation": str(random.choice(elements.FORMATS[1:])) if kind == "float" else "int",
            "accumulate": "same" if random.random() < 0.6 else str(random.choice(elements.SUMS)),
            "accumulator": str(random.choice(["auto", "auto", "sram"])),
            "product_register": bool(random.integers(2)),
            "acc_width": 0,
        }
        sizes = {
            "rows": (1, 2, 3, 4, 5),
            "cols": (1, 2, 3, 4, 6),
            "depth": (1, 1, 2, 3, 4),
            "act_width": (2, 3, 4, 5, 8, 8, 11, 16),
            "weight_width": (2, 2, 3, 4, 8, 8, 16),
            "k_max": (1, 3, 20, 64, 200),
            "n_max": (1, 4, 30, 100),
            "m_max": (1, 2, 7, 65535),
            "token_depth": (1, 2, 4, 7),
        }
        table |= {name: int(random.choice(choices)) for name, choices in sizes.items()}
        found = SystolicSpec.columns(consistent(table))
        if found.feasible()[0] and _is_small(found):
            return found.parameters


def _is_small(spec: SystolicSpec) -> bool:
    """Whether a design is small enough to be compiled and synthesized in seconds."""
    factor = spec.act_width // 2 if spec.selects else spec.weight_width
    gates = spec.act_width * factor * (4 if spec.floats else 1) + 16 * spec.result_width
    queues = (
        spec.rows
        * spec.act_lanes
        * (spec.cols if spec.waits else 1)
        * spec.act_width
        * choose(spec.serial, 16, 0)
    )
    products = spec.rows * spec.cols * (spec.element_digits if spec.flexible else spec.depth)
    return bool(products * gates <= 12_000 and spec.act_bits * spec.rows <= 500 and queues <= 8_000)


def draw_workload(spec: SystolicSpec, random: np.random.Generator) -> Gemm:
    """A random product of sizes the design allows, often 1 in a dimension, of at most 600 cycles."""
    limits = (min(spec.m_max, 3 * int(spec.group_m) + 1), spec.k_max, spec.n_max)
    while True:
        sizes = [1 if random.random() < 0.15 else int(random.integers(1, limit + 1)) for limit in limits]
        workload = Gemm(m=sizes[0], k=sizes[1], n=sizes[2])
        if spec.cycles(workload) <= 500:
            return workload
