"""Common parts of the families of matrix products: operands, results, and the registers of their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from blueprint.numbers import Number, bit_length
from blueprint.parameters import parameter
from blueprint.port import Operand, Operation
from blueprint.shell import Size
from blueprint.workloads.tasks import LARGEST, MANY_TOKENS, Gemm

Integers = npt.NDArray[np.int64]

#: Bits, sign included, of the integers that float64 adds exactly.
_EXACT_BITS = 53


def reduction() -> Any:
    """The parameter ``k_max`` of a family: the largest ``k`` of a run."""
    return parameter("largest reduction length", bounds="k", minimum=1, maximum=LARGEST)


def outputs() -> Any:
    """The parameter ``n_max`` of a family: the largest ``n`` of a run."""
    return parameter("largest number of outputs", bounds="n", minimum=1, maximum=LARGEST)


def tokens() -> Any:
    """The parameter ``m_max`` of a family: the largest ``m`` of a run."""
    return parameter(
        "largest number of tokens in one run", bounds="m", default=MANY_TOKENS, minimum=1, maximum=LARGEST
    )


def product(
    weights: str, given: Mapping[str, str] | None = None, where: Mapping[str, str] | None = None
) -> Operation:
    """A product of activations and weights, which a sentence describes; ``given`` and ``where`` as in `Operation`."""
    return Operation(
        computes="out = act @ wgt",
        inputs=(
            Operand("act", ("tokens", "k"), "activations, a row per token"),
            Operand("wgt", ("k", "n"), weights),
        ),
        outputs=(Operand("out", ("tokens", "n"), "results"),),
        registers={name: name for name in ("tokens", "k", "n")},
        given=given or {},
        where=where or {},
    )


def size_widths(tokens: Number, k: Number, n: Number) -> dict[str, Number]:
    """Widths of the size counters of a run, for sizes of at most these."""
    return {"tokens": bit_length(tokens), "k": bit_length(k), "n": bit_length(n)}


def pad(array: Any, rows: int, columns: int) -> Any:
    """Extend a matrix with zeros to a number of rows and columns."""
    return np.pad(array, ((0, rows - array.shape[0]), (0, columns - array.shape[1])))


def product_sizes(sizes: Mapping[str, tuple[Number, Number]]) -> tuple[Size, ...]:
    """Sizes of a matrix product by name; each with its maximum and 1 if a run counts it, else 0."""
    return tuple(
        Size(name, most, counted * bit_length(most), f"{name} of the next run")
        for name, (most, counted) in sizes.items()
    )


def product_values(_: object, task: Gemm) -> dict[str, int]:
    """Values that software writes to the registers of :func:`product_sizes` before a run: the sizes of the product."""
    return {"tokens": task.m, "k": task.k, "n": task.n}


def exact_product(act: Integers, wgt: Integers, width: int) -> Integers:
    """``act @ wgt`` of integers whose sums have ``width`` bits; in float64, which is faster, where that is exact."""
    if width > _EXACT_BITS:
        return act @ wgt
    return (act.astype(np.float64) @ wgt.astype(np.float64)).astype(np.int64)
