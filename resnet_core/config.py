"""What a network is made of and how it is trained, as validated, frozen values.

Keys are in camelCase in files (`batchSize`) and in snake_case in Python (`batch_size`).
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from resnet_core.shown_text import is_shown
from resnet_core.validation import shown

LARGEST_WHOLE = 2**53  # up to here, JSON and Helm hold every whole number exactly
LARGEST_FACTOR = 1e30  # what weights are multiplied by; some optimizers fail above what float32 holds, 3.4e38


def _number(value: Any) -> Any:
    """The value, unless it is one that pydantic alone would take for a number: true for 1, and "3" for 3."""
    if isinstance(value, bool | str | bytes):
        raise PydanticCustomError("number", "a number expected")
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        raise PydanticCustomError("number", f"at most {LARGEST_WHOLE:,} expected")
    return value


def check_text(text: str) -> str:
    """The text, which can be shown on one line wherever it stands; raises PydanticCustomError for any other."""
    if not is_shown(text):
        raise PydanticCustomError("text", "text on one line expected, of characters that can be shown")
    return text


# The fields' types: what is given has to be of the type itself. A whole number may be written as 64.0.
Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, BeforeValidator(_number)]
Number = Annotated[float, BeforeValidator(_number)]
Text = Annotated[str, AfterValidator(check_text)]
PositiveInt = Annotated[int, Field(ge=1), BeforeValidator(_number)]
PositiveNumber = Annotated[float, Field(gt=0), BeforeValidator(_number)]
LearningRate = Annotated[float, Field(gt=0, le=LARGEST_FACTOR), BeforeValidator(_number)]
Fraction = Annotated[float, Field(ge=0, lt=1), BeforeValidator(_number)]
Epochs = Annotated[float, Field(ge=0.001), BeforeValidator(_number)]
ImageSize = Annotated[int, Field(ge=8, le=512), BeforeValidator(_number)]
Depth = Annotated[int, Field(ge=1, le=200), BeforeValidator(_number)]
Width = Annotated[int, Field(ge=1, le=2**16), BeforeValidator(_number)]
Stride = Annotated[int, Field(ge=1, le=4), BeforeValidator(_number)]


class Config(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
    )


class DataConfig(Config):
    """Where the images come from and how the training part is divided."""

    source: Literal["digits", "cifar10", "cifar100", "imagefolder"] = "digits"
    path: Text | None = Field(None, description="Folder of the images; without one, CIFAR is downloaded.")
    title: Text | None = Field(None, description="Name of the data set in reports; default: the source's own.")
    image_size: ImageSize = Field(32, description="Side in pixels that imagefolder images get.")
    validation: Number = Field(
        0.1, gt=0, lt=1, description="Fraction of the training images held out, the same of every class."
    )
    test: Number | None = Field(
        None,
        gt=0,
        lt=1,
        description="Of an imagefolder without a test part: fraction of the images set aside as one, the same of every "
        "class and the same images in every experiment.",
    )
    limit: PositiveInt | None = Field(
        None, description="Use only so many training images, validation included, evenly over the classes."
    )
    limit_test: PositiveInt | None = Field(None, description="Use only so many test images.")

    @model_validator(mode="after")
    def _check_path(self) -> "DataConfig":
        if self.source == "imagefolder" and self.path is None:
            raise ValueError("data.path: imagefolder needs a folder with a folder of images for each class")
        if self.source == "digits" and self.path is not None:
            raise ValueError(f"data.path={shown(self.path)}: digits come with scikit-learn and take no path")
        if self.source != "imagefolder" and self.test is not None:
            raise ValueError(f"data.test={self.test:g}: {self.source} has test images of its own; null expected")
        return self


class ModelConfig(Config):
    """The network before pruning: depths, widths and strides of its stages.

    ResNet-18 is depths [2, 2, 2, 2] at width 64: stages of 64, 128, 256 and 512 channels.
    """

    depths: tuple[Depth, ...] = Field((2, 2, 2, 2), min_length=1, max_length=8)
    width: Width = Field(64, description="Channels of the first stage; each next doubles.")
    widths: tuple[Width, ...] | None = Field(None, description="Channels of each stage, in place of width.")
    stem_width: Width | None = Field(None, description="Channels of the stem; default: those of the first stage.")
    stem_init: Literal["random", "whitening"] = Field(
        "random", description="The stem's first weights; whitening: the principal components of the images' patches."
    )
    strides: tuple[Stride, ...] = (1, 2, 2, 2)
    downsampling: Literal["convolution", "maxpool"] = Field(
        "convolution",
        description="What makes maps smaller: the stride of convolutions, or a maximum over pixels behind them.",
    )

    @model_validator(mode="after")
    def _check_lengths(self) -> "ModelConfig":
        for name, values in (("strides", self.strides), ("widths", self.widths)):
            if values is not None and len(values) != len(self.depths):
                raise ValueError(
                    f"model.{name}={shown(list(values))}: {len(self.depths)} values expected, "
                    f"one a stage as in model.depths={shown(list(self.depths))}"
                )
        return self

    @property
    def stage_widths(self) -> tuple[int, ...]:
        return self.widths or tuple(self.width * 2**stage for stage in range(len(self.depths)))


def _listed(amounts: Any) -> Any:
    """Turns a single amount, which is what a search gives, into a list of one."""
    return [amounts] if isinstance(amounts, int | float) and not isinstance(amounts, bool) else amounts


class PruningConfig(Config):
    """How channels are removed before training.

    `amounts` removes from every block the given fraction of the output channels of both its convolutions, one
    after the other; `target` finds the smallest common fraction that reaches `target` parameters.
    """

    method: Literal["none", "amounts", "target"] = "none"
    amounts: Annotated[tuple[Fraction, ...] | None, BeforeValidator(_listed)] = Field(
        None, description="One fraction a block, in order, or one for all."
    )
    target: PositiveInt | None = Field(None, description="Parameters at most after pruning.")
    importance: Literal["l1", "l2", "random", "taylor"] = "l1"
    round_to: PositiveInt = Field(1, description="Widths are rounded down to a multiple of this, not below it.")

    @model_validator(mode="after")
    def _check_method(self) -> "PruningConfig":
        for key in ("amounts", "target"):
            given, needed = getattr(self, key), self.method == key
            if needed and given is None:
                raise ValueError(f"pruning.{key}: needed with pruning.method={self.method}")
            if given is not None and not needed:
                raise ValueError(f"pruning.{key}={shown(given)}: null expected with pruning.method={self.method}")
        return self


class BudgetConfig(Config):
    parameters: PositiveInt = Field(5_000_000, description="Most parameters that a network may have.")


class ScheduleConfig(Config):
    """The course of the learning rate, as a factor on `lr`, changed at every batch."""

    name: Literal["cosine", "linear", "step", "cyclic", "constant"] = "cosine"
    warmup_epochs: Number = Field(0, ge=0, description="Linear rise from zero before the schedule begins.")
    period_epochs: Epochs | None = Field(
        None, description="Epochs that one annealing takes; default: all that follow the warm-up."
    )
    final_factor: Number = Field(0, ge=0, le=1, description="cosine, linear: the factor at the period's end.")
    step_epochs: Epochs = Field(30, description="step: epochs between two drops.")
    gamma: Number = Field(0.1, gt=0, le=1, description="step: the factor of one drop.")
    base_factor: Number = Field(0.1, ge=0, le=1, description="cyclic: the factor at the bottom of a cycle.")
    cycle_epochs: Epochs = Field(10, description="cyclic: epochs from bottom to bottom.")


PaddingMode = Literal["zeros", "reflect"]


class AugmentationConfig(Config):
    """Changes of the training images; each image has its own draw. Validation and test images get none."""

    policy: Literal["none", "autoaugment", "trivialaugment"] = "none"
    flip: Flag = Field(True, description="Mirror left and right with probability 1/2.")
    alternating_flip: Flag = Field(
        False, description="Where images are mirrored: each in every second epoch, instead of by chance (Jordan 2024)."
    )
    crop_padding: Whole = Field(4, ge=0, le=32, description="Padding in pixels before a random crop; 0: none.")
    crop_padding_mode: PaddingMode = Field(
        "zeros", description="What is padded with: black, or the image's own mirrored border."
    )
    erasing: Number = Field(0, ge=0, le=1, description="Probability of random erasing.")
    mixup: Number = Field(0, ge=0, description="Alpha of mixup's Beta(alpha, alpha); 0: none.")
    cutmix: Number = Field(0, ge=0, description="Alpha of cutmix's Beta(alpha, alpha); 0: none.")


class TrainingConfig(Config):
    """The recipe of one training: everything but its length, its data and its seed."""

    optimizer: Literal["sgd", "rmsprop", "adam", "adamw", "adadelta", "adagrad", "asgd", "muon"] = "sgd"
    lr: LearningRate = 0.1
    auxiliary_lr: LearningRate | None = Field(
        None, description="muon: of all that is no convolution of a block, which SGD trains; default: lr."
    )
    momentum: Number = Field(0.9, ge=0, lt=1, description="Of sgd, rmsprop and muon; the others have none.")
    nesterov: Flag = Field(True, description="Of sgd and muon, where momentum is above zero.")
    weight_decay: Number = Field(5e-4, ge=0, le=LARGEST_FACTOR)
    decay_norm_and_bias: Flag = Field(False, description="Decay batch-norm parameters and biases too.")
    batch_size: Whole = Field(128, ge=2, description="Images a step.")
    dropout: Fraction = Field(0, description="Before the classifier.")
    label_smoothing: Fraction = 0
    ema: Fraction = Field(0, description="Decay a step of the averaged weights that are evaluated; 0: none.")
    clip_norm: PositiveNumber | None = Field(None, description="Upper limit of the gradient's L2 norm.")
    schedule: ScheduleConfig = ScheduleConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="auto: bf16 autocast and our layers for CPUs where the device is faster with them.",
    )

    def rank_batch_size(self, ranks: int) -> int:
        """How many images of a batch each of so many ranks gets.

        Raises:
            ValueError: they would not all get the same number, or only one image, for which batch norm has no variance.

        """
        if self.batch_size % ranks or self.batch_size < 2 * ranks:
            raise ValueError(
                f"training.batchSize={self.batch_size}: a multiple of {ranks} for {ranks} ranks, 2 images each or more"
            )
        return self.batch_size // ranks
