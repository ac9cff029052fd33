"""The slots of a sweep, a row a trial: written by `prepare`, read by anybody, claimed in `jobs.queue.claims`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from jobs.experiment.confirmation import confirmation_name
from jobs.queue.claim import is_unknown
from jobs.queue.schema import has_tables
from jobs.queue.tables import UNCLAIMED, UNKNOWN, SlotState, database_now, slots, sweeps


@dataclass(frozen=True, kw_only=True)
class SlotRow:
    """A slot as anybody may read it. `lease_left` is in seconds, below 0 when the lease has run out."""

    slot: int
    state: SlotState
    trial_id: int | None = None
    owner: str | None = None
    fence: int = 0
    lease_left: float | None = None
    attempts: int = 0
    crashes: int = 0
    message: str | None = None
    traceback: str | None = None


def create_sweep(
    connection: Connection,
    study: str,
    experiment: str,
    parameters: Sequence[dict[str, Any]],
    artifacts: str | None = None,
    validation_images: int | None = None,
) -> int:
    """Creates the sweep, and a slot for each set of fixed parameters; slots that exist stay as they are.

    Args:
        connection: with a transaction.
        study: its name.
        experiment: as YAML.
        parameters: of each trial, as far as a grid or a list fixes them.
        artifacts: the identity of those it is prepared with.
        validation_images: that the accuracies of trials are of, where it is known.

    Returns:
        How many slots are new.

    """
    row = {"experiment": experiment, "artifacts": artifacts, "validation_images": validation_images}
    if read_experiment(connection, study) is None:
        connection.execute(sa.insert(sweeps).values(row | {"study": study}))
    else:  # this locks the row, so that a second process that prepares the study finds these slots
        connection.execute(sa.update(sweeps).where(sweeps.c.study == study).values(row))
    count = sa.select(sa.func.count()).where(slots.c.study == study).select_from(slots)
    existing = connection.scalar(count) or 0
    new = UNCLAIMED | {"study": study}
    texts = [json.dumps(fixed, allow_nan=False) for fixed in parameters]
    rows = [new | {"slot": slot, "parameters": text} for slot, text in enumerate(texts)][existing:]
    if rows:
        connection.execute(sa.insert(slots), rows)
    return len(rows)


def add_confirmations(connection: Connection, study: str, count: int) -> int:
    """Adds confirmations to a sweep so that at least `count` wait for their configuration; returns how many are new."""
    name = confirmation_name(study)
    of_study = sa.select(sa.func.count()).select_from(slots).where(slots.c.study == name)
    existing, waiting = connection.scalar(of_study) or 0, connection.scalar(of_study.where(is_unknown())) or 0
    new = UNCLAIMED | {"study": name, "parameters": UNKNOWN}
    rows = [new | {"slot": slot} for slot in range(existing, existing + count - waiting)]
    if rows:
        connection.execute(sa.insert(slots), rows)
    return len(rows)


def read_experiment(connection: Connection, study: str) -> str | None:
    """The experiment that the sweep was made for, as YAML; None where there is no such sweep, or no table of them."""
    if not has_tables(connection):
        return None
    return connection.scalar(sa.select(sweeps.c.experiment).where(sweeps.c.study == study))


def read_validation_images(connection: Connection, study: str) -> int | None:
    """Of how many images the accuracies of trials are, as far as it is known."""
    return connection.scalar(sa.select(sweeps.c.validation_images).where(sweeps.c.study == study))


def read_slots(connection: Connection, study: str, which: sa.ColumnElement[bool] | None = None) -> list[SlotRow]:
    """All slots of the study, or those for which the expression is true."""
    read = [slots.c[field.name] for field in fields(SlotRow) if field.name != "lease_left"]
    left = (slots.c.lease_end - database_now(connection)).label("lease_left")
    query = sa.select(*read, left).where(slots.c.study == study).order_by(slots.c.slot)
    rows = connection.execute(query if which is None else query.where(which))
    return [SlotRow(**{**row, "state": SlotState(row["state"])}) for row in rows.mappings()]
