"""The elastic register stage: it loads a beat as soon as it is empty or passes on the beat that it holds."""

from amaranth.hdl import Module, Signal, Value


def elastic(m: Module, offered: Value, full: Signal, ready: Signal, onward: Value) -> Value:
    """The valid/ready handshake of one register stage; returns the load enable of its data register.

    Guarantees: beats leave in order, none lost or repeated, one per cycle while nothing waits; of a chain of stages
    every one fills before the input has to wait.
    Does not: hold the data; nor cut the path of ready: ``onward`` reaches ``ready`` combinationally through all stages.

    ``offered`` is the valid of the input, ``onward`` the ready of whatever follows. The function drives ``full``, which
    is 1 while the stage holds a beat, and ``ready``, which is 1 while it takes one.
    """
    m.d.comb += ready.eq(~full | onward)
    with m.If(ready):
        m.d.sync += full.eq(offered)
    return offered & ready
