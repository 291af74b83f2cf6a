"""Checks what a script gives to the public functions: the kind of every argument, as its signature declares it."""

from __future__ import annotations

import functools
import inspect
import numbers
import os
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, ParamSpec, TypeVar

from blueprint.files.design import Design
from blueprint.spec import Spec
from blueprint.systems.description import System
from blueprint.workloads.tasks import Attention, Gemm, Rowwise
from blueprint.workloads.workload import Workload
from ternforge.session import Note

P = ParamSpec("P")
T = TypeVar("T")


class Kind(NamedTuple):
    """A kind of argument: what is given, in words, the test of a value, and what to do with a mapping instead."""

    words: str
    holds: Callable[[Any], bool]
    remedy: str = ""


def _of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_mapping_of_texts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(text, str) for pair in value.items() for text in pair
    )


def _is_mapping_of_integers(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and _is_integer(number) for name, number in value.items()
    )


def _is_list_of_paths(value: Any) -> bool:
    listed = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return listed and all(isinstance(path, (str, os.PathLike)) for path in value)


def _is_list_of_texts(value: Any) -> bool:
    return _is_list_of_paths(value) and all(isinstance(text, str) for text in value)


_A_SPEC = "; blueprint.registry.get(FAMILY).from_mapping(PARAMETERS) makes a Spec of a dict"
_A_TASK = "; Gemm(m, k, n) of blueprint.workloads.tasks is a task"
_PATHS = Sequence[str | Path]
_TEXTS = Mapping[str, str]
_COUNTS = Mapping[str, int]
_LISTED = Sequence[str]
#: The members of the unions that annotate arguments, in the order in which a message names them.
KINDS: dict[Any, Kind] = {
    Path: Kind("a path (text or pathlib.Path)", _of(os.PathLike), "; write it to a file first"),
    str: Kind("text", _of(str)),
    int: Kind("an integer", _is_integer),
    float: Kind("a number", _is_number),
    bool: Kind("True or False", _of(bool)),
    _TEXTS: Kind("a dict of texts", _is_mapping_of_texts),
    _COUNTS: Kind("a dict of integers", _is_mapping_of_integers),
    _PATHS: Kind("a list of paths", _is_list_of_paths),
    _LISTED: Kind("a list of texts", _is_list_of_texts),
    Design: Kind("a Design", _of(Design)),
    Spec: Kind("a Spec", _of(Spec), _A_SPEC),
    System: Kind("a System", _of(System)),
    Workload: Kind("a Workload", _of(Workload)),
    Gemm: Kind("a task", _of(Gemm), _A_TASK),
    Attention: Kind("a task", _of(Attention), _A_TASK),
    Rowwise: Kind("a task", _of(Rowwise), _A_TASK),
    Note: Kind("a function of one text", callable),
    NoneType: Kind("", lambda value: value is None),
}


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """The function, which raises ``TypeError`` for an argument of another kind than its annotation declares."""
    signature = inspect.signature(function)
    hints = typing.get_type_hints(function)

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        for name, value in signature.bind(*arguments, **named).arguments.items():
            _check(f"Argument {name} of ternforge.{function.__name__}", value, _members(hints[name]))
        return function(*arguments, **named)

    return call


def _members(hint: Any) -> list[Any]:
    """The members of a union, or the one annotation, in the order of the table."""
    found = typing.get_args(hint) if hint not in KINDS and typing.get_args(hint) else (hint,)
    order = list(KINDS)
    return sorted(found, key=lambda kind: order.index(kind) if kind in KINDS else len(order))


def _kind(hint: Any) -> Kind:
    """The entry of the table; for a protocol of another room, one that accepts whatever has its methods."""
    if hint in KINDS:
        return KINDS[hint]
    methods = [name for name in vars(hint) if not name.startswith("_")]
    return Kind(f"a {hint.__name__}", lambda value: all(hasattr(value, name) for name in methods))


def _check(what: str, value: Any, kinds: Sequence[Any]) -> None:
    if any(_kind(kind).holds(value) for kind in kinds):
        return
    raise TypeError(f"{what} must be {_words(kinds)}, not {_shown(value)}{_remedy(value, kinds)}")


def _words(kinds: Sequence[Any]) -> str:
    """Describe the accepted values: text stands for a path, and for a workload also for a product."""
    words = {kind: _kind(kind).words for kind in kinds if kind is not NoneType}
    if Path in words and str in words:
        words[str] = "text such as '1x2560x6912'" if Workload in words else words[Path]
    *most, last = dict.fromkeys(words.values())
    return f"{', '.join(most)} or {last}" if most else last


def _remedy(value: Any, kinds: Sequence[Any]) -> str:
    """The nearest thing that can be given instead."""
    if _TEXTS in kinds:
        return "; values are texts, as in {'mu': '3'}"
    if _PATHS in kinds:
        return "; put one path into a list" if isinstance(value, (str, os.PathLike)) else ""
    if _LISTED in kinds:
        return "; put one text into a list" if isinstance(value, str) else ""
    if isinstance(value, Spec) and Path in kinds:
        return "; blueprint.files.design.write_design(SPEC, PATH) writes one to a file"
    remedies = [_kind(kind).remedy for kind in kinds if _kind(kind).remedy]
    return remedies[-1] if remedies and isinstance(value, Mapping) else ""


def _shown(value: Any) -> str:
    """A short value itself, else its kind."""
    if value is None or isinstance(value, (bool, int, float, str, dict, list, tuple)):
        if len(text := repr(value)) <= 40 or isinstance(value, str):
            return text if len(text) <= 40 else f"{text[:36]}..."
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
