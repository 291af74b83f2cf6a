"""Held-out loss of the shipped weights beside what else predicts the text: ``python evaluate.py --run FOLDER``.

Windows of the model's context without overlap, over all held-out books. Rows: the training model in PyTorch with its
master weights, the reference decoder with the shipped weights (integer products), the full-precision twin, and n-grams
of tokens (interpolated, with Kneser and Ney's discounting) that count the same text the model learned from.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import corpus
import torch
from model import Decoder, Shape
from train import judge

from checkpoints import reading
from checkpoints.reference import Reference

WEIGHTS = Path(__file__).parent / "tiny_kjv"
#: Discount: the part of each count that is given to tokens never seen behind the same n-gram.
DISCOUNT = 0.75


class NGram:
    """Probabilities of a token after those before it; interpolated Kneser-Ney with one discount.

    Chen and Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling", 1999, section 2.7.
    """

    def __init__(self, tokens: Sequence[int], order: int, vocabulary: int) -> None:
        self.order, self.vocabulary = order, vocabulary
        self._counts = [_counts(tokens, length, length == order) for length in range(1, order + 1)]
        self._totals = [_totals(counts) for counts in self._counts]

    def loss(self, tokens: Sequence[int], context: int) -> float:
        """Sum of the losses in nat, as `train.judge` takes it: every window begins anew."""
        total = 0.0
        for start in range(0, len(tokens) - 1, context):
            window = tuple(tokens[start : start + context + 1])
            for i in range(1, len(window)):
                total -= math.log(self.probability(window[max(0, i - self.order + 1) : i], window[i]))
        return total

    def probability(self, before: tuple[int, ...], token: int) -> float:
        """Probability of a token after at most ``order - 1`` others."""
        lower = self.probability(before[1:], token) if before else 1 / self.vocabulary
        total, kinds = self._totals[len(before)].get(before, (0, 0))
        if not total:
            return lower
        seen = max(self._counts[len(before)].get((*before, token), 0) - DISCOUNT, 0)
        return (seen + DISCOUNT * kinds * lower) / total


def _counts(tokens: Sequence[int], length: int, highest: bool) -> Counter[tuple[int, ...]]:
    # Times that a gram was seen; below the highest order, the number of different tokens in front of it.
    if highest:
        return Counter(zip(*(tokens[i:] for i in range(length)), strict=False))
    longer = set(zip(*(tokens[i:] for i in range(length + 1)), strict=False))
    return Counter(gram[1:] for gram in longer)


def _totals(counts: Counter[tuple[int, ...]]) -> dict[tuple[int, ...], tuple[int, int]]:
    # Sum of the counts, and number of different tokens, after each history.
    found: defaultdict[tuple[int, ...], list[int]] = defaultdict(lambda: [0, 0])
    for gram, count in counts.items():
        found[gram[:-1]][0] += count
        found[gram[:-1]][1] += 1
    return {history: (total, kinds) for history, (total, kinds) in found.items()}


def _trained(run: Path, full: bool) -> Decoder:
    model = Decoder(Shape(), full)
    model.load_state_dict(torch.load(run / "checkpoint.pt", map_location="cpu")["model"])
    return model


def _agreement(model: Decoder, reference: Reference, tokens: Sequence[int], context: int) -> float:
    # Share of positions whose most likely token is the same.
    same = total = 0
    with torch.no_grad():
        for start in range(0, len(tokens) - 1, context):
            window = list(tokens[start : start + context])
            theirs = model(torch.tensor([window]))[0].argmax(-1).numpy()
            same += int((reference.logits(window).argmax(-1) == theirs).sum())
            total += len(window)
    return same / total


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--run", type=Path, help="folder that train.py wrote, to judge its master weights too"
    )
    parser.add_argument("--twin", type=Path, help="folder that train.py --full wrote")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    learned, held_out = corpus.split(corpus.chapters())
    checkpoint = reading.read(options.weights).checkpoint
    assert checkpoint is not None and checkpoint.vocabulary is not None
    tokenizer, context = checkpoint.vocabulary.tokenizer, checkpoint.decoder.model.context
    tokens, count = corpus.encode(tokenizer, held_out), corpus.characters(held_out)
    before = corpus.encode(tokenizer, learned)

    def row(name: str, total: float) -> None:
        print(f"| {name} | {total / (len(tokens) - 1):.4f} | {total / math.log(2) / count:.4f} |", flush=True)

    print(f"{len(tokens):,} held-out tokens, {count:,} characters; {len(before):,} tokens to learn from\n")
    print("| model | nat per token | bit per character |\n| --- | ---: | ---: |")
    for order in (1, 2, 3, 4):
        row(f"{order}-gram of tokens", NGram(before, order, corpus.VOCABULARY).loss(tokens, context))
    reference = Reference(checkpoint)
    windows = [tokens[start : start + context + 1] for start in range(0, len(tokens) - 1, context)]
    row("shipped weights, integer products", sum(reference.loss(window) for window in windows))
    if options.run:
        model = _trained(options.run, full=False)
        row("training model, master weights", judge(model, torch.tensor(tokens), context))
        share = _agreement(model.eval(), reference, tokens, context)
    if options.twin:
        row("full-precision twin", judge(_trained(options.twin, full=True), torch.tensor(tokens), context))
    if options.run:
        print(f"\n{share:.4%} of the most likely tokens are equal, training model and shipped weights")


if __name__ == "__main__":
    main()
