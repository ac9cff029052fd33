"""Writes the report of a study among its artifacts."""

from jobs.artifacts import Artifacts
from jobs.artifacts.dataset_record import stands_in_for
from jobs.artifacts.keys import FIGURES, REPORT, SUMMARY, TRIAL_TABLE
from jobs.report.pages.figure_files import ShownFigure, save_figure, write_csv
from jobs.report.pages.template import render
from jobs.report.study.advice import advice
from jobs.report.study.answer import answer
from jobs.report.study.confirmation import confirmation
from jobs.report.study.cost import sweep_cost
from jobs.report.study.importance import FEWEST_TRIALS
from jobs.report.study.layers import layer_rows
from jobs.report.study.mistakes import confused_pairs, read_mistakes
from jobs.report.study.published import beside_published
from jobs.report.study.reproduction import reproduction
from jobs.report.study.shown_trials import BEST, SAMPLED, shown_trials
from jobs.report.study.study_figures import study_figures
from jobs.report.study.trial_table import given_values, trial_table
from jobs.report.study_results import StudyResults

MOST_PAIRS = 8  # of confused classes
BEST_TRIALS = 10  # rows of the summary's table


def write_report(artifacts: Artifacts, results: StudyResults) -> None:
    """Writes trials.csv, the figures, report.html and summary.md below `evaluation/`.

    Args:
        artifacts: the study's, where predictions and mistakes are already.
        results: of the study.

    Raises:
        FileNotFoundError: predictions.csv is not there.

    """
    for key in artifacts.listing(FIGURES):  # they may be those of an evaluation before trials were added
        artifacts.remove(key)
    table, cost, shown = trial_table(results), sweep_cost(results), shown_trials(results)
    write_csv(artifacts, TRIAL_TABLE, table.header, table.rows)
    figures: dict[str, list[ShownFigure]] = {
        section: [save_figure(artifacts, FIGURES, figure) for figure in group]
        for section, group in study_figures(results, shown).items()
    }
    mistakes, confusion = read_mistakes(artifacts), results.metrics.test.confusion
    wrong = sum(sum(row) - row[label] for label, row in enumerate(confusion))
    values = {
        "experiment": results.experiment,
        "metrics": results.metrics,
        "model": results.model,
        "models": results.models,
        "recipe": results.experiment.with_parameters(results.model.trial.parameters).training,
        "status": results.status,
        "answer": answer(results),
        "cost": cost,
        "advice": advice(results, cost),
        "table": table.of(trial.slot for trial in shown).for_people(),
        "given": [given_values(results.experiment, trial.parameters) for trial in shown],
        "fixed": table.fixed,
        "best_trials": table.best(BEST_TRIALS),
        "best_shown": BEST,
        "sampled": SAMPLED,
        "confirmation": confirmation(results.status),
        "published": beside_published(results),
        "other_than": stands_in_for(results.experiment.data.source, results.metrics.dataset),
        "layers": layer_rows(results),
        "pairs": confused_pairs(results)[:MOST_PAIRS],
        "mistakes": mistakes,
        "all_mistakes": len(mistakes) == wrong,
        "reproduction": reproduction(results.experiment),
        "figures": figures,
        "fewest_trials": FEWEST_TRIALS,
        "shown": [figure.name for group in figures.values() for figure in group],
    }
    artifacts.write_text(REPORT, render("study/report.html.j2", values))
    artifacts.write_text(SUMMARY, render("study/summary.md.j2", values))
