"""Train the tiny model: ``python train.py --out FOLDER``; needs PyTorch, ``tokenizers`` and ``bible-kjv``.

The run prints one estimate of the time that is left, can be interrupted at any moment, and goes on from its last
checkpoint with the same command. ``--full`` trains the twin with floating-point weights.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path

import corpus
import torch
import torch.nn.functional as functional
from model import Decoder, Shape
from torch import Tensor

BATCH = 8
WARM_UP = 100
RATE = 3e-3
SAVE_EVERY = 100
JUDGE_EVERY = 500


def _rate(step: int, steps: int) -> float:
    # Linear warm-up, then half a cosine to a tenth of the rate.
    if step < WARM_UP:
        return RATE * (step + 1) / WARM_UP
    part = (step - WARM_UP) / max(steps - WARM_UP, 1)
    return RATE * (0.1 + 0.9 * (1 + math.cos(math.pi * part)) / 2)


def _batch(tokens: Tensor, context: int, seed: int) -> tuple[Tensor, Tensor]:
    # The batch of a step depends on its number alone, so that a run that goes on sees what an unbroken one sees.
    draw = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(tokens) - context - 1, (BATCH,), generator=draw)
    rows = torch.stack([tokens[start : start + context + 1] for start in starts])
    return rows[:, :-1], rows[:, 1:]


@torch.no_grad()
def judge(model: Decoder, tokens: Tensor, context: int) -> float:
    """Sum of the losses, in nat, of held-out tokens in windows without overlap."""
    model.eval()
    total = 0.0
    for start in range(0, len(tokens) - 1, context):
        row = tokens[start : start + context + 1][None]
        total += functional.cross_entropy(model(row[:, :-1])[0], row[0, 1:], reduction="sum").item()
    model.train()
    return total


def _save(path: Path, state: dict[str, object]) -> None:
    draft = path.with_suffix(".tmp")
    torch.save(state, draft)
    os.replace(draft, path)


def _texts(folder: Path) -> tuple[Tensor, Tensor, int]:
    learned, held_out = corpus.split(corpus.chapters())
    tokenizer = corpus.train_tokenizer(learned)
    tokenizer.save(str(folder / "tokenizer.json"))
    encoded = (torch.tensor(corpus.encode(tokenizer, text)) for text in (learned, held_out))
    return (*encoded, corpus.characters(held_out))


class Run:
    """A model in training with all that its checkpoint holds; goes on where the checkpoint of ``folder`` stands."""

    def __init__(self, folder: Path, steps: int, full: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(1)
        self.folder, self.steps, self.shape = folder, steps, Shape()
        self.learned, self.held_out, self.characters = _texts(folder)
        self.model = Decoder(self.shape, full)
        matrices = [p for p in self.model.parameters() if p.dim() == 2]
        gains = [p for p in self.model.parameters() if p.dim() == 1]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95))
        self.first, self.curve = 0, list[dict[str, float]]()
        if self._checkpoint.exists():
            state = torch.load(self._checkpoint)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.first, self.curve = state["step"], state["curve"]

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def step(self, number: int) -> float:
        """Take one step; return its loss in nat per token."""
        for group in self.optimizer.param_groups:
            group["lr"] = _rate(number, self.steps)
        self.optimizer.param_groups[0]["weight_decay"] = 0.1 if number < self.steps // 2 else 0.0
        numbers, wanted = _batch(self.learned, self.shape.context, number)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(numbers)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), wanted.flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.item())

    def judge(self, done: int) -> None:
        """Add the held-out loss to the curve, and print it."""
        total = judge(self.model, self.held_out, self.shape.context)
        nat, bits = total / (len(self.held_out) - 1), total / math.log(2) / self.characters
        self.curve.append({"step": done, "nat_per_token": nat, "bit_per_character": bits})
        print(f"step {done}: {nat:.4f} nat per token, {bits:.4f} bit per character", flush=True)

    def save(self, done: int) -> None:
        """Write the checkpoint after ``done`` steps."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        _save(self._checkpoint, {**state, "step": done, "curve": self.curve})


def train(folder: Path, steps: int, full: bool) -> None:
    """Train to ``steps`` steps; ``folder`` holds the checkpoint, the tokenizer and the curve of losses."""
    run = Run(folder, steps, full)
    began, spent = time.monotonic(), time.process_time()
    for done in range(run.first + 1, steps + 1):
        loss = run.step(done - 1)
        if done % JUDGE_EVERY == 0 or done == steps:
            run.judge(done)
        if done % SAVE_EVERY == 0 or done == steps:
            run.save(done)
            left = (time.monotonic() - began) / (done - run.first) * (steps - done) / 60
            used = time.process_time() - spent
            text = f"{done} of {steps} steps, loss {loss:.3f}, {used:.0f} s of processor time"
            print(f"{text}, about {left:.0f} min to go", flush=True)
    (folder / "curve.json").write_text(json.dumps(run.curve, indent=1) + "\n")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="floating-point weights and activations")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options.out, options.steps, options.full)


if __name__ == "__main__":
    main()
