"""Channels inside the engine: credits, tokens, and the ring buffer of the cycles in which tokens were sent."""

from __future__ import annotations

from simulator.engine.compiled import compiled, inner
from simulator.engine.machine import NEVER, Access, Channel, Machine


@inner
def credits(channel: Channel) -> int:
    """Slots that the producer may still reserve."""
    return channel.capacity - (channel.reserved - channel.freed)


@inner
def waiting(channel: Channel) -> int:
    """Tokens that are sent and not yet received, those in flight included."""
    return channel.sent - channel.received


@inner
def sent_in(m: Machine, channel: Channel, token: int) -> int:
    """The cycle in which a token was sent."""
    cycle: int = m.memory[channel.ring + token % channel.ring_length]
    return cycle


@inner
def note_sent(m: Machine, channel: Channel, token: int, cycle: int) -> None:
    """Record the cycle in which a token is sent, in place of that of the token that had its place in the ring."""
    m.memory[channel.ring + token % channel.ring_length] = cycle


@inner
def credit_from(channel: Channel) -> int:
    """The cycle from which the producer can reserve its next slot; NEVER while there is none."""
    return NEVER if credits(channel) <= 0 else channel.credit_since


@inner
def token_from(m: Machine, channel: Channel) -> int:
    """The cycle from which the consumer can receive its next token; NEVER while it is not sent."""
    if waiting(channel) == 0:
        return NEVER
    return sent_in(m, channel, channel.received) + channel.latency


@compiled
def available(m: Machine, access: Access) -> int:
    """The cycle from which the credit or token that an access acquires next is there; NEVER while unknown."""
    channel = m.channels[access.channel]
    return credit_from(channel) if access.produces == 1 else token_from(m, channel)


@inner
def in_flight(m: Machine, channel: Channel) -> int:
    """Waiting tokens that cannot be received in the next cycle: the ones sent last."""
    horizon = m.clock[0].now + 1 - channel.latency
    token = channel.sent
    while token > channel.received and sent_in(m, channel, token - 1) > horizon:
        token -= 1
    return channel.sent - token
