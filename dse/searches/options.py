"""Hyperparameters of a search: the fields of a frozen dataclass, each with its limits and what it does."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from blueprint.files.document import is_kind, kind_name
from blueprint.files.tree import show


@dataclass(frozen=True)
class Option:
    """A hyperparameter: its kind, default and limits (both included), and what it does."""

    name: str
    kind: type
    default: Any
    minimum: float
    maximum: float
    text: str

    def fault(self, value: Any) -> str | None:
        """The reason why this hyperparameter cannot have a value, in one sentence; ``None`` if it can."""
        if not is_kind(value, self.kind):
            return f"{self.name} must be {kind_name(self.kind)}, not {show(value)}"
        if not self.minimum <= value <= self.maximum:  # which NaN is not either
            return f"{self.name} must be from {self.minimum:g} to {self.maximum:g}, not {show(value)}"
        return None


def option(default: float, minimum: float, maximum: float, text: str) -> Any:
    """A field of a dataclass of hyperparameters; an integer default makes it take integers alone."""
    limits = {"minimum": minimum, "maximum": maximum, "text": text}
    return dataclasses.field(default=default, metadata=limits)


@dataclass(frozen=True)
class NoSettings:
    """The hyperparameters of a search that has none."""


def options_of(settings: type[Any]) -> dict[str, Option]:
    """The hyperparameters that a dataclass declares, by name."""
    return {
        field.name: Option(field.name, type(field.default), field.default, **field.metadata)
        for field in dataclasses.fields(settings)
    }
