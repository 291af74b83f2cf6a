"""How well tokens are drawn: the noise beside its formula, probabilities beside the softmax, and a chi-square test.

``python -m benchmarks.sampling`` prints the figures of docs/families/vector.md. Probabilities are exact: every value
of the noise with its share of all random words.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from blueprint.arithmetic import gumbel
from blueprint.families.vector import VectorSpec
from blueprint.workloads.tasks import Rowwise

Real = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Rows and their standard deviations, in nats, of the scores whose probabilities are compared; seed of the scores.
SHAPES, SPREADS, SEED = (2, 3, 10, 100, 400), (0.5, 1.0, 2.0, 4.0), 3
#: Gaps of two scores.
GAPS = np.linspace(0, 12, 49)
#: Draws of the test.
DRAWS = 20_000


def noise_error(octaves: int = gumbel.OCTAVES) -> float:
    """Largest difference of the noise from its formula, over places of all octaves that have lines of their own."""
    f = np.arange(1 << gumbel.F_BITS, dtype=np.int64)
    found = 0.0
    for side in (0, 1):
        for octave in range(octaves):
            words = _words(side, octave, f)
            t = (words if side == 0 else (1 << gumbel.RANDOM_BITS) - 1 - words) + 0.5
            exact = gumbel.exact(side, t / (1 << gumbel.RANDOM_BITS)) + gumbel.SHIFT
            found = max(found, float(np.abs(gumbel.noise(words) / (1 << gumbel.FRACTION) - exact).max()))
    return found


def masses() -> Real:
    """The share of random words that give each noise."""
    found = np.zeros(1 << gumbel.NOISE_BITS)
    f = np.arange(1 << gumbel.F_BITS, dtype=np.int64)
    for side in (0, 1):
        for octave in range(gumbel.RANDOM_BITS):
            share = 2.0 ** -min(octave + 2, gumbel.RANDOM_BITS)
            np.add.at(found, gumbel.noise(_words(side, octave, f)), share / f.size)
    return found


def _words(side: int, octave: int, f: Integers) -> Integers:
    """A random word of each place in an octave; places of far octaves share words."""
    half = gumbel.RANDOM_BITS - 1
    low = ((1 << gumbel.F_BITS | f) << half >> octave >> gumbel.F_BITS) >> 1
    return low if side == 0 else (1 << gumbel.RANDOM_BITS) - 1 - low


def probabilities(scores: Integers, mass: Real) -> Real:
    """The exact probability that each of some scores is chosen, in units of the noise; equal ones share."""
    above = scores - scores.min()
    grid = np.arange(mass.size + int(above.max()))
    whole = np.concatenate([[0.0], np.cumsum(mass)])
    middle = (whole[:-1] + whole[1:]) / 2

    def below(score: int) -> Real:
        """Logarithm of the probability that this score with its noise is below each value."""
        place = np.clip(grid - score, 0, mass.size - 1)
        found = np.where(grid < score, 0.0, np.where(grid - score >= mass.size, 1.0, middle[place]))
        return np.asarray(np.log(np.maximum(found, 1e-300)))

    total = np.sum([below(int(score)) for score in above], axis=0)
    found = []
    for score in map(int, above):
        mine = (total - below(score))[score : score + mass.size]
        found.append(float((mass * np.exp(mine)).sum()))
    return np.array(found)


def softmax(scores: Integers) -> Real:
    """The probabilities that are wanted."""
    weights = np.exp((scores - scores.max()) / (1 << gumbel.FRACTION))
    return np.asarray(weights / weights.sum())


def deviation(shapes: tuple[int, ...] = SHAPES) -> float:
    """The largest difference of a probability from the softmax, over pairs of all gaps and over random scores."""
    random, mass, scale = np.random.default_rng(SEED), masses(), 1 << gumbel.FRACTION
    every = [np.array([0, round(gap * scale)]) for gap in GAPS]
    every += [np.rint(random.normal(0, s, n) * scale).astype(np.int64) for n in shapes for s in SPREADS]
    return max(float(np.abs(probabilities(one, mass) - softmax(one)).max()) for one in every)


def chi_square(draws: int = DRAWS, rows: int = 12, temperature: float = 0.7, top_k: int = 0) -> float:
    """The p-value of draws by the golden model, each of another position, against the softmax of their scores.

    With ``top_k`` that of so many with the largest; 0.0 where another one is drawn.
    """
    spec = VectorSpec(
        lanes=2, length_max=4, rows_max=rows, format="fp32", dots=True, samples=True, top_k=top_k
    )
    scores = np.random.default_rng(SEED).normal(0, 1, rows).astype(np.float32)
    found = np.zeros(rows)
    for position in range(draws):
        task = Rowwise(rows, 1, "dot", temperature=temperature, seed=SEED, position=position, top_k=top_k)
        found[drawn(spec, scores, task)] += 1
    among = np.argsort(-scores)[: top_k or rows]
    if found[among].sum() < draws:
        return 0.0
    weights = np.exp(scores[among].astype(np.float64) / temperature)
    return float(stats.chisquare(found[among], draws * weights / weights.sum()).pvalue)


def drawn(spec: VectorSpec, scores: npt.NDArray[np.float32], task: Rowwise) -> int:
    """The row that a run draws, whose rows are a score each."""
    from blueprint.families.vector import golden

    given = {name: np.array([value], np.int64) for name, value in spec.drawn_values(task).items()}
    sums = scores.view(np.uint32).astype(np.int64)
    return int(golden.chosen(spec, given, sums))


def main() -> None:
    """Print all figures."""
    print(f"largest error of the noise where an octave has lines of its own: {noise_error():.1e}")
    print(f"largest deviation of a probability: {deviation():.1e}")
    print(f"chi-square of {DRAWS} draws: p = {chi_square():.3f}")
    print(f"chi-square of {DRAWS} draws among 5 of 12: p = {chi_square(top_k=5):.3f}")


if __name__ == "__main__":
    main()
