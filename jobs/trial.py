"""One trial, from a claimed slot to its settlement."""

import json
import logging
from dataclasses import asdict, dataclass
from datetime import datetime

import optuna
from optuna.trial import TrialState
from sqlalchemy import Engine

from jobs import interrupt, slots
from jobs.artifacts import Artifacts
from jobs.checkpoints import Checkpoints
from jobs.database import FencedStorage
from jobs.datasets import StoredDataset
from jobs.experiment import Experiment
from jobs.lease import Lease
from jobs.settings import Settings
from jobs.slots import Claim, LeaseLost, SlotState
from jobs.study import load_study, suggest
from resnet_core.build import build_network
from resnet_core.config import PruningConfig
from resnet_core.count import BudgetExceeded, check_budget
from resnet_core.model import NetworkConfig
from resnet_core.pruning import planned_config
from resnet_core.seeds import derive_seed
from resnet_core.train import Checkpoint, Diverged, EpochResult, TrainingData, first_batch, train

log = logging.getLogger(__name__)

OPTUNA_STATES = {
    SlotState.COMPLETE: TrialState.COMPLETE,
    SlotState.STOPPED_EARLY: TrialState.PRUNED,
    SlotState.INFEASIBLE: TrialState.PRUNED,
    SlotState.DIVERGED: TrialState.PRUNED,
    SlotState.FAILED: TrialState.FAIL,
    SlotState.CRASHED: TrialState.FAIL,
}


class StoppedEarly(Exception):
    """Early stopping has decided to end the trial."""


@dataclass(frozen=True)
class Worker:
    """What one worker process needs for every trial. `artifacts` are the study's."""

    experiment: Experiment
    settings: Settings
    artifacts: Artifacts
    storage: FencedStorage
    lease_engine: Engine
    dataset: StoredDataset
    data: TrainingData

    def run(self, held: Claim, claimed_at: float) -> None:
        """Runs the trial of a claimed slot until it is settled, given back or lost.

        Raises:
            Interrupted: the process was asked to end; the slot is given back.

        """
        self.storage.held = held
        try:
            with Lease(self.lease_engine, held, self.settings, claimed_at) as lease:
                _Run(self, held, lease).to_the_end()
        except LeaseLost as lost:
            log.warning("%s; the trial is dropped", lost)
        except interrupt.Interrupted:
            slots.give_back(self.storage.engine, held)
            raise
        finally:
            self.storage.held = None


