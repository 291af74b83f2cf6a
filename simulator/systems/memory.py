"""External memory behind an AXI4 port, cycle by cycle: what ``axi_memory.h`` does, in Python.

``blueprint/systems/memory_port.py`` says what the memory does; here it is done. In each cycle one first looks at what
the memory shows, then tells it what was offered (:meth:`Reads.tick`, :meth:`Writes.tick`).
"""

from __future__ import annotations

from collections import deque

from blueprint.systems.memory_port import MemoryPort


class _Requests:
    """Requests that were accepted: their answers wait in order."""

    def __init__(self, port: MemoryPort) -> None:
        self.port, self.accepted = port, 0

    def _wait(self) -> int:
        self.accepted += 1
        return self.port.wait(self.accepted - 1)


class Reads(_Requests):
    """The read half: requests wait in order, and their words follow each other."""

    def __init__(self, port: MemoryPort) -> None:
        super().__init__(port)
        self._waiting: deque[list[int]] = deque()  # address, words left, cycle of the first word
        self._offered, self._given = False, 0

    def ready(self, cycle: int) -> bool:
        """True if a request that is offered in the cycle is accepted."""
        silent = self.port.silent("ar", self.accepted, cycle)
        return self.port.opened(cycle) and not silent and len(self._waiting) < self.port.depth

    def valid(self, cycle: int) -> bool:
        """True if a word is offered in the cycle."""
        there = bool(self._waiting) and self._waiting[0][2] <= cycle
        may = self.port.moves(cycle) and not self.port.silent("r", self._given, cycle)
        self._offered = self._offered or (there and may)
        return self._offered

    @property
    def address(self) -> int:
        """Byte address of the word that is offered."""
        return self._waiting[0][0]

    def tick(self, cycle: int, request: tuple[int, int] | None, taken: bool, word_bytes: int) -> None:
        """The edge: a request (address, words) that was accepted, and whether the word was taken."""
        if taken:
            self._offered = False
            self._given += 1
            self._waiting[0][0] += word_bytes
            self._waiting[0][1] -= 1
            if self._waiting[0][1] == 0:
                self._waiting.popleft()
        if request is not None:
            self._waiting.append([*request, cycle + self._wait()])


class Writes(_Requests):
    """The write half: words go to the oldest request that lacks some, and each request is answered once."""

    def __init__(self, port: MemoryPort) -> None:
        super().__init__(port)
        self._waiting: deque[list[int]] = deque()  # address, words left, worst response
        self._answers: deque[tuple[int, int]] = deque()  # cycle, response
        self._requests = self._words = self._answered = 0

    def ready(self, cycle: int) -> bool:
        """True if a request that is offered in the cycle is accepted."""
        silent = self.port.silent("aw", self._requests, cycle)
        room = len(self._waiting) + len(self._answers) < self.port.depth
        return self.port.opened(cycle) and not silent and room

    def takes(self, cycle: int) -> bool:
        """True if a word that is offered in the cycle is accepted."""
        silent = self.port.silent("w", self._words, cycle)
        return bool(self._waiting) and self.port.moves(cycle) and not silent

    @property
    def address(self) -> int:
        """Byte address of the word that is taken next."""
        return self._waiting[0][0]

    def answer(self, cycle: int) -> int | None:
        """The response that is offered in the cycle; it is taken at once."""
        there = bool(self._answers) and self._answers[0][0] <= cycle
        return self._answers[0][1] if there and not self.port.silent("b", self._answered, cycle) else None

    def tick(self, cycle: int, request: tuple[int, int] | None, word: bool, word_bytes: int) -> None:
        """The edge: a request (address, words) that was accepted, and whether a word was."""
        if self.answer(cycle) is not None:
            self._answers.popleft()
            self._answered += 1
        if word:
            self._words += 1
            first = self._waiting[0]
            first[2] = max(first[2], self.port.response(first[0]))
            first[0] += word_bytes
            first[1] -= 1
            if first[1] == 0:
                self._waiting.popleft()
                self._answers.append((cycle + self._wait(), first[2]))
        if request is not None:
            self._requests += 1
            self._waiting.append([*request, 0])
