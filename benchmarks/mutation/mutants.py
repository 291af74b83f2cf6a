"""Small semantic changes of one Python file: each replaces one expression or statement by a wrong one."""

from __future__ import annotations

import ast
import marshal
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

#: Names that take each other's place.
_OPPOSITES = {
    "max": "min",
    "min": "max",
    "larger": "smaller",
    "smaller": "larger",
    "maximum": "minimum",
    "minimum": "maximum",
}
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.FloorDiv: "*",
    ast.Div: "*",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">",
    ast.Eq: "!=", ast.NotEq: "==", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
#: Calls whose arguments are words for people.
_WORDS = frozenset(
    {
        "note",
        "refuse",
        "ParamError",
        "SpecError",
        "ToolError",
        "ValueError",
        "TypeError",
        "Register",
        "parameter",
    }
)


@dataclass(frozen=True)
class Mutant:
    """One change: the lines it stands in as they were and as they become, and what was changed in words."""

    path: str
    first: int
    last: int
    what: str
    before: str
    after: str

    def applied(self, text: str) -> str | None:
        """A file with the change, where lines may have moved since; ``None`` where they are no longer there."""
        lines, before = text.splitlines(keepends=True), self.before.splitlines(keepends=True)
        found = [at for at in range(len(lines)) if lines[at : at + len(before)] == before]
        if not found:
            return None
        at = min(found, key=lambda place: abs(place + 1 - self.first))
        return "".join([*lines[:at], self.after, *lines[at + len(before) :]])


class _Finder(ast.NodeVisitor):
    """Collects (node, replacement) pairs, leaving out annotations, messages and what only people read."""

    def __init__(self, text: str) -> None:
        self.lines = text.encode().splitlines(keepends=True)
        self.found: list[tuple[ast.expr | ast.stmt, str]] = []

    def source(self, node: ast.AST) -> str:
        """The text of a node; columns of the syntax tree count bytes."""
        if not isinstance(node, ast.expr | ast.stmt):
            return ""
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        part = self.lines[first : last + 1]
        part[-1] = part[-1][: node.end_col_offset]
        part[0] = part[0][node.col_offset :]
        return b"".join(part).decode()

    def add(self, node: ast.expr | ast.stmt, replacement: str) -> None:
        self.found.append((node, replacement))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name not in ("__repr__", "__str__"):
            for statement in node.body:
                self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if self.source(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def _nothing(self, node: ast.AST) -> None:
        """Do not look inside."""

    visit_Raise = visit_Assert = visit_JoinedStr = visit_Import = visit_ImportFrom = visit_arguments = (
        _nothing
    )

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call) and self._name(node.value) not in _WORDS:
            self.add(node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.add(node, "pass")
        self.generic_visit(node)

    @staticmethod
    def _name(node: ast.Call) -> str:
        function = node.func
        return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")

    def visit_Call(self, node: ast.Call) -> None:
        name = self._name(node)
        if name in _WORDS:
            return
        if name in _OPPOSITES:
            function = self.source(node.func)
            self.add(node.func, function[: len(function) - len(name)] + _OPPOSITES[name])
        if name == "choose" and len(node.args) == 3:
            _, yes, no = (self.source(argument) for argument in node.args)
            self.add(node, yes)
            self.add(node, no)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not any(
            isinstance(side, ast.Constant) and isinstance(side.value, str) for side in (node.left, node.right)
        ):
            left, right = f"({self.source(node.left)})", f"({self.source(node.right)})"
            if isinstance(
                node.op, ast.Add | ast.Sub | ast.Mult | ast.FloorDiv | ast.Div | ast.Mod | ast.LShift
            ):
                self.add(node, left)
            if isinstance(node.op, ast.Add | ast.Mult):
                self.add(node, right)
            if type(node.op) in _OPERATORS:
                self.add(node, f"({left} {_OPERATORS[type(node.op)]} {right})")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        operator = _COMPARISONS.get(type(node.ops[0]))
        if len(node.ops) == 1 and operator:
            self.add(node, f"({self.source(node.left)} {operator} {self.source(node.comparators[0])})")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for value in node.values:
            self.add(node, f"({self.source(value)})")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub | ast.Invert):
            self.add(node, f"({self.source(node.operand)})")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.add(node, f"({self.source(node.body)})")
        self.add(node, f"({self.source(node.orelse)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.add(node, str(not node.value))
        elif isinstance(node.value, int):
            self.add(node, str(node.value + 1))
        elif isinstance(node.value, float):
            self.add(node, repr(2 * node.value or 1.0))

    def visit_Tuple(self, node: ast.Tuple) -> None:
        self._shorter(node, "(", ",)")

    def visit_List(self, node: ast.List) -> None:
        self._shorter(node, "[", "]")

    def _shorter(self, node: ast.Tuple | ast.List, opening: str, closing: str) -> None:
        """Leave out one element where the elements are calls or unpacked: the lines of an inventory."""
        if isinstance(node.ctx, ast.Load):
            for left_out in node.elts:
                if isinstance(left_out, ast.Call | ast.Starred):
                    rest = [self.source(element) for element in node.elts if element is not left_out]
                    self.add(node, opening + ", ".join(rest) + (closing if rest else closing[-1]))
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        if not isinstance(node.slice, ast.Constant):
            self.visit(node.slice)


def mutants(path: str, text: str) -> Iterator[Mutant]:
    """Every change of a file, a few of which are none (:func:`changes`); ``path`` names the file."""
    finder = _Finder(text)
    finder.visit(ast.parse(text))
    lines = text.splitlines(keepends=True)
    for node, replacement in finder.found:
        first, last = node.lineno, node.end_lineno or node.lineno
        old = " ".join(finder.source(node).split())
        what = f"{old[:90]} -> {' '.join(replacement.split())[:90]}"
        # Columns of the syntax tree count bytes.
        head = lines[first - 1].encode()[: node.col_offset].decode()
        tail = lines[last - 1].encode()[node.end_col_offset :].decode()
        before = "".join(lines[first - 1 : last])
        yield Mutant(path, first, last, what, before, head + replacement + tail)


def changes(mutant: Mutant, text: str) -> bool:
    """True if Python accepts the changed file and compiles it to other code than the file as it is."""
    changed = mutant.applied(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            return changed is not None and _code(changed) != _code(text)
        except (SyntaxError, ValueError):
            return False


def _code(text: str) -> bytes:
    """Compiled code; lines and columns are told by a table that is left out."""
    return marshal.dumps(_plain(compile(text, "", "exec")))


def _plain(code: CodeType) -> CodeType:
    constants = tuple(_plain(part) if isinstance(part, CodeType) else part for part in code.co_consts)
    return code.replace(co_linetable=b"", co_consts=constants, co_firstlineno=1)
