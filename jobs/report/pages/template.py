"""Renders templates to pages, each a single file that loads nothing from the network."""

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2

from jobs.queue.status import duration
from resnet_core.figures.exhibit import short


def render(template: str, values: Mapping[str, Any]) -> str:
    """A template by its path below `jobs/report`, rendered. Values are escaped in HTML, but not in Markdown."""
    script = (resources.files("jobs.report.pages") / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (resources.files("jobs.report.pages") / "style.css").read_text(encoding="utf-8")
    page = environment().get_template(template).render(values, script=script, script_digest=digest, style=style)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def environment() -> jinja2.Environment:
    """What renders the templates below `jobs/report`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jobs.report", "."),
        autoescape=jinja2.select_autoescape(("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": percent,
        "count": count,
        "short": lambda value: "–" if value is None else short(value),
        "duration": lambda hours: duration(3600 * hours),
        "millions": lambda value: f"{value / 1e6:.1f} M",
        "cell": markdown_cell,
    }
    return environment


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def count(number: float | None) -> str:
    return "–" if number is None else f"{number:,.0f}"


def markdown_cell(value: object) -> str:
    """The text, escaped so that it stays in its cell of a Markdown table."""
    return " ".join(str(value).replace("|", "\\|").split())
