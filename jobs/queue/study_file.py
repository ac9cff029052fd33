"""A study's file as it may come from anybody: nothing in it is run, and all of it is checked before it is used."""

import contextlib
import json
import math
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.trial import FrozenTrial

from jobs.experiment.confirmation import confirmation
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import parse_experiment
from jobs.queue.connections import open_file, without_writing
from jobs.queue.optuna_internals import OPTUNA_TABLES, trial_id
from jobs.queue.outcomes import optuna_state
from jobs.queue.schema import FIRST
from jobs.queue.study import distributions
from jobs.queue.tables import UNKNOWN, SlotState, metadata, slots, sweeps
from resnet_core.validation import parse_json

Rows = dict[sa.Table, list[dict[str, Any]]]

LARGEST_FILE = 2**30  # bytes
LONGEST_TEXT = 1_000_000  # characters of one value
EXPRESSION = -2  # what SQLite gives as the number of an index's column where there is none
TABLES = {*OPTUNA_TABLES, *metadata.tables, *FIRST}
STATES = ("state", "previous", "from_state", "to_state")  # columns that hold a SlotState


class NotAStudy(ValueError):
    """What is wrong with the file, in one line."""


@contextlib.contextmanager
def duplicate(file: Path) -> Iterator[Path]:
    """A temporary copy to work with. The file itself is not changed, and may lie where nothing can be written.

    Raises:
        NotAStudy: it is no SQLite file, or holds something else than plain tables of ours.

    """
    if file.stat().st_size > LARGEST_FILE:
        raise NotAStudy(f"larger than {LARGEST_FILE >> 30} GiB")
    with tempfile.TemporaryDirectory(prefix="resnet-sweep-") as folder:
        copy = Path(folder) / "study.db"
        try:
            absolute = file.absolute()
            with (
                contextlib.closing(open_file(absolute, without_writing(absolute))) as source,
                contextlib.closing(sqlite3.connect(copy)) as target,
            ):
                source.execute("PRAGMA trusted_schema = OFF")
                _check_schema(source)
                source.backup(target)
        except sqlite3.Error as error:
            raise NotAStudy(str(error)) from None
        yield copy


def _check_schema(source: sqlite3.Connection) -> None:
    """Reading a view, a virtual table or a generated column runs what its author has written, perhaps for ever."""
    objects = source.execute("SELECT type, name, rootpage FROM sqlite_master").fetchall()
    for kind, name, page in objects:
        if kind == "index":
            columns = source.execute("SELECT cid FROM pragma_index_xinfo(?)", [name])
            plain = all(cid != EXPRESSION for (cid,) in columns)
        else:
            columns = source.execute("SELECT hidden FROM pragma_table_xinfo(?)", [name])
            plain = kind == "table" and page and name in TABLES and not any(hidden for (hidden,) in columns)
        if not plain:
            raise NotAStudy(f"holds the {kind} {name!r:.80}, which no study has")
    if not {sweeps.name, "sweeps"} & {name for _kind, name, _page in objects}:
        raise NotAStudy("not a file that `resnet-sweep export` wrote")
    ((found,),) = source.execute("PRAGMA quick_check(1)")
    if found != "ok":
        raise NotAStudy(f"damaged: {found:.200}")


def check_study(tables: Rows, trials: list[FrozenTrial], confirmations: list[FrozenTrial]) -> None:
    """Makes sure that these are the rows and trials of one study and its confirmations as this program writes them.

    Raises:
        ValueError: they are not.

    """
    for table, rows in tables.items():
        for row in rows:
            for column in table.columns:
                _check_value(column, row[column.name])
    (sweep,) = tables[sweeps]
    experiment = parse_experiment(sweep["experiment"])
    if experiment.study.name != sweep["study"]:
        raise NotAStudy(f"study {sweep['study']!r:.80} has the experiment of study {experiment.study.name!r:.80}")
    fixed = experiment.fixed_parameters()
    own = [row for row in tables[slots] if row["study"] == experiment.study_name]
    beside = [row for row in tables[slots] if row["study"] != experiment.study_name]
    if [row["slot"] for row in own] != list(range(len(fixed))):
        raise NotAStudy(f"its slots are not those of {len(fixed)} trials")
    for row in own:
        if parse_json(row["parameters"]) != parse_json(json.dumps(fixed[row["slot"]], allow_nan=False)):
            raise NotAStudy(f"slot {row['slot']}: its parameters are not those of its experiment")
    _check_trials(own, trials, experiment)
    _check_confirmations(beside, confirmations, experiment)


def _check_confirmations(rows: list[dict[str, Any]], trials: list[FrozenTrial], experiment: Experiment) -> None:
    if [row["slot"] for row in rows] != list(range(len(rows))):
        raise NotAStudy("the slots of its confirmations are not numbered from 0 on")
    for row in rows:
        if row["parameters"] == UNKNOWN:
            continue
        parameters = parse_json(row["parameters"])
        if not isinstance(parameters, dict) or not parameters.keys() <= experiment.searched.keys():
            raise NotAStudy(f"slot {row['slot']} of its confirmations: the parameters {row['parameters']!r:.80}")
        experiment.with_parameters(parameters)
    _check_trials(rows, trials, confirmation(experiment))


def _check_trials(rows: list[dict[str, Any]], trials: list[FrozenTrial], experiment: Experiment) -> None:
    known = {trial_id(trial): trial for trial in trials}
    for row in rows:
        _check_end(row, known.get(row["trial_id"]), len(experiment.sweep.objectives))
    for trial in trials:
        _check_trial(trial, experiment)


def _check_value(column: sa.Column[Any], value: Any) -> None:
    kind = column.type.python_type
    if value is None:
        right = bool(column.nullable)
    elif kind is float:
        right = type(value) in (int, float) and math.isfinite(value)
    elif column.name in STATES:
        right = value in list(SlotState)
    elif kind is int:
        right = type(value) is int and value >= 0
    else:
        longest = getattr(column.type, "length", None) or LONGEST_TEXT
        right = type(value) is kind and (kind is not str or len(value) <= longest)
    if not right:
        raise NotAStudy(f"{column.table.name}.{column.name}: {value!r:.80}")


def _check_end(row: dict[str, Any], trial: FrozenTrial | None, objectives: int) -> None:
    state = SlotState(row["state"])
    if state.settled and trial is not None and trial.state is not optuna_state(state, objectives):
        raise NotAStudy(f"slot {row['slot']}: {state}, and its trial is {trial.state.name}")
    if state is SlotState.COMPLETE and trial is None:
        raise NotAStudy(f"slot {row['slot']}: {state} without a trial")


def _check_trial(trial: FrozenTrial, experiment: Experiment) -> None:
    spaces = distributions(experiment)
    for name, space in trial.distributions.items():
        if spaces.get(name) != space:
            raise NotAStudy(f"trial {trial.number}: {name!r:.80} is not searched like this")
    if not trial.intermediate_values.keys() <= set(range(1, experiment.sweep.epochs + 1)):
        raise NotAStudy(f"trial {trial.number}: epochs that are none")
    values = trial.values or []
    if values and (len(values) != len(experiment.sweep.objectives) or not all(map(math.isfinite, values))):
        raise NotAStudy(f"trial {trial.number}: the values {values!r:.80}")
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in trial.constraints.values()):
        raise NotAStudy(f"trial {trial.number}: the constraints {trial.constraints!r:.80}")
    optuna.trial.create_trial(  # which checks the parameters and what a trial of this state has
        state=trial.state, values=trial.values, params=trial.params, distributions=trial.distributions
    )
