"""How the search goes: its trials, its sampler, its early stopping, and how the best of it are confirmed."""

from typing import Literal, Self

from pydantic import Field, model_validator

from jobs.experiment.values import Value
from resnet_core.config import Config, Fraction, PositiveInt, PositiveNumber, Whole


class SamplerConfig(Config):
    name: Literal["tpe", "random", "gp", "cmaes", "grid", "manual"] = Field(
        "tpe", description="grid: every point of the search space; manual: sweep.configurations as they are."
    )
    startup_trials: PositiveInt = Field(10, description="tpe, gp, cmaes: trials that are drawn at random first.")

    @property
    def is_fixed(self) -> bool:
        """Whether all parameters of all trials are known before the sweep begins."""
        return self.name in ("grid", "manual")


class EarlyStoppingConfig(Config):
    """When a trial that falls behind is ended before its last epoch."""

    name: Literal["halving", "hyperband", "median", "none"] = "halving"
    min_epochs: PositiveInt = Field(1, description="No trial is stopped before it has had so many.")
    reduction_factor: Whole = Field(3, ge=2, description="halving, hyperband: one in so many goes on.")
    startup_trials: PositiveInt = Field(5, description="median: complete trials before the first is stopped.")


class ConfirmConfig(Config):
    """The best configurations of the sweep, trained again with fresh seeds before one of them is chosen."""

    trials: Whole = Field(ge=1, le=100, description="So many of the best, of different configurations.")
    seeds: Whole = Field(ge=1, le=100, description="Trainings of each.")


class StopConfig(Config):
    """When a sweep ends that finds nothing better any more; its running trials go on to their ends."""

    patience: PositiveInt = Field(description="No trial begins once so many have ended since the best accuracy rose.")
    min_delta: Fraction = Field(0.0, description="A rise is more than this above the best; 0.001 is 0.1 points.")


class SweepConfig(Config):
    trials: Whole = Field(20, ge=1, le=100_000)
    epochs: PositiveInt = 25
    objectives: tuple[Literal["accuracy", "parameters", "macs"], ...] = Field(
        ("accuracy",),
        min_length=1,
        max_length=2,
        description="accuracy, highest; and where there is a second one, parameters or macs, lowest.",
    )
    min_completed: PositiveInt = Field(1, description="Fewer complete trials, and there is no final training.")
    max_hours: PositiveNumber | None = Field(None, description="No trial begins once trials have run for so long.")
    max_gpu_hours: PositiveNumber | None = Field(None, description="No trial begins once so many are used.")
    stop: StopConfig | None = Field(
        None,
        description="Ends a sweep that finds nothing better: {patience: 20, minDelta: 0.001}; or null.",
    )
    sampler: SamplerConfig = SamplerConfig()
    configurations: tuple[dict[str, Value], ...] = Field(
        (), description="manual: the parameters of each trial, named as in searchSpace."
    )
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    confirm: ConfirmConfig | None = Field(
        None,
        description="The best are trained again before one is chosen: {trials: 3, seeds: 3}, for example; or null.",
    )

    @model_validator(mode="after")
    def _check_objectives(self) -> Self:
        if self.objectives[0] != "accuracy" or "accuracy" in self.objectives[1:]:
            raise ValueError(f"objectives={list(self.objectives)}: accuracy, then parameters or macs if anything")
        if len(self.objectives) > 1:
            two = f"with two of sweep.objectives={list(self.objectives)}"
            if self.early_stopping.name != "none":
                raise ValueError(f"earlyStopping.name={self.early_stopping.name}: none {two}")
            if self.sampler.name == "cmaes":
                raise ValueError(f"sampler.name=cmaes: tpe, gp, random, grid or manual {two}")
            if self.stop is not None:
                raise ValueError(f"stop: null {two}, where a smaller network is found while the accuracy stays")
        return self

    @model_validator(mode="after")
    def _check_configurations(self) -> Self:
        count = len(self.configurations)
        if self.sampler.name == "manual" and count != self.trials:
            raise ValueError(f"trials={self.trials}: sweep.configurations has {count}")
        if self.sampler.name != "manual" and count:
            raise ValueError(f"configurations: {count} given, but only with sweep.sampler.name=manual")
        return self

    @model_validator(mode="after")
    def _check_confirm(self) -> Self:
        if self.confirm is not None and self.confirm.trials > self.trials:
            raise ValueError(f"confirm.trials={self.confirm.trials}: at most sweep.trials={self.trials}")
        return self
