"""Cross-checks of a system: what it says about one part against what it says about another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from blueprint.arithmetic import floating
from blueprint.errors import ParamError
from blueprint.systems import address_map, control, operations
from blueprint.systems.description import EXACT, HOST, HOST_WORKS, INT8, STAGES, System
from blueprint.workloads.model import Model
from blueprint.workloads.tasks import WORKS, Gemm

#: Bytes of an activation between operations: sums and residuals have 32 bits.
ACTIVATION_BYTES = 4


#: What a model may have beside its sizes, with the value that asks less of a system.
_LESS = {"gated": False, "sub_norms": False, "tied_embeddings": True}
#: Bits of the activations that every norm gives, and of the queries.
QUANTIZED = 8


class Fault(NamedTuple):
    """A fault in words, and the path of keys to where the file says it."""

    path: tuple[str, ...]
    message: str


def faults(system: System) -> Iterator[Fault]:
    """Faults of a system, the one that a reader should mend first in front."""
    yield from _places(system)
    yield from _products(system)
    yield from _head(system)
    yield from _window(system)  # the cache that units are asked about is that of a window that there can be
    yield from _fits(system)
    yield from _block(system)
    yield from _buffers(system)
    yield from _memory(system)


def _places(system: System) -> Iterator[Fault]:
    """Every work has one place."""
    by_work: dict[str, list[str]] = {work: [] for work in WORKS}
    for name, unit in system.units.items():
        for work in unit.works:
            by_work[work].append(name)
    for work in system.host.works if system.host else ():
        by_work[work].append(HOST)
    for work, names in by_work.items():
        if not names:
            host = " or to the host" if work in HOST_WORKS else ""
            yield Fault(("units",), f"units must run {work}, and none does: give it to a unit that can{host}")
        if len(names) > 1:
            what = f"runs must give {work} to one place, not to {' and '.join(names)}"
            yield Fault((HOST,) if names[-1] == HOST else ("units", names[-1]), what)


def _products(system: System) -> Iterator[Fault]:
    """Units of products take the weights that they are given."""
    needs = {
        "product": ("ternary", 1),
        "prefill": ("ternary", 1),
        "head": (system.head.stage, 1 if system.scored else STAGES[system.head.stage]),  # else in digits
    }
    for work, (what, least) in needs.items():
        spec, place = system.spec(work), system.places[work]
        if spec is not None and spec.task is Gemm and spec.largest_weight < least:
            largest = f"the largest weight of {place} is {spec.largest_weight}"
            yield Fault(("units", place), f"{work} must run on a unit of {what} weights, and {largest}")
    for work in ("product", "prefill", "head"):
        spec, place = system.spec(work), system.places[work]
        exact = work == "head" and (system.head.stage == EXACT or getattr(spec, "task", None) is not Gemm)
        if spec is not None and spec.integer_width != QUANTIZED and not exact:
            kind = f"integers of {spec.integer_width} bits" if spec.integer_width else "floats"
            what = f"{work} must run on a unit of INT{QUANTIZED} activations, as norms give them"
            yield Fault(("units", place), f"{what}, and {place} takes {kind}")
    yield from _cache(system)


def _cache(system: System) -> Iterator[Fault]:
    """Attention takes queries, keys and values as they are given: a vector unit in its format or, rounded by a store,
    in one that its own holds; a host in any.
    """
    spec, place, giver = system.spec("attention"), system.places["attention"], system.spec("positions")
    if spec is None or spec.integer_width == QUANTIZED:
        return
    given = spec.float_format if giver is None else giver.float_format
    if not given or not spec.float_format or not floating.get(given).holds(floating.get(spec.float_format)):
        kind = spec.float_format or f"integers of {spec.integer_width} bits"
        floats = "floats" if giver is None else f"{given} as {system.places['positions']} gives it"
        what = f"attention must run on a unit of INT{QUANTIZED} or of {floats}"
        yield Fault(("units", place), f"{what}, and {place} takes {kind}")


def _head(system: System) -> Iterator[Fault]:
    """The stage of the head is one that its place computes; a unit chooses a token of exact scores alone."""
    place, spec, stage = system.places["head"], system.spec("head"), system.head.stage
    if spec is not None and (spec.task is Gemm) != (stage != EXACT):
        kind = "products of integers" if spec.task is Gemm else "dot products of floats"
        stages = " or ".join(name for name in STAGES if (name == EXACT) != (spec.task is Gemm))
        what = f"stage must be {stages} where {place} runs the head, by {kind}, not {stage}"
        yield Fault(("head", "stage"), what)
    if stage == EXACT and system.head.candidates:
        what = f"candidates must be 0 for an exact stage, whose scores need no others, not {system.head.candidates}"
        yield Fault(("head", "candidates"), what)
    chooser = system.places["sampling"]
    if chooser != HOST and not system.scored and (chooser != place or stage != EXACT):
        what = (
            f"{chooser} must run the head too, of stage {EXACT}, or a unit of products one of stage {INT8} without "
            f"candidates, to choose a token: it finds the largest score"
        )
        yield Fault(("units", chooser), what)
    if place == HOST and stage != INT8:
        yield Fault(
            ("head", "stage"), f"stage must be int8 where the host runs the head, not {system.head.stage}"
        )
    if system.head.stage == "ternary" and not system.head.candidates:
        what = "candidates must be at least 1 for a ternary stage, whose scores are not exact, not 0"
        yield Fault(("head", "candidates"), what)


def _fits(system: System) -> Iterator[Fault]:
    """Every unit runs what the largest model asks of it."""
    try:
        check_model(system, system.largest)
    except ParamError as problem:
        yield Fault(problem.path or ("model",), str(problem))


def check_model(system: System, model: Model, context: int | None = None, prompt: int = 0) -> None:
    """Check that a model fits a system, at a context or at its longest. Raises ``ParamError``."""
    check_shapes(system, model, context, prompt)
    last = min(system.largest.context, model.context)
    steps = [*operations.decode(system, model, (last if context is None else context + 1) - 1)]
    block = min(system.block, prompt or system.block, last)
    steps += operations.prefill(system, model, block)
    for op in steps:
        _check_task(system, op)


def check_image(system: System, model: Model, end: int) -> None:
    """Raise `ParamError` where memory does not reach to ``end``, the last byte of a model's image with its programs."""
    if end > system.memory.size:
        what = f"size_mib must be at least {-(-end >> 20)} for the image of {model.name}"
        raise ParamError(f"{what}, not {system.memory.size_mib}", path=("memory", "size_mib"))


