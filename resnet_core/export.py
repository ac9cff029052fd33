"""A network as an ONNX file that can be used by itself: it takes images as bytes and normalises them."""

import json

import torch
from torch import Tensor, nn

from resnet_core.augment import normalize
from resnet_core.load import TrainedModel
from resnet_core.model import ResNet

OPSET = 20  # onnxruntime supports it from version 1.18 on


class _FromBytes(nn.Module):
    def __init__(self, network: ResNet, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(normalize(images, self.get_buffer("mean"), self.get_buffer("std")))
        return logits


def export_onnx(model: TrainedModel, properties: dict[str, str]) -> bytes:
    """The content of the file. It maps `images (N, 3, size, size) uint8` to `logits (N, classes) float32`, for any N.

    Its metadata are `properties` and the names of the classes as a JSON list. The model has to be on the CPU.
    """
    import onnx  # noqa: PLC0415 - takes seconds to import, and only this function needs it

    described = model.description
    module = _FromBytes(model.network, torch.tensor(described.mean), torch.tensor(described.std)).eval()
    size = described.image_size
    program = torch.onnx.export(
        module,
        (torch.zeros(2, 3, size, size, dtype=torch.uint8),),
        dynamo=True,
        verbose=False,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        opset_version=OPSET,
    )
    assert program is not None
    exported = program.model_proto
    graph = exported.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")  # where the exporter leaves stack traces with the paths of this machine
    classes = json.dumps(described.classes, ensure_ascii=False, allow_nan=False)
    onnx.helper.set_model_props(exported, {"classes": classes, **properties})
    content: bytes = exported.SerializeToString(deterministic=True)
    return content
