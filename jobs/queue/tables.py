"""The tables beside Optuna's: sweeps, their slots, and the ledger of every change of a slot.

Whoever changes a table here writes into `jobs.queue.schema` how a database that has the former one gets the new one.
"""

from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import Connection

metadata = sa.MetaData()

sweeps = sa.Table(
    "resnet_sweep_sweeps",
    metadata,
    sa.Column("study", sa.String(128), primary_key=True),
    sa.Column("experiment", sa.Text, nullable=False),  # YAML, every field
    sa.Column("artifacts", sa.String(32)),  # what `keys.IDENTITY` holds in the study's folder or bucket
    sa.Column("validation_images", sa.Integer),  # that accuracies of trials are of
)

slots = sa.Table(
    "resnet_sweep_slots",
    metadata,
    sa.Column("study", sa.String(128), primary_key=True),
    sa.Column("slot", sa.Integer, primary_key=True),
    # JSON; what a grid or a list fixes, {} where all is sampled, null while nobody knows what a confirmation confirms
    sa.Column("parameters", sa.Text, nullable=False),
    sa.Column("trial_id", sa.Integer),  # Optuna's key of the trial, from the first claim on
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("previous", sa.String(16)),  # the state before the newest claim
    sa.Column("previous_end", sa.Float),  # the end of the lease before the newest claim
    sa.Column("owner", sa.String(128)),  # who holds it, or has settled it
    sa.Column("gpus", sa.Float, nullable=False),  # held by the owner; 0 on a CPU
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("lease_end", sa.Float),  # seconds since 1970 by the database's clock
    sa.Column("attempts", sa.Integer, nullable=False),  # exceptions so far
    sa.Column("crashes", sa.Integer, nullable=False),  # owners that vanished since the last epoch was reported
    sa.Column("decided_epoch", sa.Integer),  # the last epoch after which early stopping was asked
    sa.Column("stops", sa.Boolean),  # its answer
    sa.Column("message", sa.Text),  # why it settled as it did, or what failed last
    sa.Column("traceback", sa.Text),  # of the last exception
    sa.Column("failed_at", sa.String(128)),  # the workplace at which the last attempt failed
    sa.Column("failed_elsewhere", sa.Boolean),  # whether an earlier attempt failed at another workplace
)

ledger = sa.Table(
    "resnet_sweep_ledger",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study", sa.String(128), nullable=False),
    sa.Column("slot", sa.Integer, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(128)),
    sa.Column("gpus", sa.Float, nullable=False),
    sa.Column("from_state", sa.String(16), nullable=False),
    sa.Column("to_state", sa.String(16), nullable=False),
    sa.Column("at", sa.Float, nullable=False),  # seconds since 1970 by the database's clock
    sa.Column("lease_end", sa.Float),  # where a lease that had run out was taken over: its end
    sa.Index("resnet_sweep_ledger_by_study", "study", "slot"),
)

schema = sa.Table(
    "resnet_sweep_schema",
    metadata,
    sa.Column("version", sa.Integer, nullable=False),  # of these tables, in the only row
)


class SlotState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED_EARLY = "stopped early"
    INFEASIBLE = "infeasible"
    DIVERGED = "diverged"
    FAILED = "failed"
    CRASHED = "crashed"
    CANCELLED = "cancelled"

    @property
    def settled(self) -> bool:
        return self not in (SlotState.WAITING, SlotState.RUNNING)


UNKNOWN = "null"  # the parameters of a confirmation until all trials of its sweep are settled

# The fields of a slot that nobody has claimed yet.
UNCLAIMED = {"state": SlotState.WAITING, "parameters": "{}", "gpus": 0, "fence": 0, "attempts": 0, "crashes": 0}


def database_now(connection: Connection) -> sa.ColumnElement[float]:
    """Seconds since 1970 by the database's clock, as an expression."""
    if connection.dialect.name == "sqlite":
        return (sa.func.julianday("now") - 2440587.5) * 86400.0
    return sa.func.date_part("epoch", sa.func.clock_timestamp())
