"""A network and its input as data, enough to build it again and to use it. Nothing here imports torch."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from resnet_core.config import Config, Flag, ImageSize, ModelConfig, Number, PositiveInt

Share = Annotated[Number, Field(ge=0, le=1)]
Deviation = Annotated[Number, Field(gt=0, le=1)]
# Below the folder of the description that names it.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")]


class BlockConfig(Config):
    """One basic block: channels between its two convolutions (`inner`) and behind them (`outer`), and its stride.

    With `projection` its shortcut is a 1x1 convolution, without one the identity. The stride is that of the first
    convolution and of the projection or, with `pooled`, of a maximum behind the one and before the other.
    """

    inner: PositiveInt
    outer: PositiveInt
    stride: PositiveInt
    projection: Flag
    pooled: Flag = False


class NetworkConfig(Config):
    """Every width of a network, pruned or not. This is enough to build the network again."""

    stem: PositiveInt
    stages: tuple[tuple[BlockConfig, ...], ...] = Field(min_length=1)
    classes: PositiveInt

    @classmethod
    def from_model(cls, model: ModelConfig, classes: int) -> "NetworkConfig":
        """The network before pruning. A block whose size or stride changes gets a projection (option B)."""
        stem = width = model.stem_width or model.stage_widths[0]
        stages = []
        for depth, outer, stride in zip(model.depths, model.stage_widths, model.strides, strict=True):
            pooled = stride != 1 and model.downsampling == "maxpool"
            projection = stride != 1 or width != outer
            first = BlockConfig(inner=outer, outer=outer, stride=stride, projection=projection, pooled=pooled)
            rest = BlockConfig(inner=outer, outer=outer, stride=1, projection=False)
            stages.append((first, *(rest,) * (depth - 1)))
            width = outer
        return cls(stem=stem, stages=tuple(stages), classes=classes)


class ModelDescription(Config):
    """What is needed of `model.json` to use a network. How it was trained also stands there, and is ignored here."""

    model_config = ConfigDict(extra="ignore")

    network: NetworkConfig
    classes: tuple[str, ...]
    image_size: ImageSize
    mean: tuple[Share, Share, Share]
    std: tuple[Deviation, Deviation, Deviation]
    precision: Literal["float32", "bfloat16"] = Field(description="What it was tested in.")
    weights: FileName = Field("model.safetensors", description="Their file, counted from the description's folder.")
    weights_sha256: str | None = Field(None, description="Of the weights that belong to it.")

    @model_validator(mode="after")
    def _check_classes(self) -> Self:
        if len(self.classes) != self.network.classes:
            raise ValueError(f"classes: {len(self.classes)} names, {self.network.classes} in network.classes")
        return self
