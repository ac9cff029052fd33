"""The experiment: all that decides the result, as one validated tree.

It knows nothing of the place it runs in (`jobs/settings.py` does) and imports neither torch nor optuna.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from jobs.search_space import SearchSpace, check_parameter, grid_points
from resnet_core.config import Config, DataConfig, ModelConfig, PositiveInt, PruningConfig, TrainingConfig

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class StudyConfig(Config):
    name: Name | None = Field(None, description="Default: the name of the preset, the file or the release.")
    deviations: tuple[str, ...] = Field(
        (), description="Where the experiment differs from the publication it follows; listed in the report."
    )


class BudgetConfig(Config):
    parameters: PositiveInt = Field(5_000_000, description="Most parameters that a network may have.")


class SamplerConfig(Config):
    name: Literal["tpe", "random", "gp", "cmaes", "grid"] = "tpe"
    startup_trials: PositiveInt = Field(10, description="tpe, gp, cmaes: trials that are drawn at random first.")


class EarlyStoppingConfig(Config):
    """When a trial that falls behind is ended before its last epoch."""

    name: Literal["halving", "hyperband", "median", "none"] = "halving"
    min_epochs: PositiveInt = Field(1, description="No trial is stopped before it has had so many.")
    reduction_factor: int = Field(3, ge=2, description="halving, hyperband: one in so many goes on.")
    startup_trials: PositiveInt = Field(5, description="median: complete trials before the first is stopped.")


class SweepConfig(Config):
    trials: PositiveInt = 20
    epochs: PositiveInt = 25
    min_completed: int = Field(1, ge=1, description="Fewer complete trials, and there is no final training.")
    max_hours: float | None = Field(None, gt=0, description="No trial begins once trials have run for so long.")
    max_gpu_hours: float | None = Field(None, gt=0, description="No trial begins once so many are used.")
    sampler: SamplerConfig = SamplerConfig()
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()


class FinalTrainConfig(Config):
    epochs: PositiveInt = 200
    data: Literal["train", "train+validation"] = "train"
    select: Literal["last", "best"] = Field("last", description="Which epoch's weights; best by validation accuracy.")

    @model_validator(mode="after")
    def _check_select(self) -> Self:
        if self.select == "best" and self.data != "train":
            raise ValueError("select=best: only with finalTrain.data=train, which leaves images to select by")
        return self


class EvaluationConfig(Config):
    flip: bool = Field(False, description="Also report the accuracy averaged over each image and its mirror image.")


class Experiment(Config):
    seed: int = Field(0, ge=0, lt=2**32)
    study: StudyConfig = StudyConfig()
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    pruning: PruningConfig = PruningConfig()
    budget: BudgetConfig = BudgetConfig()
    training: TrainingConfig = TrainingConfig()
    search_space: SearchSpace = Field(default_factory=dict)
    sweep: SweepConfig = SweepConfig()
    final_train: FinalTrainConfig = FinalTrainConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _check_pruning(self) -> Self:
        amounts, blocks = self.pruning.amounts, sum(self.model.depths)
        if amounts is not None and len(amounts) != blocks:
            raise ValueError(
                f"pruning.amounts={list(amounts)}: {blocks} values expected, one for each block of "
                f"model.depths={list(self.model.depths)}"
            )
        return self

    @model_validator(mode="after")
    def _check_epochs(self) -> Self:
        if self.sweep.min_completed > self.sweep.trials:
            raise ValueError(f"sweep.minCompleted={self.sweep.min_completed}: at most sweep.trials={self.sweep.trials}")
        shortest = min(self.sweep.epochs, self.final_train.epochs)
        warmup = self.training.schedule.warmup_epochs
        if warmup >= shortest:
            raise ValueError(f"training.schedule.warmupEpochs={warmup:g}: less than the {shortest} epochs trained")
        least = self.sweep.early_stopping.min_epochs
        if self.sweep.early_stopping.name != "none" and least > self.sweep.epochs:
            raise ValueError(f"sweep.earlyStopping.minEpochs={least}: at most sweep.epochs={self.sweep.epochs}")
        return self

    @model_validator(mode="after")
    def _check_search_space(self) -> Self:
        for name, parameter in self.search_space.items():
            check_parameter(name, parameter, self.field_value)
        if self.sweep.sampler.name == "grid":
            points = len(grid_points(self.search_space))
            if points != self.sweep.trials:
                raise ValueError(f"sweep.trials={self.sweep.trials}: the grid of searchSpace has {points} points")
        return self

    @property
    def study_name(self) -> str:
        assert self.study.name is not None  # load_experiment gives every study one
        return self.study.name

    def field_value(self, name: str, value: Any) -> Any:
        """The value as the field `name` stores it.

        Raises:
            ValueError: the field is not there or does not allow the value.

        """
        training, pruning = self.with_parameters({name: value})
        section: Any = pruning if name.startswith("pruning.") else training
        for key in _path(name):
            section = _field(section, key)
        return section

    def with_parameters(self, parameters: dict[str, Any]) -> tuple[TrainingConfig, PruningConfig]:
        """The recipe and the pruning with a trial's parameters put in.

        Raises:
            ValueError: a name is no field of them, or its value is not allowed.

        """
        trees = {"training": self.training.model_dump(), "pruning": self.pruning.model_dump()}
        for name, value in parameters.items():
            tree: Any = trees["pruning" if name.startswith("pruning.") else "training"]
            *sections, last = _path(name)
            for section in sections:
                tree = tree.get(section)
                if not isinstance(tree, dict):
                    break
            if not isinstance(tree, dict) or last not in tree or isinstance(tree[last], dict):
                raise ValueError(f"no field of training or pruning: {', '.join(searchable_fields())}")
            tree[last] = value
        try:
            return TrainingConfig.model_validate(trees["training"]), PruningConfig.model_validate(trees["pruning"])
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"]) from None


def searchable_fields() -> list[str]:
    """Every name that a search space can hold."""

    def leaves(model: type[Config], prefix: str) -> list[str]:
        names = []
        for field in model.model_fields.values():
            name = f"{prefix}{field.alias}"
            nested = field.annotation
            if isinstance(nested, type) and issubclass(nested, Config):
                names += leaves(nested, f"{name}.")
            else:
                names.append(name)
        return names

    return leaves(TrainingConfig, "") + leaves(PruningConfig, "pruning.")


def _path(name: str) -> list[str]:
    return name.removeprefix("pruning.").split(".")


def _field(section: Config, alias: str) -> Any:
    names = {field.alias: key for key, field in type(section).model_fields.items()}
    return getattr(section, names[alias])
