"""A sweep as if workers had run most of it, written into a database at once: nobody waits hours for 10,000 trials.

python tests/benchmarks/scale_study.py URL TRIALS EPOCHS SETTLED RUNNING
"""

import json
import math
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))  # after an earlier checkout, whose modules are measured

import numpy as np
import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection

from jobs.experiment.experiment import Experiment
from jobs.experiment.load import load_experiment
from jobs.queue.database import Database
from jobs.queue.study import distributions
from jobs.queue.tables import SlotState, ledger, slots
from jobs.runtime.retry import Patience
from tests.support.reporting import prepare

EPOCH_SECONDS, LEASE_SECONDS, GPUS = 20.0, 60.0, 1.0
AT_ONCE = 1_000  # trials that run at any time
STOPPED, FAILED = 0.55, 0.01  # shares of the trials
ROWS = 5_000  # in a statement
OF_OPTUNA = {
    SlotState.COMPLETE: TrialState.COMPLETE,
    SlotState.FAILED: TrialState.FAIL,
    SlotState.STOPPED_EARLY: TrialState.PRUNED,
    SlotState.RUNNING: TrialState.RUNNING,
}


def sweep_of(trials: int, epochs: int) -> Experiment:
    """The search space of the preset `quick` by TPE, without early stopping, which would stop what is not trained."""
    return load_experiment(
        "quick", None, [f"sweep={{trials: {trials}, epochs: {epochs}, earlyStopping: {{name: none}}}}"]
    )


def fill(connection: Connection, experiment: Experiment, study_id: int, settled: int, running: int) -> None:
    """The first slots of a prepared sweep settled, and some that run: all tables as a real one leaves them."""
    draw, epochs, began = np.random.default_rng(0), experiment.sweep.epochs, 1_750_000_000.0
    spaces = distributions(experiment)
    texts = {name: distribution_to_json(space) for name, space in spaces.items()}
    trials: list[dict[str, Any]] = []
    parameters, values, ends, attributes, system, changed, changes = ([] for _ in range(7))
    for number in range(settled + running):
        key = number + 1
        chance = draw.uniform()
        state = SlotState.FAILED if chance < FAILED else SlotState.COMPLETE
        length = epochs
        if FAILED <= chance < FAILED + STOPPED:
            state, length = SlotState.STOPPED_EARLY, int(draw.integers(1, max(epochs // 2, 2)))
        if number >= settled:
            state, length = SlotState.RUNNING, int(draw.integers(1, epochs))
        start = began + EPOCH_SECONDS * epochs * (number // AT_ONCE) + draw.uniform(0, EPOCH_SECONDS)
        end = start + length * EPOCH_SECONDS
        drawn = {name: _draw(space, draw) for name, space in spaces.items()}
        quality = 0.9 - 0.2 * draw.uniform() - 0.05 * abs(drawn.get("lr", 0.01) - 0.02) / 0.02
        curve = [quality * (1 - math.exp(-(epoch + 2) / 6)) + draw.normal(0, 0.004) for epoch in range(length)]
        trials.append(
            {
                "trial_id": key,
                "number": number,
                "study_id": study_id,
                "state": OF_OPTUNA[state],
                "datetime_start": datetime.fromtimestamp(start, UTC).replace(tzinfo=None),
                "datetime_complete": datetime.fromtimestamp(end, UTC).replace(tzinfo=None),
            }
        )
        parameters += [
            {
                "trial_id": key,
                "param_name": name,
                "param_value": spaces[name].to_internal_repr(value),
                "distribution_json": texts[name],
            }
            for name, value in drawn.items()
        ]
        values += [
            {
                "trial_id": key,
                "step": epoch,
                "intermediate_value": value,
                "intermediate_value_type": models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE,
            }
            for epoch, value in enumerate(curve, 1)
        ]
        if state is SlotState.COMPLETE:
            ends.append(
                {
                    "trial_id": key,
                    "objective": 0,
                    "value": curve[-1],
                    "value_type": models.TrialValueModel.TrialValueType.FINITE,
                }
            )
        attributes += [
            {"trial_id": key, "key": name, "value_json": json.dumps(value)}
            for name, value in (("parameters", 59_944), ("macs", 2_100_000))
        ]
        system.append({"trial_id": key, "key": "constraints:parameters over budget", "value_json": "-100"})
        owner = f"worker-{number % AT_ONCE}/{number}"
        lease = time.time() + LEASE_SECONDS if state is SlotState.RUNNING else None
        changed.append({"key": number, "trial": key, "to": state, "by": owner, "until": lease})
        change = {"study": experiment.study_name, "slot": number, "fence": 1, "owner": owner, "gpus": GPUS}
        changes.append({**change, "from_state": "waiting", "to_state": "running", "at": start})
        if state.settled:
            changes.append({**change, "from_state": "running", "to_state": state, "at": end})
    for table, rows in (
        (models.TrialModel, trials),
        (models.TrialParamModel, parameters),
        (models.TrialIntermediateValueModel, values),
        (models.TrialValueModel, ends),
        (models.TrialUserAttributeModel, attributes),
        (models.TrialSystemAttributeModel, system),
    ):
        for some in _some(rows):
            connection.execute(sa.insert(table.__table__), some)
    for some in _some(changes):
        connection.execute(sa.insert(ledger), some)
    settle = (
        sa.update(slots)
        .where(slots.c.study == experiment.study_name, slots.c.slot == sa.bindparam("key"))
        .values(
            state=sa.bindparam("to"),
            owner=sa.bindparam("by"),
            trial_id=sa.bindparam("trial"),
            lease_end=sa.bindparam("until"),
            fence=1,
            gpus=GPUS,
        )
    )
    for some in _some(changed):
        connection.execute(settle, some)
    if connection.dialect.name == "postgresql":  # the next trial's id comes after those
        connection.execute(sa.text(f"SELECT setval('trials_trial_id_seq', {settled + running})"))


def _some(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), ROWS):
        yield rows[start : start + ROWS]


def _draw(space: Any, draw: np.random.Generator) -> Any:
    if hasattr(space, "choices"):
        return space.choices[draw.integers(len(space.choices))]
    low, high = (math.log(space.low), math.log(space.high)) if space.log else (space.low, space.high)
    value = draw.uniform(low, high)
    value = math.exp(value) if space.log else value
    if space.step:
        value = space.low + round((value - space.low) / space.step) * space.step
    return int(value) if isinstance(space.low, int) else float(value)


if __name__ == "__main__":
    url, *counts = sys.argv[1:]
    trials, epochs, settled, running = map(int, counts)
    sweep = sweep_of(trials, epochs)
    prepare(sweep, url)
    database = Database(url, Patience(30))
    study_id = database.storage.get_study_id_from_name(sweep.study_name)
    database.write(lambda connection: fill(connection, sweep, study_id, settled, running))
