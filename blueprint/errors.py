"""Exceptions for descriptions that are wrong."""


class ParamError(ValueError):
    """A design of the right kind that cannot be built; the message names a remedy if one exists.

    ``parameter`` is the one that has to change, where it is one: a file reader finds its line. ``path`` is where a
    system's file says it, for what a unit of a system refuses.
    """

    def __init__(self, message: str, *, parameter: str | None = None, path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.parameter, self.path = parameter, path


class ParamTypeError(TypeError):
    """A parameter of the wrong kind, as a text where a number must be; ``parameter`` is its name."""

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class SpecError(ValueError):
    """A file whose content does not match its schema; the message starts with ``file:line:col``."""
