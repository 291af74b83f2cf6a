"""The score of a row: its sum, or where a run draws a row a multiple of it with noise."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from blueprint.arithmetic import gumbel
from blueprint.arithmetic.floating import FP32
from blueprint.families.vector import VectorSpec
from blueprint.families.vector.parameters import ONE, fp32
from blueprint.numbers import clog2
from generator.arithmetic.floating import FloatAdd, FloatMultiply
from generator.arithmetic.gumbel import Gumbel
from generator.block import register
from generator.families.vector.front import FloatUser


class Scores(FloatUser):
    """Multiplies the sum of a row by the inverse temperature and adds the noise of its number.

    Without a temperature the sum is multiplied by 1 and 0 is added, which changes no sum. The score is there when the
    factor of the row is, and stays until the next row begins.
    """

    place = "scores"

    def __init__(self, spec: VectorSpec) -> None:
        self.spec = spec
        self.latency = f"{spec.factor_cycles - 1} cycles"
        self.throughput = f"a row every {spec.factor_cycles} cycles"
        file = {size.name: size.width for size in spec.sizes}
        ports = {
            "begin": In(1),
            "step": In(clog2(spec.factor_cycles)),
            "number": In(spec.index_bits),
            "sum": In(FP32.width),
            "enable": In(1),
            **{name: In(file[name]) for name in ("inverse_temperature", "seed", "position")},
            "score": Out(FP32.width),
        }
        super().__init__(f"{spec.family}_scores_{spec.design_hash}", ports, clocked=True)

    def elaborate(self, platform: Any) -> Module:
        m, spec, stages = self.module(), self.spec, self.spec.adder_stages
        draws = Signal(name="draws")
        m.d.comb += draws.eq(self.inverse_temperature[FP32.fraction_bits :].any())
        times = Mux(draws, self.inverse_temperature, Const(fp32(ONE), FP32.width - 1))
        product = self._float(
            m, FloatMultiply(FP32, flush=True, stages=spec.parted), "product", self.sum, times, spec.parted
        )
        product = register(m, FP32.width, "product_held", self.enable, product)
        noise = self._noise(m) & draws.replicate(FP32.width - 1)
        total = self._float(m, FloatAdd(FP32, flush=True, stages=stages), "total", product, noise, stages)
        m.d.comb += self.score.eq(self.later(m, "score_held", total))
        return m

    def _noise(self, m: Module) -> Value:
        half = gumbel.KEY_BITS // 2
        key = [Cat(word, Const(0, half - len(word))) for word in (self.seed, self.position)]
        number = Cat(self.number, Const(0, gumbel.RANDOM_BITS - len(self.number)))
        block = Gumbel(len(self.step))
        found: Value = self.use(
            m, block, "gumbel", begin=self.begin, step=self.step, number=number, key=Cat(*key)
        ).result
        return found

    def _float(self, m: Module, block: Any, name: str, a: Value, b: Value, stages: int) -> Value:
        """Result of a unit whose second operand is positive."""
        moves = {"enable": Const(1, 1)} if stages else {}
        return self.result(m, block, name, a=a, b=Cat(b, Const(0, 1)), **moves)
