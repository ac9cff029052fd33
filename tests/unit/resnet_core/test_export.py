import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from resnet_core.augment import normalize
from resnet_core.build import build_network
from resnet_core.config import DataConfig, ModelConfig, PruningConfig
from resnet_core.data import Images, channel_statistics, read_source
from resnet_core.export import export_onnx
from resnet_core.load import ModelDescription, TrainedModel

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "“nine”")
NETWORKS = {
    "pruned": (
        ModelConfig(depths=(2, 2, 2, 2)),
        PruningConfig(method="amounts", amounts=(0.1, 0.1, 0.2, 0.2, 0.2, 0.2, 0.3, 0.3)),
    ),
    "layer4 removed": (ModelConfig(depths=(2, 2, 2), strides=(1, 2, 4)), PruningConfig()),
    "narrow": (ModelConfig(depths=(1, 2), width=8, strides=(2, 2)), PruningConfig(method="target", target=5000)),
    "pooled": (ModelConfig(depths=(1, 1, 1), width=8, strides=(2, 2, 3), downsampling="maxpool"), PruningConfig()),
}


@pytest.fixture(scope="module")
def digits() -> Images:
    return read_source(DataConfig(source="digits")).test


def model(digits: Images, name: str, precision: str) -> TrainedModel:
    """A network whose batch norms have seen digits, so that its logits are of the size that training gives them."""
    config, pruning = NETWORKS[name]
    network = build_network(config, pruning, 10, seed=3)
    mean, std = channel_statistics(digits)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    with torch.no_grad():
        network(normalize(digits.images[:64], mean, std))
    network.eval()
    return TrainedModel(
        network,
        ModelDescription(
            network=network.config(),
            classes=CLASSES,
            image_size=32,
            mean=tuple(mean.tolist()),
            std=tuple(std.tolist()),
            precision=precision,
        ),
    )


@pytest.mark.parametrize(
    ("name", "precision"),
    [("pruned", "float32"), ("layer4 removed", "float32"), ("narrow", "bfloat16"), ("pooled", "float32")],
)
def test_exported_network_computes_the_same_logits(
    digits: Images,
    name: str,
    precision: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    trained = model(digits, name, precision)
    content = export_onnx(trained, {"study": "quick"})
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    weights = sum(tensor.numel() * 4 for tensor in trained.network.parameters())
    assert len(content) < 1.02 * weights + 20_000

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    random = torch.randint(0, 256, (7, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for images in (digits.images[:1], digits.images[100:107], random, random[:1]):
        expected = trained.logits(images).numpy()
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        assert logits.shape == (len(images), 10)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
        assert (logits.argmax(1) == expected.argmax(1)).all()


def test_exported_file_says_what_it_is_and_nothing_of_this_machine(digits: Images) -> None:
    trained = model(digits, "narrow", "float32")
    content = export_onnx(trained, {"study": "quick", "parameters": "4,999"})
    exported = onnx.load_from_string(content)
    onnx.checker.check_model(exported, full_check=True)
    properties = {entry.key: entry.value for entry in exported.metadata_props}
    assert json.loads(properties.pop("classes")) == list(CLASSES)
    assert properties == {"study": "quick", "parameters": "4,999"}
    (images,), (logits,) = exported.graph.input, exported.graph.output
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [dim.dim_param or dim.dim_value for dim in images.type.tensor_type.shape.dim] == ["batch", 3, 32, 32]
    assert [dim.dim_param or dim.dim_value for dim in logits.type.tensor_type.shape.dim] == ["batch", 10]
    for path in (str(Path(__file__).parents[3]), str(Path(torch.__file__).parent)):
        assert path.encode() not in content
    assert export_onnx(trained, {"study": "quick", "parameters": "4,999"}) == content
