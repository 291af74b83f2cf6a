"""ternforge: from a short YAML description to verified, costed hardware for ternary language models.

The functions of :mod:`ternforge.api` are also here (``ternforge.estimate(...)``); what they need is loaded
when they are called.
"""

from __future__ import annotations

from typing import Any

from ternforge.rooms import conflict, settle

settle()

if conflict() is None:
    from blueprint.version import VERSION as __version__
    from ternforge.api import (
        apply,
        check,
        doctor,
        estimate,
        explore,
        export,
        generate,
        init,
        model,
        model_import,
        models,
        plot,
        read_design,
        read_technology,
        read_workload,
        report,
        simulate,
        synth,
        technologies,
        technology,
        technology_calibrate,
        technology_import,
        technology_validate,
        verify,
    )
else:  # another distribution's package has the name of a room
    __version__ = "unknown"

__all__ = [
    "__version__",
    "apply",
    "check",
    "doctor",
    "estimate",
    "explore",
    "export",
    "generate",
    "init",
    "model",
    "model_import",
    "models",
    "plot",
    "read_design",
    "read_technology",
    "read_workload",
    "report",
    "simulate",
    "synth",
    "technologies",
    "technology",
    "technology_calibrate",
    "technology_import",
    "technology_validate",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        raise ImportError(conflict())
    raise AttributeError(f"module 'ternforge' has no attribute {name!r}")
