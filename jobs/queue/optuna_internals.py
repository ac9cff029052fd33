"""The private parts of Optuna that we build on, each behind a name of ours; written against Optuna 5."""

import sqlalchemy as sa
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.storages._rdb.models import (
    BaseModel,
    StudyModel,
    TrialIntermediateValueModel,
    TrialModel,
    TrialParamModel,
    TrialSystemAttributeModel,
    TrialUserAttributeModel,
    TrialValueModel,
)
from optuna.trial import FrozenTrial, Trial
from sqlalchemy import Connection

CachedStorage = _CachedStorage
StudyCache = _StudyInfo  # what it keeps of a study

StudyRow, TrialRow, ValueRow = StudyModel, TrialModel, TrialIntermediateValueModel  # what the storage's session writes
ParameterRow, EndRow = TrialParamModel, TrialValueModel
AttributeRow, SystemAttributeRow = TrialUserAttributeModel, TrialSystemAttributeModel

# The tables that Optuna makes, with their columns; the last is that of alembic, through which it changes the others.
OPTUNA_TABLES = {table.name: set(table.columns.keys()) for table in BaseModel.metadata.tables.values()}
OPTUNA_TABLES["alembic_version"] = {"version_num"}


def count_trials(connection: Connection, study: str) -> int:
    """How many trials Optuna has for a study of this name; 0 where there is no such study, or no table of them."""
    if not sa.inspect(connection).has_table(StudyRow.__tablename__):
        return 0
    joined = sa.select(sa.func.count()).select_from(TrialRow).join(StudyRow, TrialRow.study_id == StudyRow.study_id)
    return connection.scalar(joined.where(StudyRow.study_name == study)) or 0


def trial_id(trial: FrozenTrial | Trial) -> int:
    """The trial's key in the database, where its number counts within its study."""
    return trial._trial_id


def known_trial(trial: Trial) -> FrozenTrial:
    """The trial as it was when this process took it up, and with what Optuna has been told since.

    Optuna adds parameters and attributes to it; the caller adds the values by epoch that it reports.
    """
    return trial._cached_frozen_trial
