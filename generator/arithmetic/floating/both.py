"""A conversion to another format and one to an integer, of the same float."""

from blueprint.arithmetic.floating import BOTH_DELAYS, FloatFormat, check_integer_width
from generator.arithmetic.floating import convert
from generator.arithmetic.floating.pipeline import FloatBlock, Results, Step, Values, Wires, suffix

#: Values of the float that both conversions need; they are held once.
_SHARED = "sign"


def steps(source: FloatFormat, target: FloatFormat, width: int, flush: bool) -> tuple[Step, ...]:
    """Steps from ``a`` to both results; the conversion with fewer steps waits at its end."""
    chains = {
        "value": convert.steps(source, target, flush),
        "whole": convert.to_integer_steps(source, width, flush),
    }
    count = max(map(len, chains.values()))

    def step(number: int) -> Step:
        def taken(w: Wires, v: Values) -> Results:
            found: Results = {}
            for name, chain in chains.items():
                if number < len(chain):
                    given = v if number == 0 else _inside(v, name)
                    left = chain[number](Wires(w.m, f"{name}_", w.quick), given)
                else:
                    left = {"result": _inside(v, name).result}
                found |= {key if key == _SHARED else f"{name}_{key}": value for key, value in left.items()}
            return found if number < count - 1 else _finished(found)

        return taken

    return tuple(step(number) for number in range(count))


def _inside(v: Values, name: str) -> Values:
    """The values that one of the conversions left, by their names inside that conversion."""
    own = {key.removeprefix(f"{name}_"): value for key, value in v.items() if key.startswith(f"{name}_")}
    return Values(own | v.keep(_SHARED))


def _finished(found: Results) -> Results:
    """Both results, each for an output of its own."""
    v = Values(found)
    return {"result": v.value_result, "whole": v.whole_result}


class FloatToBoth(FloatBlock):
    """Converts a float to another format, the result, and to the integer ``whole``.

    Both are rounded to nearest even; the integer saturates and is 0 for NaN. Every stage has an enable of its own.
    """

    def __init__(
        self, source: FloatFormat, target: FloatFormat, width: int, *, stages: int, flush: bool = False
    ) -> None:
        name = f"fp_convert_{source.name}_{suffix(target, flush)}_int{check_integer_width(width)}"
        chain = steps(source, target, width, flush)
        super().__init__(
            name, {"a": source.width}, target.width, chain, BOTH_DELAYS[-len(chain) :], stages, False, True,
            quick=True, more={"whole": width},
        )  # fmt: skip
