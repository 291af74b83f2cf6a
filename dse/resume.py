"""Continuing a study with a changed space: what may change, and the effect on stored points.

Metrics of a design do not depend on how it was found, nor on limits and goals. So another search goes on where the
stored one stopped, other constraints judge stored points anew, and other objectives give another front. A study that
keeps a sample of its points begins anew instead.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from dse import search
from dse.problem import Problem
from dse.space import Search
from dse.store import Store, StudyError

#: Parts of a space's content that do not change any design's numbers.
_FREE = ("constraints", "objectives", "search")
#: Longest value that a message shows.
_SHOWN = 40


def amend(kept: Store, problem: Problem, facts: dict[str, Any]) -> None:
    """Turn a stored study into one of ``problem``, which has these ``facts``.

    Raises ``StudyError`` where stored points would have other numbers now.
    """
    before = kept.facts()
    _check(kept, before, facts)
    start = before.get("start", 0)
    old, new = before["content"], facts["content"]
    if all(old[part] == new[part] for part in _FREE):
        return
    same_order = search.same_order(_searched(problem, old), problem.space)
    if kept.thinned:
        if not same_order or any(old[part] != new[part] for part in ("constraints", "objectives")):
            kept.restart(facts)
        else:
            kept.restate({**facts, "start": start})
        return
    judged = problem.judged if old["constraints"] != new["constraints"] else None
    partial = {"partial": True} if before.get("partial") else {}
    if not same_order:
        start, partial = kept.count(), {}
    kept.amend({**facts, "start": start, **partial}, judged)


def _searched(problem: Problem, content: dict[str, Any]) -> Any:
    return dataclasses.replace(problem.space, search=Search.of(content["search"]))


def _check(kept: Store, before: dict[str, Any], now: dict[str, Any]) -> None:
    folder, shard = kept.path.parent, before.get("shard")
    if shard != now.get("shard"):
        was, new = (f"shard {name}" if name else "a whole search" for name in (shard, now.get("shard")))
        raise StudyError(
            f"{folder}: study must be continued as {was}, as it was started, and not as {new}; "
            "explore into another folder"
        )
    free = [part for part in _FREE if part != "search" or not shard]  # all shards must be of one search
    if changed := differences(before, now, skip=free):
        raise StudyError(
            f"{folder}: study must be continued with the space it was started with, and this one differs in "
            f"{', '.join(changed)}; explore into another folder"
        )


def differences(before: dict[str, Any], now: dict[str, Any], skip: Sequence[str] = ()) -> list[str]:
    """Describe the differences between the facts of two studies; ``skip`` are parts of the space that may."""
    changed = [
        *_differences(before["content"], now["content"], skip=skip),
        *_differences(before["provenance"], now["provenance"]),
    ]
    return [*changed, *(["metrics"] if before["metrics"] != now["metrics"] else [])]


def _differences(before: dict[str, Any], now: dict[str, Any], skip: Sequence[str] = ()) -> list[str]:
    keys = [key for key in {**before, **now} if key not in skip and before.get(key) != now.get(key)]
    return [_difference(key, before.get(key), now.get(key)) for key in keys]


def _difference(name: str, before: Any, now: Any) -> str:
    """The innermost single place where two values differ, with both values if they are short."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return (
            _difference(f"{name}.{keys[0]}", before.get(keys[0]), now.get(keys[0]))
            if len(keys) == 1
            else name
        )
    shown = f"{_text(before)} then, {_text(now)} now"
    return f"{name} ({shown})" if len(shown) <= _SHOWN else name


def _text(value: Any) -> str:
    """A value as files write it, ``nothing`` where there is none."""
    if value is None or isinstance(value, str):
        return value or "nothing"
    return json.dumps(value)
