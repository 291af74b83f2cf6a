"""The ``ternforge`` command: which verbs there are, and what an error looks like."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ternforge import __version__
from ternforge.faults import interrupted, sentence
from ternforge.rooms import conflict
from ternforge.session import Session
from ternforge.shell import LazyGroup

FINE, DOES_NOT_HOLD, BAD_INPUT, OUR_FAULT, INTERRUPTED = 0, 1, 2, 70, 130

_VERBS = {
    "doctor": "Check that every tool really works.",
    "init": "Write a starting folder.",
    "check": "Validate a YAML file and print it resolved.",
    "generate": "Write a design as Verilog.",
    "verify": "Prove the Verilog against the golden model, bit by bit and cycle by cycle.",
    "estimate": "Predict area, clock, energy and latency.",
    "compile": "Write a checkpoint as programs and memory of a system.",
    "synth": "Synthesize, and compare with the prediction.",
    "simulate": "Run a workload, or a prompt on a system, cycle by cycle.",
    "explore": "Search a design space.",
    "merge": "Put the shards of a search together.",
    "promote": "Measure a study's front by simulator and synthesis.",
    "apply": "Take a design out of a study.",
    "export": "Hand a design over to another flow.",
    "plot": "Draw a study's Pareto front, or a system.",
    "report": "Write a study as one HTML page.",
    "compare": "Compare the fronts of studies.",
    "tech": "Technologies: list, show, import, calibrate, validate.",
    "model": "Language models: list, show, import, export, generate.",
}


@click.group(
    cls=LazyGroup,
    verbs={name: (f"ternforge.commands.{name}", text) for name, text in _VERBS.items()},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ternforge", message="%(prog)s %(version)s")
def cli() -> None:
    """From a short YAML description to verified, costed hardware for ternary language models.

    Exit codes: 0 fine; 1 what was checked does not hold; 2 bad input; 130 interrupted.
    """


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every exception is reported, none propagates."""
    session = Session(json="--json" in arguments)
    try:
        if (what := conflict()) is not None:
            raise click.ClickException(what)
        code = cli.main(args=list(arguments), prog_name="ternforge", standalone_mode=False, obj=session)
        return code if isinstance(code, int) else FINE
    except (KeyboardInterrupt, click.Abort):
        session.fail(interrupted(arguments))
        return INTERRUPTED
    except SystemExit:  # Click ends so when the reader of our output closes the pipe
        return FINE
    except Exception as problem:
        return _report(session, problem)


def _report(session: Session, problem: Exception) -> int:
    message = explain(problem)
    if session.verbosity >= 2:
        import traceback

        traceback.print_exception(problem)
    if message is None:
        hint = "" if session.verbosity >= 2 else "; -vv shows where"
        message = f"Internal error, please report it: {type(problem).__name__}: {problem}{hint}"
        session.fail(message)
        return OUR_FAULT
    session.fail(message)
    return DOES_NOT_HOLD if is_deadlock(problem) else BAD_INPUT


def is_deadlock(problem: Exception) -> bool:
    """True if a design was found unable to finish its work."""
    if not isinstance(problem, RuntimeError):
        return False  # without loading the simulator and its compiler
    from simulator.engine.kernel import Deadlock

    return isinstance(problem, Deadlock)


def explain(problem: Exception) -> str | None:
    """One sentence for a fault that a user can mend, ``None`` for a bug of ours."""
    from blueprint.errors import ParamError, ParamTypeError, SpecError
    from toolchain.cache import CacheError
    from toolchain.process import ToolError

    if isinstance(problem, click.ClickException):
        return problem.format_message()
    if isinstance(problem, (ParamError, ParamTypeError, SpecError, ToolError, CacheError)):
        return str(problem)
    if is_deadlock(problem):
        return str(problem)
    return sentence(problem)
