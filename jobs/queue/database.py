"""The database of a sweep. Whatever is asked of it is tried again while the database is away."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Self, TypeVar

from optuna.storages import BaseStorage
from sqlalchemy import Connection

from jobs.queue.connections import TIMEOUT_SECONDS, connect
from jobs.queue.database_errors import database_errors
from jobs.queue.fenced_storage import FencedStorage
from jobs.queue.trial_cache import TrialCache
from jobs.runtime.database_url import database_place
from jobs.runtime.retry import Patience
from jobs.runtime.settings import Settings

T = TypeVar("T")


class Database:
    """One connection, shared by Optuna's storage and our own tables.

    Every method raises Refused where the database will not have us, and OutageTooLong when the patience is over.
    """

    def __init__(
        self, url: str, patience: Patience, timeout_seconds: float = TIMEOUT_SECONDS, *, read_only: bool = False
    ) -> None:
        """A statement or a connection that is not answered within `timeout_seconds` counts as an outage.

        With `read_only` a SQLite file can lie where nothing can be written, and no file is made beside it.
        """
        self.url, self.place, self.timeout_seconds = url, database_place(url), timeout_seconds
        self._patience = patience
        self.engine = engine = connect(url, timeout_seconds, read_only=read_only)
        # Opened when they are first needed, and shared with the copies that `waiting` makes.
        self._storage = cache(lambda: FencedStorage(url, engine, timeout_seconds, read_only=read_only))
        self._cached_storage = cache(lambda: TrialCache(self.storage))

    @classmethod
    def of(cls, settings: Settings, patience: Patience | None = None, *, read_only: bool = False) -> Self:
        """The database that the settings name, waited for as long as they say unless another patience is given."""
        patience = patience or Patience(settings.outage_deadline_seconds)
        return cls(settings.database_url, patience, settings.database_timeout_seconds, read_only=read_only)

    def waiting(self, patience: Patience) -> Self:
        """The same connection with another patience."""
        other = copy.copy(self)
        other._patience = patience
        return other

    def run(self, action: Callable[[], T]) -> T:
        """What `action` returns. It is run again after an outage, although it may have had its effect already."""

        def attempt() -> T:
            with database_errors(self.place):
                return action()

        return self._patience.get_through(attempt, self.place)

    def read(self, query: Callable[[Connection], T]) -> T:
        def attempt() -> T:
            with self.engine.connect() as connection:
                return query(connection)

        return self.run(attempt)

    def write(self, change: Callable[[Connection], T]) -> T:
        """What `change` returns, all that it writes in one transaction."""

        def attempt() -> T:
            with self.engine.begin() as connection:
                return change(connection)

        return self.run(attempt)

    @property
    def storage(self) -> FencedStorage:
        """Optuna's storage, once there are tables. To be used within `run`, since its own methods do not wait."""
        return self._storage()

    @property
    def cached_storage(self) -> BaseStorage:
        """The same, which reads finished trials only once."""
        return self._cached_storage()

    def forget_cached(self) -> None:
        """Has `cached_storage` read all trials anew."""
        self._cached_storage.cache_clear()

    def close(self) -> None:
        self.engine.dispose()
