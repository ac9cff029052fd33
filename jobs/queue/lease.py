"""The lease of a claim, renewed by a thread while the trial trains."""

import logging
import math
import threading
import time
from types import TracebackType
from typing import Self

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from jobs.queue.claim import Claim, LeaseLost
from jobs.queue.claims import renew
from jobs.runtime.settings import Settings

log = logging.getLogger(__name__)


class Lease:
    """Renews a claim from a thread of its own while the block runs.

    The training thread calls `beat` at every step. Renewal stops when the beats stop for HANG_SECONDS, unless the work
    has no steps; an unreachable database is tried again until the lease has run out.
    """

    def __init__(
        self, engine: Engine, held: Claim, settings: Settings, claimed_at: float, *, steps: bool = True
    ) -> None:
        self._engine, self._held, self._settings = engine, held, settings
        self._hang_seconds = settings.hang_seconds if steps else math.inf
        # The claim was asked for at `claimed_at`, so that the database's lease ends later.
        self._deadline = claimed_at + settings.lease_seconds
        self._last_beat = time.monotonic()
        self._lost = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    def beat(self) -> None:
        """To be called at every training step, as a sign that the training goes on.

        Raises:
            LeaseLost: the lease ran out or the slot went to somebody else.

        """
        self._last_beat = time.monotonic()
        if self._lost:
            raise LeaseLost(f"slot {self._held.slot}: another owner has it")
        if self._last_beat > self._deadline:
            raise LeaseLost(f"slot {self._held.slot}: the lease has run out")

    def _renew(self) -> None:
        slot, pause, failed = self._held.slot, self._settings.renewal_seconds, False
        while not self._closed.wait(pause) and not self._lost:
            asked = time.monotonic()
            silent = asked - self._last_beat
            if silent > self._hang_seconds:
                log.warning("slot %d: no training step for %.0f s, the lease is left to run out", slot, silent)
                return
            try:
                with self._engine.begin() as connection:
                    renewed = renew(connection, self._held, self._settings.lease_seconds)
                if renewed:
                    self._deadline = asked + self._settings.lease_seconds
                else:
                    self._lost = True
                if failed:
                    log.info("slot %d: the lease %s", slot, "is lost" if self._lost else "is renewed again")
                pause, failed = self._settings.renewal_seconds, False
            except SQLAlchemyError as error:
                if not failed:
                    reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
                    log.warning("slot %d: the lease is not renewed, trying again: %s", slot, reason)
                pause, failed = self._settings.renewal_seconds / 4, True