class _Run:
    """One owner's time with a trial."""

    def __init__(self, worker: Worker, held: Claim, lease: Lease) -> None:
        self.worker, self.held, self.lease = worker, held, lease
        self.experiment = worker.experiment
        self.study = load_study(worker.experiment, worker.storage, held.slot)
        trial_id = held.trial_id or self._create_trial()
        self.study.get_trials(deepcopy=False)  # Optuna's cache takes writes only for trials it has seen
        self.trial = optuna.trial.Trial(self.study, trial_id)
        self.prefix = f"trials/{self.trial.number}"
        self.checkpoints = Checkpoints(worker.artifacts, self.prefix, held.fence)
        self.epochs: list[EpochResult] = []

    def to_the_end(self) -> None:
        if self.held.crashes >= self.worker.settings.max_crashes:
            self._settle(SlotState.CRASHED, f"{self.held.crashes} processes ended without a word while they ran it")
            return
        try:
            self._train()
        except (LeaseLost, interrupt.Interrupted):
            raise
        except StoppedEarly:
            self._settle(SlotState.STOPPED_EARLY, f"after epoch {self.epochs[-1].epoch}")
        except BudgetExceeded as error:
            self._settle(SlotState.INFEASIBLE, str(error))
        except Diverged as error:
            self._settle(SlotState.DIVERGED, str(error))
        except Exception as error:
            log.exception("trial %d failed", self.trial.number)
            message = f"{type(error).__name__}: {error}"
            if self.held.attempts + 1 < self.worker.settings.max_attempts:
                slots.give_back(self.worker.storage.engine, self.held, failed=True, message=message)
            else:
                self._settle(SlotState.FAILED, message)
        else:
            self._settle(SlotState.COMPLETE, None)

    def _create_trial(self) -> int:
        """A running trial of Optuna's; the storage writes its id into the slot in the same transaction."""
        attributes = {"fixed_params": self.held.parameters} if self.held.parameters else {}
        template = optuna.trial.create_trial(state=TrialState.RUNNING, system_attrs=attributes)
        template.datetime_start = datetime.now()
        storage = self.worker.storage
        return storage.create_new_trial(storage.get_study_id_from_name(self.study.study_name), template)

    def _train(self) -> None:
        parameters = suggest(self.trial, self.experiment)
        recipe, pruning = self.experiment.with_parameters(parameters)
        self._check_budget(pruning)
        data, seed = self.worker.data, derive_seed(self.experiment.seed, self.held.slot)
        network = build_network(
            self.experiment.model,
            pruning,
            len(self.worker.dataset.classes),
            dropout=recipe.dropout,
            seed=seed,
            batch=first_batch(data, recipe.batch_size),
        ).to(data.train.images.device)
        saved = self.checkpoints.load(data.train.images.device)
        if saved:
            self.epochs = [EpochResult(**row) for row in saved["epochs"]]
            log.info("trial %d goes on after epoch %d", self.trial.number, self.epochs[-1].epoch)
            self._report()
        else:
            log.info("trial %d begins: %s", self.trial.number, json.dumps(parameters))
        train(
            network,
            recipe,
            data,
            self.experiment.sweep.epochs,
            seed=derive_seed(seed, "training"),
            checkpoint=saved["training"] if saved else None,
            on_step=self._on_step,
            on_epoch=self._on_epoch,
        )

    def _check_budget(self, pruning: PruningConfig) -> None:
        budget = self.experiment.budget.parameters
        unpruned = NetworkConfig.from_model(self.experiment.model, len(self.worker.dataset.classes))
        try:
            parameters = check_budget(planned_config(unpruned, pruning), budget)
        except BudgetExceeded as error:
            if not self.trial.constraints:
                self.trial.set_constraint("parameters over budget", error.excess)
            raise
        self.trial.set_user_attr("parameters", parameters)

    def _on_step(self) -> None:
        interrupt.check()
        self.lease.beat()

    def _on_epoch(self, result: EpochResult, training: Checkpoint) -> None:
        """Checkpoint, then value and stop decision: whoever takes over finds the decision that was made."""
        self.epochs.append(result)
        self.checkpoints.save({"training": training, "epochs": [asdict(epoch) for epoch in self.epochs]})
        log.info(
            "trial %d epoch %d/%d: training loss %.4f, validation accuracy %.4f, %.1f s",
            self.trial.number,
            result.epoch,
            self.experiment.sweep.epochs,
            result.train_loss,
            result.validation_accuracy,
            result.seconds,
        )
        self._report()

    def _report(self) -> None:
        """Tells Optuna the values it does not have yet, and early stopping's decision on the last of them."""
        storage = self.worker.storage
        reported = storage.get_trial(self.trial._trial_id).intermediate_values
        for epoch in self.epochs:
            if epoch.epoch not in reported:
                assert epoch.validation_accuracy is not None
                self.trial.report(epoch.validation_accuracy, epoch.epoch)
        last = self.epochs[-1].epoch
        if self.held.stop_epoch == last:
            raise StoppedEarly
        if last < self.experiment.sweep.epochs and self.trial.should_prune():
            with storage.engine.begin() as connection:
                slots.decide_stop(connection, self.held, last)
            raise StoppedEarly

    def _settle(self, state: SlotState, message: str | None) -> None:
        """Ends the trial and its slot in one transaction; its checkpoints are no longer needed then."""
        if self.epochs:
            rows = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in self.epochs)
            self.worker.artifacts.write_text(f"{self.prefix}/epochs.jsonl", rows)
        self.trial.set_user_attr("epochs", len(self.epochs))
        self.trial.set_user_attr("seconds", sum(epoch.seconds for epoch in self.epochs))
        value = self.epochs[-1].validation_accuracy if state is SlotState.COMPLETE else None
        self.worker.storage.outcome = (state, message)
        self.study.tell(self.trial, value, state=OPTUNA_STATES[state])
        self.checkpoints.remove()
        log.info("trial %d %s%s", self.trial.number, state, f": {message}" if message else "")
