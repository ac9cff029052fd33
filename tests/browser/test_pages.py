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


@pytest.fixture(params=[(320, "light"), (1280, "light"), (1280, "dark")])
def page(browser: Browser, file: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page at two widths and in the dark; it must ask for nothing but itself, and have nothing to complain of."""
    requests: list[str] = []
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    def count(asked: Request) -> None:
        if not asked.url.startswith("data:"):
            requests.append(asked.url)

    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
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


def bottoms(page: Page) -> dict[float, list[float]]:
    """Where the drawings end, by where their captions begin: those of a row have these on one line."""
    found: dict[float, list[float]] = {}
    script = """[...document.querySelectorAll('.figures > figure')].map((figure) =>
        [figure.querySelector('figcaption'), figure.querySelector('svg')].map((part) => part.getBoundingClientRect()))"""
    for caption, drawing in page.evaluate(script):
        found.setdefault(round(caption["top"]), []).append(round(drawing["bottom"]))
    return found


def test_figures_of_a_row_end_together_and_no_half_is_empty(browser: Browser, invented_report: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(invented_report.as_uri())
    rows = bottoms(page)
    assert max(len(row) for row in rows.values()) == 2
    assert all(len(set(row)) == 1 for row in rows.values())
    alone = page.evaluate(
        """[...document.querySelectorAll('.figures > figure:last-child:nth-child(odd)')].map((figure) =>
            figure.querySelector('figcaption').getBoundingClientRect().left
            >= figure.querySelector('svg').getBoundingClientRect().right)"""
    )
    assert alone
    assert all(alone)
    page.close()


def test_dark_page_is_dark_its_figures_too_and_paper_stays_white(browser: Browser, invented_report: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(invented_report.as_uri())
    looks = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('figure svg')).filter]"
    dark = page.evaluate(looks)
    assert dark[0] == "rgb(18, 18, 18)"
    assert "invert" in dark[1]
    page.emulate_media(media="print")
    assert page.evaluate(looks) == ["rgb(255, 255, 255)", "none"]
    page.close()


def test_summary_is_on_the_first_screen(browser: Browser, invented_report: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(invented_report.as_uri())
    titles = page.locator("dl.answer > dt").all_text_contents()
    assert titles == ["What was tried", "How sure it is", "What would tell more"]
    assert page.evaluate("document.querySelector('dl.answer').getBoundingClientRect().bottom") < 1000
    page.close()


def test_page_prints(page: Page, tmp_path: Path) -> None:
    page.pdf(path=tmp_path / "page.pdf", format="A4", print_background=True)
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
