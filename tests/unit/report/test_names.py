"""Reports, comparisons and cards of studies whose names and messages are anything: they say them, and nothing else.

Names that `prepare` refuses are among them, since a study may have been prepared by a version that did not.
"""

import csv
import tempfile
import warnings
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import example as tried
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.dataset_record import StoredDataset, StoredPart
from jobs.experiment.experiment import PublishedConfig
from jobs.queue.tables import SlotState
from jobs.report.compare.compare_page import write_comparison
from jobs.report.compare.compared_study import Study
from jobs.report.model_card import render_card
from jobs.report.study.report_page import write_report
from jobs.report.study.trial_table import trial_points
from jobs.report.study_results import StudyResults
from resnet_core.shown_text import from_csv_text, is_shown, visible
from tests.support.hostile import PIECES, texts
from tests.support.invented import Ran, experiment, store, study_results

CLASSES, MESSAGES = 20, 30  # as many names as a figure shows
RENDERED = MarkdownIt("commonmark").enable("table").enable("strikethrough")
PART = StoredPart(key="x", sha256="ab", images=300)


def title_of(classes: list[str]) -> str:
    return f"images of {classes[-1]}"


def named(classes: list[str], others: list[str]) -> StudyResults:
    """A study with these classes, and the other texts in all places that take any."""
    title = title_of(classes)
    published = PublishedConfig(what="", accuracy=0.9, parameters=5000).model_copy(update={"what": others[0]})
    asked = experiment(f"sweep.trials={1 + MESSAGES}")
    study = asked.study.model_copy(update={"published": (published,), "deviations": (others[1], others[2])})
    data = asked.data.model_copy(update={"title": title, "path": others[4]})
    asked = asked.model_copy(update={"study": study, "data": data})
    results = study_results(asked, [Ran(), *[Ran(SlotState.FAILED, ())] * MESSAGES], classes=CLASSES)
    trials = [results.status.trials[0]]
    trials += [replace(trial, message=text) for trial, text in zip(results.status.trials[1:], others, strict=True)]
    metrics = {"dataset": title, "environment": {"device": others[5], "resnet-sweep": "0.1.0"}}
    return replace(
        results,
        models=[results.model.model_copy(update={"classes": tuple(classes)})],
        metrics=results.metrics.model_copy(update=metrics),
        status=replace(results.status, trials=trials),
    )


def compared(results: StudyResults, label: str, dataset: StoredDataset) -> Study:
    points = trial_points(results, results.status.trials)
    return Study(label, label, results.experiment, dataset, results.metrics, results.model, points, 1.0)


def written_yaml(page: "Page") -> dict[str, Any]:
    """The experiment that a person would copy out of a report."""
    (text,) = [text for text in page.texts if text.startswith("seed: ")]
    read: dict[str, Any] = yaml.safe_load(text)
    return read


def written(folder: Path, classes: list[str], others: list[str]) -> Path:
    """The folder of all that a person reads: a report, a card, and a comparison of two studies."""
    results = named(classes, others)
    artifacts = store(folder, results)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(artifacts, results)
        dataset = StoredDataset(title=title_of(classes), classes=tuple(classes), image_size=32, train=PART, test=PART)
        artifacts.write_text("model.md", render_card(results.experiment, results.model, results.metrics, dataset))
        studies = [compared(results, f"{text} {number}", dataset) for number, text in enumerate(others[:2])]
        write_comparison(FolderArtifacts(artifacts.root / "compared"), studies)
    return artifacts.root


class Page(HTMLParser):
    """The elements of a page and its words; those of its figures are counted apart."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: set[tuple[str, str]] = set()
        self.texts: set[str] = set()
        self.within: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if "svg" not in self.within:
            self.elements[tag] += 1
        self.attributes |= {(tag, name) for name, _ in attrs}
        self.texts |= {value or "" for _, value in attrs}
        if tag not in ("meta", "link", "img"):
            self.within.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.within[-1:] not in (["script"], ["style"]):
            self.texts.add(data)


def words_of(text: str) -> str:
    return " ".join(text.split())


def markdown_of(file: Path) -> tuple[Counter[str], str]:
    """The elements that a Markdown file makes, and its words."""
    text = file.read_text(encoding="utf-8")
    if text.startswith("---\n"):
        _, _, text = text.split("---\n", 2)
    tokens = [token for block in RENDERED.parse(text) for token in (block, *(block.children or ()))]
    shown = "\n".join(token.content for token in tokens if token.type in ("inline", "fence", "text"))
    words = "".join(token.content for token in tokens if token.type in ("text", "text_special"))
    assert all(map(is_shown, shown.split("\n")))
    return Counter(token.type for token in tokens if not token.type.startswith("text")), words_of(words)


HARMLESS = [f"name {index}" for index in range(MESSAGES)]
any_text = texts.map(lambda text: text or "nothing")
any_texts = st.lists(any_text, min_size=MESSAGES, max_size=MESSAGES)
any_names = st.lists(any_text, min_size=CLASSES, max_size=CLASSES)


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("harmless"), HARMLESS[:CLASSES], HARMLESS)


# An example takes a second, and so a failure is shown as it was found.
@settings(max_examples=2, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
@tried(classes=PIECES[:CLASSES], others=PIECES[:MESSAGES])
@tried(classes=PIECES[CLASSES : 2 * CLASSES], others=PIECES[-MESSAGES:])
@given(classes=any_names, others=any_texts)
def test_any_names_are_said_and_do_nothing_else(harmless: Path, classes: list[str], others: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = written(Path(folder), classes, others)
        for name in ("evaluation/report.html", "compared/compare.html"):
            page, expected = Page(found / name), Page(harmless / name)
            assert page.elements == expected.elements
            assert page.attributes <= expected.attributes
            if "report" in name:
                assert written_yaml(page) == named(classes, others).experiment.model_dump(mode="json")
            assert all(is_shown(line) for text in page.texts for line in text.split("\n"))
            assert {visible(text) for text in classes} <= page.texts or "compare" in name
        for name in ("evaluation/summary.md", "compared/compare.md", "model.md"):
            elements, words = markdown_of(found / name)
            expected_elements, _ = markdown_of(harmless / name)
            assert elements == expected_elements
            assert words_of(visible(words_of(title_of(classes)))) in words
        _, head, _ = (found / "model.md").read_text(encoding="utf-8").split("---\n", 2)
        assert yaml.safe_load(head)["model-index"][0]["results"][0]["dataset"]["name"] == title_of(classes)
        for file in found.rglob("*.csv"):
            with file.open(newline="", encoding="utf-8") as opened:
                rows = list(csv.reader(opened))
            assert len({len(row) for row in rows}) == 1
            assert not [cell for row in rows for cell in row if cell.lstrip()[:1] in tuple("=+@＝＋－＠")]
            if file.name == "confusion-matrix.csv":
                assert [from_csv_text(cell) for cell in rows[0][1:]] == [visible(name) for name in classes]
        for file in found.rglob("*.svg"):
            ET.parse(file)
