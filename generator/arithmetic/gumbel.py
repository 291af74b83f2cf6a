"""Gumbel noise of numbered words (:mod:`blueprint.arithmetic.gumbel`)."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import gumbel
from blueprint.arithmetic.floating import FP32
from blueprint.numbers import clog2
from generator.arithmetic.floating.pipeline import Wires
from generator.arithmetic.floating.words import leading_zeros
from generator.arithmetic.integers import zero_extend
from generator.arithmetic.polynomial import looked_up
from generator.block import Block, register

_WORD = gumbel.WORD_BITS


class Gumbel(Block):
    """The noise of a number by a key, as an FP32 number, which is positive.

    The first cycle has ``begin`` and ``step`` 0, the ones after it count ``step`` up. The result stays until the next
    number begins.
    """

    place = "noise"
    latency = f"{gumbel.CIPHER_CYCLES + gumbel.NOISE_CYCLES} cycles"
    throughput = f"a number every {gumbel.CIPHER_CYCLES} cycles"

    def __init__(self, step_bits: int) -> None:
        ports = {
            "begin": In(1),
            "step": In(step_bits),
            "number": In(gumbel.RANDOM_BITS),
            "key": In(gumbel.KEY_BITS),
            "result": Out(FP32.width - 1),
        }
        super().__init__(f"gumbel_noise_s{step_bits}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m = self.module()
        random = self._random(m)
        side, octave, f = self._located(m, random)
        self._float(m, self._line(m, side, octave, f))
        return m

    def _random(self, m: Module) -> Value:
        """The registers of the cipher, which hold a random word once all rounds are done."""
        moves = self.begin | ((self.step != 0) & (self.step < gumbel.CIPHER_CYCLES))
        state = Signal(gumbel.RANDOM_BITS + gumbel.KEY_BITS, name="state")
        chosen = Signal(len(state), name="chosen")
        m.d.comb += chosen.eq(Mux(self.begin, Cat(self.number, self.key), state))
        y, x, key, *later = (chosen[low : low + _WORD] for low in range(0, len(state), _WORD))
        w = Wires(m)
        for half in range(gumbel.ROUNDS_A_CYCLE):
            x = w(f"x{half}", (_right(x) + y)[:_WORD] ^ key)
            y = w(f"y{half}", y.rotate_left(gumbel.LEFT) ^ x)
            # The number of the round, which enters its key.
            number = Cat(Const(half, clog2(gumbel.ROUNDS_A_CYCLE)), self.step)[:_WORD]
            new = w(f"later{half}", (_right(later.pop(0)) + key)[:_WORD] ^ number)
            key = w(f"key{half}", key.rotate_left(gumbel.LEFT) ^ new)
            later.append(new)
        m.d.comb += state.eq(register(m, len(state), "state_held", moves, Cat(y, x, key, *later)))
        return state[: gumbel.RANDOM_BITS]

    def _located(self, m: Module, random: Value) -> tuple[Value, Value, Value]:
        """The side of a word, the octave on it, and the place in the octave."""
        w, side = Wires(m), random[-1]
        grown = w("grown", Cat(Const(1, 1), random[:-1] ^ side.replicate(len(random) - 1)))
        octave = w("octave", Cat(*leading_zeros(grown)[0]))
        shifted = w("shifted", (grown << octave)[: len(grown)])
        found = Cat(side, octave, shifted[len(grown) - 1 - gumbel.F_BITS : -1])
        held = register(m, len(found), "located", Const(1, 1), found)
        return held[0], held[1 : 1 + len(octave)], held[1 + len(octave) :]

    def _line(self, m: Module, side: Value, octave: Value, f: Value) -> Value:
        """The noise: a line of the side, the octave and the highest bits of the place, and more for far octaves."""
        w = Wires(m)
        bits = clog2(gumbel.OCTAVES)
        row = w("row", octave[:bits] | octave[bits:].any().replicate(bits))
        at = w("at", Cat(f[gumbel.PLACE_BITS :], row, side))
        least, rise = (
            w(name, looked_up([Const(line[part], width) for column in gumbel.lines() for line in column], at))
            for part, (name, width) in enumerate(zip(("least", "rise"), gumbel.widths(), strict=True))
        )
        place = w("place", f[: gumbel.PLACE_BITS] ^ (~side).replicate(gumbel.PLACE_BITS))
        product = w("product", rise * place)[gumbel.PLACE_BITS :]
        far = w("far", (octave & (~side).replicate(len(octave))) * Const(gumbel.ln2()))
        total = w("total", zero_extend(least + product + far, gumbel.NOISE_BITS + gumbel.GUARD))
        return register(m, gumbel.NOISE_BITS, "noise_held", Const(1, 1), total[gumbel.GUARD :])

    def _float(self, m: Module, noise: Value) -> None:
        """The noise as a float, of which the bits that vary are held."""
        w, low = Wires(m), FP32.fraction_bits - gumbel.NOISE_BITS + 1
        zeros = w("zeros", Cat(*leading_zeros(noise)[0])[: gumbel.ZEROS_BITS])
        normal = w("normal", (noise << zeros)[: gumbel.NOISE_BITS - 1])
        held = register(m, len(normal) + len(zeros), "float_held", Const(1, 1), Cat(normal, zeros))
        field = Signal(FP32.exponent_bits, name="field")
        m.d.comb += field.eq(FP32.bias + gumbel.WHOLE_BITS - 1 - held[len(normal) :])
        m.d.comb += self.result.eq(Cat(Const(0, low), held[: len(normal)], field))


def _right(word: Value) -> Value:
    return word.rotate_right(gumbel.RIGHT)
