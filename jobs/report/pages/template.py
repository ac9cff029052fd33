"""Renders templates to pages, each a single file that loads nothing from the network."""

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from jobs.queue.status import duration
from resnet_core.figures.exhibit import short
from resnet_core.shown_accuracy import percent, points
from resnet_core.shown_text import markdown, markdown_block, visible, visible_lines


def render(template: str, values: Mapping[str, Any]) -> str:
    """A template by its path below `jobs/report`, rendered."""
    script = (resources.files("jobs.report.pages") / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (resources.files("jobs.report.pages") / "style.css").read_text(encoding="utf-8")
    page = load_template(template).render(values, script=script, script_digest=digest, style=style)
    if template.endswith(".md.j2"):
        page = re.sub(r"\n{3,}", "\n\n", page)  # what sections that are not there leave behind
    return page.strip() + "\n"


def load_template(path: str) -> jinja2.Template:
    """A template by its path below `jobs/report`.

    Whatever text it shows is escaped, in HTML as in Markdown, where it loses the spaces around it. Only Markup is not.
    """
    shown = visible if path.endswith(".html.j2") else markdown
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jobs.report", "."),
        autoescape=jinja2.select_autoescape(("html.j2",)),
        finalize=lambda value: shown(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "count": count,
        "short": lambda value: "–" if value is None else short(value),
        "duration": lambda hours: duration(3600 * hours),
        "millions": lambda value: f"{value / 1e6:.1f} M",
        "lines": lambda text: Markup(escape(visible_lines(text))),
        "code": lambda text, language: Markup(markdown_block(text, language)),
    }
    return environment.get_template(path)


def count(number: float | None) -> str:
    return "–" if number is None else f"{number:,.0f}"
