"""Templates become pages: one file that asks the network for nothing."""

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
    """A template by its path below `jobs/report`; HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jobs.report", "."),
        autoescape=jinja2.select_autoescape(("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "count": count,
        "short": lambda value: "–" if value is None else short(value),
        "duration": lambda hours: duration(3600 * hours),
        "millions": lambda value: f"{value / 1e6:.1f} M",
        "cell": markdown_cell,
    }
    script = (resources.files("jobs.report.pages") / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (resources.files("jobs.report.pages") / "style.css").read_text(encoding="utf-8")
    page = environment.get_template(template).render(values, script=script, script_digest=digest, style=style)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def count(number: float | None) -> str:
    return "–" if number is None else f"{number:,.0f}"


def markdown_cell(value: object) -> str:
    """Text that stays within its cell of a table."""
    return " ".join(str(value).replace("|", "\\|").split())
