"""Optuna's trials, read from its tables by plain queries.

Optuna's own reading makes an object of every row, which at 10,000 trials of 25 epochs takes many times as long, and as
much memory. What comes of it is the same: a test compares them.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection

from jobs.queue.optuna_internals import (
    AttributeRow,
    EndRow,
    ParameterRow,
    SystemAttributeRow,
    TrialRow,
    ValueRow,
)

BLOCK = 500  # trials that are read at a time: the driver holds all rows of an answer
NO_NUMBERS = {"NAN": float("nan"), "INF_POS": float("inf"), "INF_NEG": float("-inf")}  # by Optuna's names of them

distribution_of = lru_cache(maxsize=4096)(json_to_distribution)  # one object for all trials that were drawn from it


def read_trial_rows(
    connection: Connection,
    study_id: int,
    after: int = -1,
    ids: Collection[int] = (),
    numbers: Collection[int] = (),
    *,
    running: bool = True,
) -> list[FrozenTrial]:
    """Trials of a study, by their ids: those whose id is above `after`, and those of some ids or numbers.

    Without `running` only those of them that have ended.
    """
    trials = TrialRow.__table__
    unread = sa.or_(trials.c.trial_id > after, trials.c.trial_id.in_(ids), trials.c.number.in_(numbers))
    wanted = sa.and_(trials.c.study_id == study_id, unread)
    if not running:
        wanted &= trials.c.state.in_([state for state in TrialState if state.is_finished()])
    rows = connection.execute(
        sa.select(
            trials.c.trial_id, trials.c.number, trials.c.state, trials.c.datetime_start, trials.c.datetime_complete
        )
        .where(wanted)
        .order_by(trials.c.trial_id)
    ).all()
    found: list[FrozenTrial] = []
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        found += _complete(connection, block, wanted & trials.c.trial_id.between(block[0].trial_id, block[-1].trial_id))
    return found


def _complete(
    connection: Connection, rows: Sequence[sa.Row[Any, Any, Any, Any, Any]], wanted: sa.ColumnElement[bool]
) -> Iterator[FrozenTrial]:
    """The trials of these rows, which are those that are wanted, with all that belongs to them."""
    trials = TrialRow.__table__

    def parts(table: sa.Table, *columns: sa.Column[Any], order: sa.Column[Any]) -> Iterable[Any]:
        query = sa.select(table.c.trial_id, *columns).join(trials, trials.c.trial_id == table.c.trial_id)
        return connection.execute(query.where(wanted).order_by(order))

    parameters: dict[int, dict[str, Any]] = defaultdict(dict)
    spaces: dict[int, dict[str, BaseDistribution]] = defaultdict(dict)
    table = ParameterRow.__table__
    for trial, name, value, text in parts(
        table, table.c.param_name, table.c.param_value, table.c.distribution_json, order=table.c.param_id
    ):
        space = spaces[trial][name] = distribution_of(text)
        parameters[trial][name] = space.to_external_repr(value)

    values: dict[int, list[float]] = defaultdict(list)
    table = EndRow.__table__
    for trial, value, kind in parts(table, table.c.value, table.c.value_type, order=table.c.objective):
        values[trial].append(NO_NUMBERS.get(kind.name, value))

    by_step: dict[int, dict[int, float]] = defaultdict(dict)
    table = ValueRow.__table__
    for trial, step, value, kind in parts(
        table,
        table.c.step,
        table.c.intermediate_value,
        table.c.intermediate_value_type,
        order=table.c.trial_intermediate_value_id,
    ):
        by_step[trial][step] = NO_NUMBERS.get(kind.name, value)

    attributes = {}
    for model, key in (
        (AttributeRow, "trial_user_attribute_id"),
        (SystemAttributeRow, "trial_system_attribute_id"),
    ):
        found: dict[int, dict[str, Any]] = defaultdict(dict)
        table = model.__table__
        for trial, name, text in parts(table, table.c.key, table.c.value_json, order=table.c[key]):
            found[trial][name] = json.loads(text)
        attributes[model] = found

    for trial, number, state, start, end in rows:
        yield FrozenTrial(
            number=number,
            state=state,
            value=None,
            values=values.get(trial),
            datetime_start=_local(start),
            datetime_complete=_local(end),
            params=parameters.get(trial, {}),
            distributions=spaces.get(trial, {}),
            user_attrs=attributes[AttributeRow].get(trial, {}),
            system_attrs=attributes[SystemAttributeRow].get(trial, {}),
            intermediate_values=by_step.get(trial, {}),
            trial_id=trial,
        )


def _local(moment: datetime | None) -> datetime | None:
    """Optuna stores times in UTC and gives them in the zone of the machine, both without saying so."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
