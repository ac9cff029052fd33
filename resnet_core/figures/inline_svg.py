"""Figures of matplotlib as SVG elements of a page."""

import io
import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import matplotlib as mpl

from resnet_core.figures.exhibit import Exhibit

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
FONT = re.compile(r"font: ([^;]*?)(\d[\d.]*px) [^;]*")
REFERENCE = re.compile(r"url\(#([^)]+)\)")

ET.register_namespace("", SVG)
ET.register_namespace("xlink", XLINK)


def svg_text(exhibit: Exhibit) -> str:
    """The figure as an SVG file, its text as text."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": exhibit.name}):
        exhibit.figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def inline_svg(exhibit: Exhibit, svg: str) -> str:
    """The file as an element of a page.

    All ids begin with the figure's name, since they must differ within a page. Marks with a text of their own get it
    as their title, which browsers show when the mouse points at them. Fonts are left to the page.
    """
    root = ET.fromstring(svg)
    _add_titles(root, exhibit)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"]
    for element in root.iter():
        _prefix(element, exhibit.name)
        style = element.get("style")
        if style is not None:
            element.set("style", FONT.sub(r"font: \1\2 sans-serif", style))
        if element.text is not None and element.tag == f"{{{SVG}}}path":
            element.text = None
    root.set("role", "img")
    root.set("aria-label", exhibit.caption)
    root.set("style", f"max-width: {width * 1.45:.0f}px")
    return re.sub(r">\s+<", "><", ET.tostring(root, encoding="unicode"))


def _add_titles(root: ET.Element, exhibit: Exhibit) -> None:
    groups = {element.get("id"): element for element in root.iter(f"{{{SVG}}}g")}
    for gid, texts in exhibit.hover.items():
        for mark, text in zip(_marks(groups[gid], texts), texts, strict=True):
            title = ET.Element(f"{{{SVG}}}title")
            title.text = text
            mark.insert(0, title)


def _marks(group: ET.Element, texts: Sequence[str]) -> list[ET.Element]:
    """The elements that the texts belong to: the group as a whole if there is one text, else each of its markers."""
    if len(texts) == 1:
        return [group]
    return list(group.iter(f"{{{SVG}}}use"))


def _prefix(element: ET.Element, name: str) -> None:
    if "id" in element.attrib:
        element.set("id", f"{name}-{element.attrib['id']}")
    for key, value in element.attrib.items():
        if key == f"{{{XLINK}}}href" and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, REFERENCE.sub(rf"url(#{name}-\1)", value))