def check_shapes(system: System, model: Model, context: int | None = None, prompt: int = 0) -> None:
    """Check a model against the largest one, whatever the units are. Raises ``ParamError``."""
    if model is not system.largest:
        _check_sizes(system, model)
    longest = system.largest.context
    for name, tokens in (("context", (context or 0) + 1 if context is not None else 0), ("prompt", prompt)):
        most = min(longest, model.context)
        if tokens > most:
            shown = tokens - 1 if name == "context" else tokens
            left = most - 1 if name == "context" else most
            raise ParamError(f"{name} must be at most {left} for {model.name} on {system.name}, not {shown}")


def _check_sizes(system: System, model: Model) -> None:
    most = system.largest
    for size in ("hidden", "ffn", "layers", "heads", "kv_heads", "vocab"):
        if getattr(model, size) > getattr(most, size):
            what = (
                f"{size} of {model.name} must be at most {getattr(most, size)}, the largest of {system.name}"
            )
            raise ParamError(f"{what}, not {getattr(model, size)}")
    spec = system.spec("elements")
    function = spec.gate_function if spec is not None else ""
    for flag, less in _LESS.items():
        given = getattr(model, flag)
        if given != less == getattr(most, flag):
            what = f"{flag} of {model.name} must be {str(less).lower()}, as that of {system.name} is"
            raise ParamError(f"{what}, not {str(given).lower()}")
    if function and model.activation != function:
        what = f"activation of {model.name} must be {function}, which {system.places['elements']} computes"
        raise ParamError(f"{what}, not {model.activation}")
    if model.head_dim != most.head_dim:
        what = f"head_dim of {model.name} must be {most.head_dim}, that of {system.name}"
        raise ParamError(f"{what}, not {model.head_dim}")


