"""Confirmations as slots beside those of a sweep: made with it, and opened once it has shown what to confirm.

Until then they wait without parameters and nobody can claim them. Opened, they are slots like all others.
"""

from collections import Counter

import sqlalchemy as sa
from sqlalchemy import Connection

from jobs.experiment.confirmation import confirmation, confirmation_name
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import parse_experiment
from jobs.experiment.sweep_config import ConfirmConfig
from jobs.queue import claims
from jobs.queue.claim import is_unknown
from jobs.queue.database import Database
from jobs.queue.slots import add_confirmations, read_experiment
from jobs.queue.status import TrialStatus, configuration_key, ranking
from jobs.queue.status_reader import sweep_status
from jobs.queue.study import create_study
from jobs.queue.tables import UNKNOWN, SlotState, slots, sweeps


def create_confirmation_study(experiment: Experiment, database: Database) -> None:
    """Optuna's study of the confirmations, unless it exists or the experiment asks for none."""
    if experiment.sweep.confirm is not None:
        create_study(confirmation(experiment), database.storage)


def extend_confirmations(connection: Connection, experiment: Experiment, former: Experiment | None) -> int:
    """Adds the confirmations that the experiment asks for and returns how many are new.

    With more trials than the `former` experiment has, or with more confirmations, others may be among the best. As
    many can be needed as there are at the start; those that are not are cancelled when the others are opened.
    """
    confirm = experiment.sweep.confirm
    same = former is not None and (former.sweep.trials, former.sweep.confirm) == (experiment.sweep.trials, confirm)
    if confirm is None or same:
        return 0
    return add_confirmations(connection, experiment.study_name, confirm.trials * confirm.seeds)


def open_confirmations(database: Database, study: str, owner: str) -> None:
    """Gives the waiting confirmations their configurations, once all trials of the sweep are settled.

    These are the best complete trials' of different configurations, so that every process would give the same. What
    has been confirmed before stays; what is left over is settled as cancelled.
    """
    trials = sweep_status(database, study).trials
    if all(trial.state.settled for trial in trials):
        database.write(lambda connection: _open(connection, study, owner, trials))


def _open(connection: Connection, study: str, owner: str, trials: list[TrialStatus]) -> None:
    connection.execute(sa.select(sweeps.c.study).where(sweeps.c.study == study).with_for_update())
    known = sa.select(sa.func.count()).select_from(slots).where(slots.c.study == study)
    if connection.scalar(known) != len(trials):  # more were added meanwhile
        return
    text = read_experiment(connection, study)
    confirm = None if text is None else parse_experiment(text).sweep.confirm
    assert confirm is not None, "only an experiment with confirmations makes their slots"
    name, best = confirmation_name(study), ranking(trials)[: confirm.trials]
    rows = connection.execute(sa.select(slots).where(slots.c.study == name).order_by(slots.c.slot)).all()
    waiting = [row.slot for row in rows if row.parameters == UNKNOWN and row.state == SlotState.WAITING]
    confirmed = Counter(row.parameters for row in rows if row.state != SlotState.CANCELLED)
    keys = [configuration_key(trial.parameters) for trial in best]
    wanted = [key for key in keys for _ in range(confirm.seeds - confirmed[key])]
    for slot, key in zip(waiting, wanted, strict=False):
        opened = sa.and_(slots.c.study == name, slots.c.slot == slot, is_unknown())
        connection.execute(sa.update(slots).where(opened).values(parameters=key))
    claims.cancel_unknown(connection, name, owner, _left_over(confirm, len(best)))


def _left_over(confirm: ConfirmConfig, found: int) -> str:
    if found < confirm.trials:
        return f"sweep.confirm.trials={confirm.trials}: {found} different configurations are complete"
    return f"the {confirm.trials} best configurations have their confirmations"


def cancel_unbegun(connection: Connection, study: str, owner: str, message: str) -> int:
    """Settles all trials and confirmations of a sweep that have not begun as cancelled, and returns how many."""
    return sum(claims.cancel_unbegun(connection, name, owner, message) for name in (study, confirmation_name(study)))


def count_claimable(connection: Connection, study: str) -> int:
    """How many trials and confirmations a worker could claim, of the waiting confirmations those it could open."""
    name = confirmation_name(study)
    return claims.claimable(connection, study) + claims.claimable(connection, name) + _count_ripe(connection, study)


def count_claimable_at(connection: Connection, study: str, place: str, lease_seconds: float) -> int:
    """The same for a worker at this workplace."""
    found = [claims.claimable_at(connection, name, place, lease_seconds) for name in (study, confirmation_name(study))]
    return sum(found) + _count_ripe(connection, study)


def _count_ripe(connection: Connection, study: str) -> int:
    """How many waiting confirmations can be opened."""
    waiting = claims.count_unknown(connection, confirmation_name(study))
    return 0 if waiting and claims.count_unsettled(connection, study) else waiting
