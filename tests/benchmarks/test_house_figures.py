"""Figures of the code, counted on small trees."""

from __future__ import annotations

from pathlib import Path

from benchmarks import house


def tree(root: Path, **files: str) -> Path:
    """A folder with files by path, ``__`` for a slash."""
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_flags_are_choices_between_zero_and_one(tmp_path: Path) -> None:
    root = tree(tmp_path, blueprint__a="choose(x, 1, 0)\nchoose(x, 0, 1)\nchoose(x, 1, 2)\nchoose(x, y, 0)\n")
    assert house.chosen_flags(root) == 2


def test_casts_are_those_of_parameters(tmp_path: Path) -> None:
    root = tree(tmp_path, generator__a="int(spec.k)\nbool(self.spec.held)\nint(number)\n")
    assert house.casts(root) == 2


def test_wires_by_string_are_read_by_a_name(tmp_path: Path) -> None:
    text = 'own["wire"].eq(1)\nown["set"] = 1\nown[2]\ngetattr(block, name)\nhasattr(self, "port")\n'
    assert house.wires_by_string(tree(tmp_path, generator__cells__a=text)) == 3


def test_families_are_found_in_both_layouts(tmp_path: Path) -> None:
    old = tree(tmp_path / "old", blueprint__toy__spec="a = 1\n", generator__toy__top="b = 1\nc = 1\n")
    inner = {"blueprint__families__toy__ports": "a = 1\n", "generator__families__toy__top": "b = 1\n"}
    new = tree(tmp_path / "new", **inner)
    assert [list(house.homes(root)) for root in (old, new)] == [["toy"], ["toy"]]
    assert (house.lines_of_a_family(old), house.lines_of_a_family(new)) == ("3", "2")


def test_a_sentence_is_the_same_in_any_lines(tmp_path: Path) -> None:
    texts = ('"""One. Two\nlines."""\n', '"""One.\n\nTwo lines."""\n', '"""One. Three."""\n')
    found = [house.sentences(tree(tmp_path / str(n), blueprint__a=text)) for n, text in enumerate(texts)]
    assert found[0] == found[1] == {"One.", "Two lines."}
    assert found[0] - found[2] == {"Two lines."}
