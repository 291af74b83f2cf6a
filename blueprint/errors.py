"""Exceptions for descriptions that are wrong."""


class ParamError(ValueError):
    """A design of the right kind that cannot be built; the message names the remedy where there is one."""


class SpecError(ValueError):
    """A file that cannot be read as what it claims to be; the message starts with ``file:line:col``."""
