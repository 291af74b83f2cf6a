"""Common parts of the pages of studies: one file that opens offline, with its style, its script and its data inside."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any

from costmodel.model import quantity
from dse import embedded

#: The scripts of a page in their order; each is one kind of panel, and works where the page has it.
SCRIPTS = ("core.js", "scatter.js", "parallel.js", "designs.js", "charts.js", "start.js")


def render(template: str, data: dict[str, Any], **values: Any) -> str:
    """A page of one of our templates with ``data`` for its script.

    Only this script may run in it (by its hash), and nothing is loaded from anywhere: the page says so to the browser.
    """
    import jinja2  # pages alone need it

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dse", "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = quantity.number
    script = "\n" + "\n".join(source(name) for name in SCRIPTS)
    return environment.get_template(template).render(
        data=embedded.text(data),
        style=source("page.css"),
        script=script,
        script_hash=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        **values,
    )


def source(name: str) -> str:
    """The text of a file of the templates."""
    return (resources.files("dse") / "templates" / name).read_text(encoding="utf-8")
