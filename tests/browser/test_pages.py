"""Pages as a person has them, in a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from jobs.cli.main import main


@pytest.fixture(scope="session", params=["report", "invented report", "comparison"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "invented report":
        invented: Path = request.getfixturevalue("invented_report")
        return invented
    result: Path = request.getfixturevalue("tiny_run").study
    if request.param == "report":
        return result / "evaluation/report.html"
    other = shutil.copytree(result, tmp_path_factory.mktemp("other") / "other")
    assert main(["compare", str(result), str(other), "--to", str(other.parent / "comparison")]) == 0
    return other.parent / "comparison/compare.html"


@pytest.fixture(params=[320, 1280])
def page(browser: Browser, file: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page at two widths; it must ask for nothing but itself, and have nothing to complain of."""
    requests: list[str] = []
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    def count(asked: Request) -> None:
        if not asked.url.startswith("data:"):
            requests.append(asked.url)

    page = browser.new_page(viewport={"width": request.param, "height": 900})
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", count)
    page.goto(file.as_uri())
    yield page
    page.close()
    assert requests == [file.as_uri()]
    assert complaints == []


def test_page_is_one_small_file(file: Path) -> None:
    assert file.stat().st_size < 3_000_000


def test_page_fits_the_width(page: Page) -> None:
    scrolled, width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert scrolled == width


def test_axe_finds_nothing_to_complain_of(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_every_image_says_what_it_shows(page: Page) -> None:
    assert page.evaluate("[...document.images].filter((image) => !image.alt || !image.naturalWidth).length") == 0
    labels = page.evaluate(
        "[...document.querySelectorAll('figure > svg')].map((svg) => svg.getAttribute('aria-label'))"
    )
    assert labels
    assert all(labels)


def test_no_id_is_there_twice(page: Page) -> None:
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))


def test_table_is_sorted_from_the_keyboard(page: Page) -> None:
    header = page.locator("table.sortable th", has_text="ccuracy").first
    index = header.evaluate("(header) => header.cellIndex")

    def column() -> list[float]:
        texts = page.locator(f"table.sortable tbody tr > :nth-child({index + 1})").all_inner_texts()
        return [float(text.removesuffix("%")) for text in texts if text != "–"]

    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert column() == sorted(column())
    page.keyboard.press("Space")
    assert header.get_attribute("aria-sort") == "descending"
    assert column() == sorted(column(), reverse=True)
    assert page.locator("table.sortable [aria-sort]").count() == 1


def test_empty_cells_stay_at_the_end(browser: Browser, invented_report: Path) -> None:
    page = browser.new_page()
    page.goto(invented_report.as_uri())
    heading = page.locator("table.sortable th", has_text="momentum")
    column = heading.evaluate("cell => cell.cellIndex + 1")
    for _ in range(2):
        heading.get_by_role("button").click()
        cells = page.locator(f"table.sortable tbody tr > :nth-child({column})").all_inner_texts()
        filled = [cell != "–" for cell in cells]
        assert any(filled)
        assert filled == sorted(filled, reverse=True)
    page.close()


def test_table_is_there_without_scripts(browser: Browser, invented_report: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(invented_report.as_uri())
    assert page.locator("table.sortable tbody tr").count() == 28
    page.close()


def test_figures_speak_when_pointed_at(page: Page) -> None:
    titles = page.locator("figure svg title")
    if "compare" not in page.url:
        assert titles.count() > 10


def test_page_prints(page: Page, tmp_path: Path) -> None:
    page.pdf(path=tmp_path / "page.pdf", format="A4", print_background=True)
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
