"""What the report consists of, written among the artifacts."""

from jobs.artifacts import Artifacts
from jobs.artifacts.dataset_record import stands_in_for
from jobs.artifacts.keys import FIGURES, REPORT, SUMMARY, TRIALS
from jobs.report.pages.figure_files import Shown, save_exhibit, write_csv
from jobs.report.pages.template import render
from jobs.report.study.answer import answer
from jobs.report.study.cost import sweep_cost
from jobs.report.study.layers import layer_rows
from jobs.report.study.mistakes import confused_pairs, read_mistakes
from jobs.report.study.published import beside_published
from jobs.report.study.reproduction import reproduction
from jobs.report.study.study_figures import exhibits
from jobs.report.study.trial_table import trial_table
from jobs.report.study_results import Findings

MOST_PAIRS = 8
BEST_TRIALS = 10  # that the summary lists


def write_report(artifacts: Artifacts, findings: Findings) -> None:
    """Writes trials.csv, the figures, report.html and summary.md below `evaluation/`.

    Args:
        artifacts: the study's; predictions and mistakes are read from there.
        findings: what there is to tell.

    Raises:
        FileNotFoundError: predictions.csv is not there.

    """
    for key in artifacts.listing(FIGURES):  # of an evaluation before more trials were run
        artifacts.remove(key)
    table = trial_table(findings)
    write_csv(artifacts, TRIALS, table.header, table.rows)
    drawn: dict[str, list[Shown]] = {
        section: [save_exhibit(artifacts, FIGURES, exhibit) for exhibit in group]
        for section, group in exhibits(findings).items()
    }
    shown = [exhibit.name for group in drawn.values() for exhibit in group]
    values = {
        "experiment": findings.experiment,
        "metrics": findings.metrics,
        "model": findings.model,
        "models": findings.models,
        "status": findings.status,
        "answer": answer(findings),
        "cost": sweep_cost(findings),
        "table": table,
        "best_trials": table.best(BEST_TRIALS),
        "published": beside_published(findings),
        "other_than": stands_in_for(findings.experiment.data.source, findings.metrics["dataset"]),
        "layers": layer_rows(findings),
        "pairs": confused_pairs(findings)[:MOST_PAIRS],
        "mistakes": read_mistakes(artifacts),
        "reproduction": reproduction(findings.experiment),
        "figures": drawn,
        "shown": shown,
    }
    artifacts.write_text(REPORT, render("study/report.html.j2", values))
    artifacts.write_text(SUMMARY, render("study/summary.md.j2", values))