def _check_task(system: System, op: operations.Operation) -> None:
    if op.task is None:
        return
    spec = system.units[op.place].spec
    try:
        spec.check_workload(op.task)
    except ParamError as problem:
        raise _of(system, op, problem) from None
    for rule in spec.exact_cycles():
        if not rule.holds:
            raise _of(system, op, ParamError(rule.message(), parameter=rule.parameter))


def _of(system: System, op: operations.Operation, problem: ParamError) -> ParamError:
    """The error of a unit about a task, with the path to what has to change."""
    place = system.places[op.work]
    path = ("units", place, "parameters", problem.parameter or "")
    return ParamError(f"unit {place} must run {op.name}: {problem}", path=path)


def _block(system: System) -> Iterator[Fault]:
    """A block is not longer than the longest prompt; hardware takes the last token alone and counts in a register."""
    most = context = system.largest.context
    why = f"the context {context}"
    if system.host is None:
        counted = control.BLOCK_MOST
        most = max(1, min(counted, context - 1))
        why = (
            f"{most} in a system without a host: its hardware counts to {counted}, and the last token of the context "
            f"{context} goes alone"
        )
    if system.block > most:
        what = f"block must be at most {why}"
        yield Fault(("model", "block"), f"{what}, not {system.block}")


def _window(system: System) -> Iterator[Fault]:
    """A window ends in the bits of a position; a block writes keys over those that its first tokens see."""
    window, context, what = system.window, system.largest.context, ""
    if window and system.host is not None:
        what = "window must be 0 in a system with a host, whose cache has every position"
    elif window == 1 or window & (window - 1):
        what = "window must be 0 or a power of two from 2 on"
    elif window and window >= context:
        what = f"window must be 0 or less than the context {context}"
    elif window and system.block > 1:
        what = f"window must be 0 beside a block of {system.block} tokens, whose keys take the places of some they see"
    if what:
        yield Fault(("model", "window"), f"{what}, not {window}")


def _buffers(system: System) -> Iterator[Fault]:
    """Buffers hold what must be in them at one time."""
    model, beat = system.largest, system.memory.beat_bytes
    for name in ("weights", "cache"):
        least = 2 * system.memory.burst * beat
        if getattr(system.buffers, name) < least:
            what = f"{name} must be at least {least} bytes, two bursts of {system.memory.ports} ports"
            yield Fault(("buffers", name), f"{what}, not {getattr(system.buffers, name)}")
    least = system.block * address_map.activations(model) * ACTIVATION_BYTES
    if system.buffers.activations < least:
        what = (
            f"activations must be at least {least} bytes, {address_map.activations(model)} elements of "
            f"{ACTIVATION_BYTES} bytes for a block of {system.block}"
        )
        yield Fault(("buffers", "activations"), f"{what}, not {system.buffers.activations}")


def _memory(system: System) -> Iterator[Fault]:
    """External memory holds the largest model, and a burst crosses no page."""
    memory = system.memory
    burst = memory.burst * memory.width // 8
    if burst > address_map.PAGE:
        what = f"burst must be at most {address_map.PAGE * 8 // memory.width} beats of {memory.width} bits"
        yield Fault(
            ("memory", "burst"), f"{what}, the {address_map.PAGE} bytes that AXI4 allows, not {memory.burst}"
        )
    needed = address_map.used(system, system.largest)
    if needed > memory.size:
        what = f"size_mib must be at least {-(-needed >> 20)} for the largest model with its cache"
        yield Fault(("memory", "size_mib"), f"{what}, not {memory.size_mib}")
