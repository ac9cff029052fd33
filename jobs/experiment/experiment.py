"""The experiment: all that decides the result, as one validated tree.

Where it runs is not part of it but of `jobs/runtime/settings.py`. Nothing here imports torch or optuna.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from jobs.experiment.network_space import NETWORK, network_combinations
from jobs.experiment.parameters import Configuration, Misfit, field_of, put_parameters
from jobs.experiment.search_space import (
    Range,
    SearchSpace,
    end_points,
    example_with,
    grid_points,
    ordered,
    space_of,
)
from jobs.experiment.sweep_config import SweepConfig
from jobs.experiment.values import Value
from resnet_core.config import (
    BudgetConfig,
    Config,
    DataConfig,
    Flag,
    ModelConfig,
    Number,
    PositiveInt,
    PruningConfig,
    Text,
    TrainingConfig,
    Whole,
)
from resnet_core.validation import shown, shown_key

RESERVED = ("datasets",)  # folders that lie beside those of the studies


LONGEST_NAME = 63  # characters: names of Kubernetes' objects begin with a study's
NAME = re.compile(rf"[a-z0-9]([a-z0-9-]{{0,{LONGEST_NAME - 2}}}[a-z0-9])?")


def _check_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise PydanticCustomError("name", f"1 to {LONGEST_NAME} of a-z, 0-9 and - expected, and no - at the ends")
    if name in RESERVED:
        raise PydanticCustomError("name", "another name expected: the images of all studies lie there")
    return name


def name_from(text: str) -> str:
    """A study's name for a file of any name, by a rule: what is no letter a-z or digit becomes a hyphen.

    Before that, capitals become small and letters lose their marks: `Möwen 2_b` gives `mowen-2-b`. Empty if nothing is
    left.
    """
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_NAME].rstrip("-")


Name = Annotated[str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}$"})]


class PublishedConfig(Config):
    """A value from the publication that the experiment follows. The report shows it beside ours, as published."""

    what: Text = Field(description="What has it, in a few words.")
    accuracy: Number = Field(gt=0, le=1)
    parameters: PositiveInt | None = Field(None, description="Of the network.")
    where: dict[str, Value] = Field(
        default_factory=dict, description="Parameters of the trials that it stands beside; default: the final network."
    )


class StudyConfig(Config):
    name: Name | None = Field(None, description="Default: the name of the preset, the file or the release.")
    published: tuple[PublishedConfig, ...] = Field((), description="What the publication that it follows has reached.")
    deviations: tuple[Text, ...] = Field(
        (), description="Where the experiment differs from the publication it follows; listed in the report."
    )


class FinalTrainConfig(Config):
    epochs: PositiveInt = 200
    seeds: PositiveInt = Field(1, description="Trainings that differ in their seed alone; the report has their mean.")
    data: Literal["train", "train+validation"] = "train"
    select: Literal["last", "best"] = Field("last", description="Which epoch's weights; best by validation accuracy.")

    @model_validator(mode="after")
    def _check_select(self) -> Self:
        if self.select == "best" and self.data != "train":
            raise ValueError("select=best: only with finalTrain.data=train, which leaves images to select by")
        return self


class EvaluationConfig(Config):
    flip: Flag = Field(False, description="Also report the accuracy averaged over each image and its mirror image.")


class Experiment(Config):
    seed: Whole = Field(0, ge=0, lt=2**32)
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
    def _check_base(self) -> Self:
        self.with_parameters({})
        return self

    @model_validator(mode="after")
    def _check_epochs(self) -> Self:
        if self.sweep.min_completed > self.sweep.trials:
            raise ValueError(f"sweep.minCompleted={self.sweep.min_completed}: at most sweep.trials={self.sweep.trials}")
        least = self.sweep.early_stopping.min_epochs
        if self.sweep.early_stopping.name != "none" and least > self.sweep.epochs:
            raise ValueError(f"sweep.earlyStopping.minEpochs={least}: at most sweep.epochs={self.sweep.epochs}")
        return self

    @model_validator(mode="after")
    def _check_search_space(self) -> Self:
        ordered(self.search_space)
        for name, parameter in self.search_space.items():
            key = f"searchSpace.{shown_key(name)}"
            for value in end_points(parameter):
                try:
                    field = self.field_value(name, value)
                except ValueError as error:
                    raise ValueError(f"{key}={shown(value)}: {error}") from None
                if isinstance(parameter, Range):
                    _check_range(key, parameter, field)
        if self.sweep.sampler.name == "grid":
            points = len(grid_points(self.search_space))
            if points != self.sweep.trials:
                raise ValueError(f"sweep.trials={self.sweep.trials}: the grid of searchSpace has {points} points")
        return self

    @model_validator(mode="after")
    def _check_searched_network(self) -> Self:
        """Each value was checked by itself; here lists have to fit together, and a method has to find what it needs."""
        for parameters in network_combinations(self.search_space):
            try:
                self.with_parameters(parameters)
            except ValueError as error:
                raise ValueError(f"searchSpace: some trials have {shown(parameters)}: {error}") from None
        return self

    @model_validator(mode="after")
    def _check_configurations(self) -> Self:
        if self.sweep.sampler.name == "manual" and self.search_space:
            raise ValueError("searchSpace: empty with sweep.sampler.name=manual, whose sweep.configurations say it all")
        for index, configuration in enumerate(self.sweep.configurations):
            try:
                self.with_parameters(configuration)
            except ValueError as error:
                raise ValueError(f"sweep.configurations.{index}={shown(configuration)}: {error}") from None
        return self

    @model_validator(mode="after")
    def _check_published(self) -> Self:
        for index, value in enumerate(self.study.published):
            for name in value.where:
                if name not in self.searched:
                    key = f"study.published.{index}.where.{shown_key(name)}"
                    raise ValueError(f"{key}: not searched, so no trial has it")
        return self

    @property
    def study_name(self) -> str:
        assert self.study.name is not None  # load_experiment gives a name to every study
        return self.study.name

    @property
    def searched(self) -> SearchSpace:
        """The parameters that differ between trials: those of the search space, or of the list of configurations."""
        return space_of(self.sweep.configurations) or self.search_space

    def fixed_parameters(self) -> list[dict[str, Value]]:
        """For each slot, the parameters that are known beforehand: all of them with a grid or a list, else none."""
        match self.sweep.sampler.name:
            case "grid":
                return grid_points(self.search_space)
            case "manual":
                return [dict(configuration) for configuration in self.sweep.configurations]
            case _:
                return [{} for _ in range(self.sweep.trials)]

    def field_value(self, name: str, value: Value) -> Any:
        """What the field `name` holds in a trial in which it is set to the value: 64 for 64.0, for example.

        Raises:
            ValueError: there is no such field, or it does not allow the value.

        """
        return field_of(self.example_with(name, value), name)

    def example_with(self, name: str, value: Value) -> Configuration:
        """The configuration of some trial that has the value; raises ValueError as `with_parameters` does."""
        try:
            return self.with_parameters({name: value})
        except Misfit as alone:  # a pruning method or a list may need another field, which is searched as well
            if not name.startswith(NETWORK) or name not in self.searched:
                raise
            method = "target" if name == "pruning.target" else "amounts"
            example = example_with(self.searched, name, value, {"pruning.method": method})
            if name not in example or (
                name.startswith("pruning.") and example.get("pruning.method", method) not in (method, value)
            ):
                raise
            try:
                return self.with_parameters({key: v for key, v in example.items() if key.startswith(NETWORK)})
            except Misfit:
                raise
            except ValueError:  # of another parameter, which has a check of its own
                raise alone from None

    def with_parameters(self, parameters: Mapping[str, Value]) -> Configuration:
        """The configuration of a trial with these parameters; raises ValueError as `put_parameters` does."""
        own = put_parameters(Configuration(self.training, self.model, self.pruning), parameters)
        self._check_warmup(own.training)
        return own

    def _check_warmup(self, recipe: TrainingConfig) -> None:
        shortest, warmup = min(self.sweep.epochs, self.final_train.epochs), recipe.schedule.warmup_epochs
        if warmup >= shortest:
            raise ValueError(f"training.schedule.warmupEpochs={warmup:g}: less than the {shortest} epochs trained")


def _check_range(key: str, parameter: Range, field: Any) -> None:
    """Makes sure that the steps of a range suit a field that holds `field` at one of its ends."""
    if isinstance(field, int) and parameter.step is not None and not parameter.step.is_integer():
        raise ValueError(f"{key}.step={parameter.step:g}: a whole number, as the field is")
