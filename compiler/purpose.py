"""The purpose of the instructions of a program, for listings, traces and estimates."""

from __future__ import annotations

from dataclasses import dataclass

#: Steps that are distinguished from those on vectors.
ATTENTION, SCORES = "attention", "scores"
#: The mark of the head, and of what belongs to no layer.
HEAD, NO_LAYER = "head", "-"


def layer_mark(layer: int) -> str:
    """The mark of a layer."""
    return f"L{layer}"


@dataclass(frozen=True)
class Purpose:
    """Place of an instruction in a model (``mark``), its step, and which part of the step.

    ``weights`` says that it brings the weights of the step.
    """

    mark: str
    step: str
    part: str = ""
    weights: bool = False

    def __str__(self) -> str:
        step = f"weights of {self.step}" if self.weights else self.step
        return " ".join(word for word in (self.mark, step, self.part) if word)

    @property
    def kind(self) -> str:
        """Kind of its bytes: ``weights``, ``attention``, ``scores`` or ``vectors``."""
        if self.weights:
            return "weights"
        return self.step if self.step in (ATTENTION, SCORES) else "vectors"
