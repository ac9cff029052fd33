import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from jobs.queue.tables import SlotState
from jobs.report.study.report_page import write_report
from tests.support.invented import STOPPED_EARLY, Ran, experiment, store, study_results
from tests.support.missing import missing

PUBLISHED = "study.published=[{what: somebody's, accuracy: 0.9, parameters: 50000, where: {}}]"
CONFIRM = "sweep.confirm={trials: 3, seeds: 3}"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        missing("chromium: tests/browser/install.sh installs it")
    with sync_playwright() as playwright:
        # as root, which tests in containers are, Chromium has no sandbox; the pages are our own
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def invented_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with everything in it that a tiny study has not: all states, published values, many classes."""
    space = "searchSpace={optimizer: {choices: [sgd, adamw]}, lr: {low: 0.001, high: 0.3, log: true}, "
    space += "model.widths: {choices: [[16, 32, 64], [8, 16, 32], [16, 16, 16], [24, 24, 24], [12, 24, 36]]}, "
    space += "momentum: {low: 0.5, high: 0.99, when: {optimizer: [sgd]}}}"
    invented = experiment("study.name=invented", space, PUBLISHED, "study.deviations=[Other images.]", CONFIRM)
    sizes = [{"parameters": 10_000 + 1_000 * n, "macs": 1_000_000 * (1 + n % 6)} for n in range(20)]
    ran = [Ran(accuracies=(0.2, 0.3 + 0.01 * n), attributes=size) for n, size in enumerate(sizes)]
    ran += [Ran(SlotState.INFEASIBLE, (), excess=1_234, attributes={"parameters": 61_234, "macs": 70_000_000})]
    ran += (
        [Ran(STOPPED_EARLY, (0.1,))] * 5 + [Ran(SlotState.DIVERGED, ())] + [Ran(SlotState.CANCELLED, (), began=False)]
    )
    confirmed = ((0.44, 0.42, 0.45), (0.47, 0.49, 0.46), (0.40, 0.45, 0.43))
    study = study_results(invented, ran, classes=100, confirmed=confirmed)
    artifacts = store(tmp_path_factory.mktemp("invented"), study)
    write_report(artifacts, study)
    return artifacts.path("evaluation/report.html")
