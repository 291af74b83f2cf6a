"""As much of PyTorch, in NumPy and without gradients, as the programs of `examples/tiny_lm` ask for."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np


class Tensor(np.ndarray):  # type: ignore[type-arg]
    """An array with the names that PyTorch has for what it can do."""

    def abs(self) -> Any:
        return np.abs(self)

    def mean(self, dim: Any = None, keepdim: bool = False, **_: Any) -> Any:  # type: ignore[override]
        return tensor(np.mean(np.asarray(self), axis=dim, keepdims=keepdim))

    def amax(self, dim: int, keepdim: bool) -> Any:
        return self.max(axis=dim, keepdims=keepdim)

    def clamp(self, min: float, max: float = np.inf) -> Any:
        return np.clip(self, min, max)

    def square(self) -> Any:
        return self * self

    def view(self, *shape: Any) -> Any:  # type: ignore[override]
        return self.reshape(*shape) if shape and isinstance(shape[0], int) else super().view(*shape)

    def transpose(self, *axes: Any) -> Any:
        return self.swapaxes(*axes)

    def chunk(self, count: int, dim: int) -> Any:
        return np.split(self, count, axis=dim)

    def repeat_interleave(self, count: int, dim: int) -> Any:
        return np.repeat(self, count, axis=dim)

    def flatten(self, first: int = 0, last: int = 0) -> Any:  # type: ignore[override]
        return self.reshape(-1, *self.shape[last + 1 :]) if last else self.reshape(-1)

    def dim(self) -> int:
        return self.ndim

    def numpy(self) -> Any:
        return np.asarray(self)

    def cos(self) -> Any:
        return np.cos(self)

    def sin(self) -> Any:
        return np.sin(self)

    def float(self) -> Any:
        return self.astype(np.float32)

    def half(self) -> Any:
        return self.astype(np.float16)

    def is_floating_point(self) -> bool:
        return self.dtype.kind == "f"

    def to(self, kind: Any) -> Any:
        return self.astype(kind)

    def detach(self) -> Any:
        return self

    def contiguous(self) -> Any:
        return np.ascontiguousarray(self)

    def backward(self) -> None:
        Seen.now.append(("backward", float(self)))


class Seen:
    """What optimizers and gradients were asked for, in order."""

    now: list[tuple[str, Any]] = []


def tensor(values: Any) -> Tensor:
    return np.asarray(values).view(Tensor)


class Module:
    """A part of a model: parameters and parts by the names of its attributes."""

    def __call__(self, *given: Any) -> Any:
        return self.forward(*given)  # type: ignore[attr-defined]

    def _held(self) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            if isinstance(value, Tensor) and name not in vars(self).get("_buffers", ()):
                yield name, value
            parts = enumerate(value) if isinstance(value, list) else [(None, value)]
            for number, part in parts:
                if isinstance(part, Module):
                    head = name if number is None else f"{name}.{number}"
                    yield from ((f"{head}.{inner}", found) for inner, found in part._held())

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self._held())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        mine = self.state_dict()
        assert mine.keys() == state.keys()
        for name, value in state.items():
            mine[name][...] = value

    def parameters(self) -> list[Tensor]:
        return list(self.state_dict().values())

    def register_buffer(self, name: str, value: Tensor, persistent: bool) -> None:
        vars(self).setdefault("_buffers", set()).add(name)
        setattr(self, name, value)

    def train(self) -> None:
        self.training = True

    def eval(self) -> Any:
        self.training = False
        return self


class Embedding(Module):
    def __init__(self, count: int, width: int) -> None:
        self.weight = tensor(np.zeros((count, width), np.float32))

    def forward(self, numbers: Any) -> Any:
        return self.weight[np.asarray(numbers)]


class Optimizer:
    """Remembers its groups as they are at each step."""

    def __init__(self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float]) -> None:
        self.param_groups = [{"lr": lr, **group} for group in groups]
        self.betas, self.steps = betas, 0

    def zero_grad(self, set_to_none: bool) -> None:
        Seen.now.append(("zero", set_to_none))

    def step(self) -> None:
        self.steps += 1
        rates = [(group["lr"], group["weight_decay"]) for group in self.param_groups]
        Seen.now.append(("step", rates))

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


class Generator:
    def manual_seed(self, seed: int) -> Generator:
        self.random = np.random.default_rng(seed)
        return self


def _cross_entropy(logits: Any, wanted: Any, reduction: str = "mean") -> Any:
    wide = np.asarray(logits, np.float64)
    wide = wide - wide.max(axis=-1, keepdims=True)
    losses = np.log(np.exp(wide).sum(axis=-1)) - wide[np.arange(len(wide)), np.asarray(wanted)]
    return tensor(losses.sum() if reduction == "sum" else losses.mean())


def _attention(q: Any, k: Any, v: Any, is_causal: bool) -> Any:
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    if is_causal:
        scores = np.where(np.tri(q.shape[-2], dtype=bool), scores, -np.inf)
    parts = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return (parts / parts.sum(axis=-1, keepdims=True)) @ v


def _normal(weight: Any, std: float) -> None:
    weight[...] = np.random.default_rng(weight.size).normal(0, std, weight.shape)


def _save(state: Any, path: Any) -> None:
    with open(path, "wb") as file:
        pickle.dump(state, file)


def _load(path: Any, map_location: str | None = None) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)


def _module(name: str, **parts: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(parts)
    return made


def modules() -> dict[str, ModuleType]:
    """The modules by name, as `sys.modules` has them."""
    functional = _module(
        "torch.nn.functional",
        linear=lambda x, weight: x @ weight.T,
        relu=lambda x: np.maximum(x, 0),
        cross_entropy=_cross_entropy,
        scaled_dot_product_attention=_attention,
    )
    nn = _module(
        "torch.nn",
        Module=Module,
        Parameter=lambda values: values,
        ModuleList=list,
        Embedding=Embedding,
        functional=functional,
        init=_module("torch.nn.init", normal_=_normal),
        utils=_module(
            "torch.nn.utils",
            clip_grad_norm_=lambda found, most: Seen.now.append(("clip", (len(found), most))),
        ),
    )

    @contextlib.contextmanager
    def nothing(*_: Any) -> Iterator[None]:
        yield

    def floats(*shape: int) -> Any:
        return tensor(np.zeros(shape, np.float32))

    def joined(parts: Sequence[Any], dim: int) -> Any:
        return np.concatenate(parts, axis=dim).view(Tensor)

    torch = _module(
        "torch",
        nn=nn,
        Tensor=Tensor,
        tensor=tensor,
        Generator=Generator,
        no_grad=nothing,
        autocast=nothing,
        bfloat16="bfloat16",
        float16=np.float16,
        float32=np.float32,
        empty=floats,
        ones=lambda *shape: floats(*shape) + 1,
        arange=lambda *given: tensor(np.arange(*given)),
        outer=lambda one, other: tensor(np.outer(one, other)),
        cat=joined,
        stack=lambda rows: tensor(np.stack(rows)),
        rsqrt=lambda x: 1 / np.sqrt(x),
        randint=lambda high, size, generator: tensor(generator.random.integers(high, size=size)),
        manual_seed=lambda seed: Seen.now.append(("seed", seed)),
        optim=_module("torch.optim", AdamW=Optimizer),
        save=_save,
        load=_load,
    )
    return {"torch": torch, "torch.nn": nn, "torch.nn.functional": functional}
