"""The names of searches in space files and on the command line, and the classes behind them.

A name is one of ours, one that an installed distribution registers as an entry point of the group
``ternforge.searches``, or ``MODULE:CLASS``. Classes are imported when they are needed.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from blueprint.errors import ParamError
from blueprint.files.nearest import suggestion
from dse.searches.options import Option, options_of

AUTO, EXHAUSTIVE, PRUNED = "auto", "exhaustive", "pruned"
#: Methods after which the front is that of the whole space.
WHOLE = (EXHAUSTIVE, PRUNED)
#: The search of a space that is larger than the budget, where the file names none.
DEFAULT = "bayesian"
#: Entry points of this group are searches of other distributions.
GROUP = "ternforge.searches"
_PLACES = {
    EXHAUSTIVE: "dse.searches.exhaustive:Exhaustive",
    PRUNED: "dse.searches.exhaustive:Pruned",
    "random": "dse.searches.random:Random",
    "sobol": "dse.searches.sobol:Sobol",
    "nsga2": "dse.searches.nsga2:Nsga2",
    "evolution": "dse.searches.evolution:Evolution",
    "ant_colony": "dse.searches.ant_colony:AntColony",
    "bayesian": "dse.searches.bayesian:Bayesian",
    "reinforce": "dse.searches.reinforce:Reinforce",
    "agents": "dse.searches.agents:Agents",
    "optuna:tpe": "dse.searches.optuna:Tpe",
    "optuna:nsga2": "dse.searches.optuna:Nsga2",
    "optuna:random": "dse.searches.optuna:Random",
}
#: The package that a method needs beyond ours, and the extra that brings it.
_NEEDS = {name: "optuna" for name in _PLACES if name.startswith("optuna:")}
_PROTOCOL = ("Options", "independent", "ask", "tell")


def ours() -> tuple[str, ...]:
    """The methods of this distribution."""
    return (AUTO, *_PLACES)


def names() -> tuple[str, ...]:
    """The methods that a space file may name, beside ``MODULE:CLASS``."""
    return (*ours(), *(name for name in sorted(_registered()) if name not in ours()))


def load(method: str) -> type[Any]:
    """The search of this name (:class:`dse.searches.protocol.Search`). Raises ``ParamError`` where there is none."""
    method = DEFAULT if method == AUTO else method
    place = _PLACES.get(method) or _registered().get(method)
    outside = place is None and _is_place(method)
    if place is None and not outside:
        which = f"method must be one of {', '.join(names())}, or MODULE:CLASS, not {method!r}"
        raise ParamError(which + suggestion(method, names()))
    module, _, name = (place or method).partition(":")
    try:
        loaded = importlib.import_module(module)
    except ImportError as problem:
        raise ParamError(f"method {method!r} must name a module that can be imported: {problem}") from None
    if not hasattr(loaded, name):
        hint = suggestion(name, vars(loaded))
        raise ParamError(f"method {method!r} must name a class of {module}, which has no {name}{hint}")
    return _checked(method, getattr(loaded, name))


def ready(method: str) -> None:
    """Raise ``ParamError`` where a method needs a package that is not installed."""
    package = _NEEDS.get(method)
    if package is not None and importlib.util.find_spec(package) is None:
        remedy = f"pip install 'ternforge[{package}]'"
        raise ParamError(f"Method {method} needs the package {package}, which is not installed: {remedy}")


def options(method: str) -> dict[str, Option]:
    """The hyperparameters of a method by name. Raises ``ParamError`` as :func:`load`."""
    return options_of(load(method).Options)


def resolved(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters of a method, those that are not given by their defaults. Raises ``ParamError``."""
    known = options(method)
    for name, value in given.items():
        if name not in known:
            valid = f"one of {', '.join(known)}" if known else "left out"
            raise ParamError(f"option of {method} must be {valid}, not {name!r}{suggestion(name, known)}")
        if fault := known[name].fault(value):
            raise ParamError(fault)
    return {name: option.kind(given.get(name, option.default)) for name, option in known.items()}


def _registered() -> dict[str, str]:
    return {point.name: point.value for point in metadata.entry_points(group=GROUP)}


def _is_place(method: str) -> bool:
    """True for the form MODULE:CLASS; a module of ours that names methods so is none."""
    module, colon, name = method.partition(":")
    inside = module in {known.partition(":")[0] for known in _PLACES}
    return (
        bool(colon) and not inside and name.isidentifier() and all(map(str.isidentifier, module.split(".")))
    )


def _checked(method: str, found: Any) -> type[Any]:
    missing = [name for name in _PROTOCOL if not hasattr(found, name)]
    if not isinstance(found, type) or missing:
        what = f"without {', '.join(missing)}" if isinstance(found, type) else f"a {type(found).__name__}"
        raise ParamError(f"method {method!r} must be a search (dse.searches.protocol.Search), not {what}")
    return found
