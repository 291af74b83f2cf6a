"""Exceptions for descriptions that are wrong."""


class ParamError(ValueError):
    """A design of the right kind that cannot be built; the message names a remedy if one exists."""


class SpecError(ValueError):
    """A file whose content does not match its schema; the message starts with ``file:line:col``."""
