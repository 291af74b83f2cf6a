"""Golden model of processing elements, and the cycles of serial ones, on NumPy integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from blueprint.arithmetic import floating
from blueprint.arithmetic.processing import digits
from blueprint.arithmetic.processing.digits import Integers
from blueprint.arithmetic.processing.element import Element, sum_format
from blueprint.numbers import ceil_div


def wrap(values: npt.ArrayLike, width: int) -> Integers:
    """Wrap integers to ``width`` bits, two's complement."""
    word = np.asarray(values, np.int64)
    if width >= 64:
        return word
    half = 1 << (width - 1)
    return ((word + half) & ((1 << width) - 1)) - half


def dot(element: Element, a: npt.ArrayLike, b: npt.ArrayLike) -> Integers:
    """Dot product over the last axis of ``a`` and ``b``, which broadcast.

    Integers are exact, modulo the total's width. Floats are patterns: an accumulator starts at +0. In every step the
    products of ``lanes`` pairs are rounded and added neighbor to neighbor (an odd one waits for the next level), then
    their sum is added to the accumulator; every sum is rounded. Missing pairs of the last step are zeros.
    """
    x, y = np.broadcast_arrays(np.asarray(a, np.int64), np.asarray(b, np.int64))
    if not element.floats:
        return wrap((x * y).sum(axis=-1), element.total_width)
    missing = -x.shape[-1] % element.lanes
    padding = [(0, 0)] * (x.ndim - 1) + [(0, missing)]
    x, y = np.pad(x, padding), np.pad(y, padding)
    total = np.zeros(x.shape[:-1], np.int64)
    for low in range(0, x.shape[-1], element.lanes):
        step = slice(low, low + element.lanes)
        total = floating.add(sum_format(element), total, partial(element, x[..., step], y[..., step]))
    return total


def partial(element: Element, a: Integers, b: Integers) -> Integers:
    """Sum of the float products of one step, whose pairs lie along the last axis.

    A ternary ``a`` selects ``b``, ``b`` with its sign flipped, or +0, which is added like any other number.
    """
    source, target = floating.get(element.number), sum_format(element)
    y = floating.convert(source, target, b)
    if element.selects:
        chosen = np.where(a < 0, y ^ target.sign_mask, np.where(a == 0, 0, y))
        words = [chosen[..., lane] for lane in range(chosen.shape[-1])]
    else:
        x = floating.convert(source, target, a)
        words = [floating.multiply(target, x[..., lane], y[..., lane]) for lane in range(x.shape[-1])]
    while len(words) > 1:
        pairs = zip(words[::2], words[1::2], strict=False)
        words = [floating.add(target, left, right) for left, right in pairs] + words[len(words) & ~1 :]
    return words[0]


def digits_of(element: Element, a: npt.ArrayLike) -> Integers:
    """Digits of operands ``[...]`` of a serial element, ``[..., digits]``, lowest first."""
    encode = digits.booth if element.pe == "booth_serial" else digits.ent
    return encode(a, element.a_width)


def cycles_per_operand(element: Element, a: npt.ArrayLike, bits: npt.ArrayLike | None = None) -> Integers:
    """Cycles that an element needs for each operand ``a``, in the shape of ``a``.

    A serial element needs one cycle per nonzero digit, and one for an operand of zero. ``booth_serial`` needs one per
    digit, that is ``bits / 2`` rounded up; ``bits`` is by default the element's width. All others need one cycle.
    """
    word = np.asarray(a, np.int64)
    if not element.serial:
        return np.ones_like(word)
    if element.pe == "booth_serial":
        dense = ceil_div(np.asarray(element.a_width if bits is None else bits), digits.DIGIT_BITS)
        return np.broadcast_to(dense, word.shape).astype(np.int64)
    return np.maximum(digits.nonzero(digits_of(element, word)), 1)


def masks(element: Element, bits: int) -> int:
    """Digit mask of a queue of dense digits for operands of ``bits`` bits: one bit per digit."""
    return (1 << min(digits.places(bits), element.digits)) - 1
