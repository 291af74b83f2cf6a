"""Checks what a script gives to the public functions: the kind of every argument, as its signature declares it."""

from __future__ import annotations

import functools
import inspect
import numbers
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

#: Alternatives of an annotation; the bar inside of brackets separates none.
_BAR = re.compile(r" \| (?![^\[]*\])")
_PATH = "a path (text or pathlib.Path)"
_DESIGN = f"{_PATH}, a Design or a Spec"
_WORKLOAD = f"{_PATH}, text such as '1x2560x6912', a Workload or a task"
#: What an alternative takes, in words.
_WORDS = {
    "str": "text",
    "Path": _PATH,
    "int": "an integer",
    "bool": "True or False",
    "Mapping[str, str]": "a dict of texts",
    "Sequence[str | Path]": "a list of paths",
    "Design": "a Design",
    "DesignLike": _DESIGN,
    "WorkloadLike": _WORKLOAD,
    "Note": "a function of one text",
    "Progress": "a Progress",
}
_REMEDIES = {
    "DesignLike": "; blueprint.registry.get(FAMILY).from_mapping(PARAMETERS) makes a Spec of a dict",
    "WorkloadLike": "; Gemm(m, k, n) of blueprint.workloads.tasks is a task",
    "Path": "; write it to a file first",
}


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """The function, which raises ``TypeError`` for an argument of another kind than its annotation declares."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> T:
        for name, value in signature.bind(*arguments, **named).arguments.items():
            _check(f"Argument {name} of ternforge.{function.__name__}", value, signature.parameters[name])
        return function(*arguments, **named)

    return call


def _check(what: str, value: Any, parameter: inspect.Parameter) -> None:
    kinds = _BAR.split(str(parameter.annotation))
    if any(_is(value, kind) for kind in kinds):
        return
    words = [_WORDS[kind] for kind in kinds if kind != "None" and not (kind == "str" and "Path" in kinds)]
    remedy = _remedy(value, kinds)
    raise TypeError(f"{what} must be {' or '.join(words)}, not {_shown(value)}{remedy}")


def _is(value: Any, kind: str) -> bool:
    """Whether a value is of a kind that an annotation names."""
    if kind == "Mapping[str, str]":
        return isinstance(value, Mapping) and all(
            isinstance(text, str) for pair in value.items() for text in pair
        )
    if kind == "Sequence[str | Path]":
        listed = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
        return listed and all(isinstance(path, (str, os.PathLike)) for path in value)
    if kind == "int":
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if kind in ("Note", "Progress"):
        return callable(value) if kind == "Note" else hasattr(value, "advance")
    if kind == "None":
        return value is None
    return isinstance(value, _classes(kind))


def _classes(kind: str) -> tuple[type, ...]:
    plain: dict[str, tuple[type, ...]] = {"str": (str,), "Path": (os.PathLike,), "bool": (bool,)}
    if kind in plain:
        return plain[kind]
    if kind == "WorkloadLike":
        from blueprint.workloads.tasks import TASKS
        from blueprint.workloads.workload import Workload

        return (str, os.PathLike, Workload, *TASKS)
    from blueprint.files.design import Design
    from blueprint.spec import Spec

    return (Design,) if kind == "Design" else (str, os.PathLike, Design, Spec)


def _remedy(value: Any, kinds: Sequence[str]) -> str:
    """The nearest thing that can be given instead."""
    if "Mapping[str, str]" in kinds:
        return "; values are texts, as in {'mu': '3'}"
    if "Sequence[str | Path]" in kinds:
        return "; put one path into a list" if isinstance(value, (str, os.PathLike)) else ""
    if type(value).__name__.endswith("Spec") and "Path" in kinds:
        return "; blueprint.files.design.write_design(SPEC, PATH) writes one to a file"
    return next((_REMEDIES[kind] for kind in kinds if kind in _REMEDIES and isinstance(value, Mapping)), "")


def _shown(value: Any) -> str:
    """A short value itself, else its kind."""
    if value is None or isinstance(value, (bool, int, float, str, dict, list, tuple)):
        if len(text := repr(value)) <= 40 or isinstance(value, str):
            return text if len(text) <= 40 else f"{text[:36]}..."
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
