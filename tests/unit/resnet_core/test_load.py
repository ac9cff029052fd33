import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from resnet_core.build import build_network
from resnet_core.config import ModelConfig, PruningConfig
from resnet_core.load import load_model, load_network

PRUNING = PruningConfig(method="amounts", amounts=(0.3, 0.2))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    network = build_network(ModelConfig(depths=(1, 1), width=8, strides=(1, 2)), PRUNING, 3, seed=0)
    description = {
        "network": network.config().model_dump(mode="json"),
        "parameters": 1,
        "classes": ["a", "b", "c"],
        "imageSize": 16,
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.2],
        "precision": "bfloat16",
    }
    (tmp_path / "model.json").write_text(json.dumps(description))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    return tmp_path / "model.json", tmp_path / "model.safetensors"


def test_pruned_network_is_loaded_with_its_weights(files: tuple[Path, Path]) -> None:
    network = build_network(ModelConfig(depths=(1, 1), width=8, strides=(1, 2)), PRUNING, 3, seed=0).eval()
    loaded = load_model(*files)
    assert not loaded.network.training
    images = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ([0.5, 0.4, 0.3], [0.2, 0.2, 0.2]))
    torch.testing.assert_close(loaded.logits(images), network((images / 255 - mean) / std), rtol=1e-4, atol=1e-4)


def test_loaded_network_can_be_trained_further(files: tuple[Path, Path]) -> None:
    network = load_model(*files).network.train()
    network(torch.randn(4, 3, 16, 16)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree.pop("mean"), "mean: needed, but not given$"),
        (lambda tree: tree.update(std=[0.2, 0.2, 0]), r"std\.2=0: above 0 expected$"),
        (lambda tree: tree.update(imageSize=40_000), "imageSize=40000: at most 512 expected$"),
        (lambda tree: tree.update(imageSize=True), "imageSize=true: a number expected$"),
        (lambda tree: tree.update(mean=["0.5", 0.4, 0.3]), "mean.0='0.5': a number expected$"),
        (lambda tree: tree["network"].update(stem=2**64), "network.stem=18446744073709551616: at most"),
        (
            lambda tree: tree["network"].update(classes="x" * 1000),
            "network.classes='x{199}…: a number expected$",
        ),
        (lambda tree: tree.update(classes=["a"]), "classes: 1 names, 3 in network.classes"),
        (
            lambda tree: tree["network"].update(width=3),
            r"network\.width=3: unknown key; allowed: stem, stages, classes$",
        ),
    ],
)
def test_description_that_does_not_hold_together_is_refused_by_key(
    files: tuple[Path, Path], change: Callable[[dict[str, Any]], None], message: str
) -> None:
    tree = json.loads(files[0].read_text())
    change(tree)
    files[0].write_text(json.dumps(tree))
    with pytest.raises(ValueError, match=f"^not the description of a model: {message}"):
        load_model(*files)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"imageSize": 16, "imageSize": 32}', "imageSize: given twice"),
        (b'{"mean": [NaN]}', "not JSON: 'NaN' is not a finite number"),
        (b'{"mean": [1e999]}', "not JSON: '1e999' is not a finite number"),
        (b"[" * 100_000, "not JSON: too many levels"),
        (b'{"classes": ["\xf6"]}', "not JSON: not UTF-8"),
        (b" " * (2**24 + 1), "longer than 16,777,216 bytes"),
        (b"", "not JSON: Expecting value: line 1 column 1"),
        (b"[]", "all=\\[\\]: keys with values expected: network, classes"),
    ],
    ids=["twice", "nan", "infinite", "deep", "latin-1", "long", "empty", "list"],
)
def test_text_that_is_no_description_is_refused_in_one_line(
    files: tuple[Path, Path], content: bytes, message: str
) -> None:
    files[0].write_bytes(content)
    with pytest.raises(ValueError, match=f"^not the description of a model: {message}") as raised:
        load_model(*files)
    assert len(str(raised.value)) < 300


def test_weights_of_another_network_are_refused_by_tensor(files: tuple[Path, Path]) -> None:
    wider = build_network(ModelConfig(depths=(1, 1), width=16, strides=(1, 2)), PRUNING, 3, seed=0).config()
    with pytest.raises(ValueError, match=r"not the weights of the network: classifier.weight is float32 \[3, \d+\]"):
        load_network(wider, files[1])


def test_weights_of_another_type_are_refused(files: tuple[Path, Path]) -> None:
    network = load_model(*files).network
    save_file({name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}, files[1])
    with pytest.raises(ValueError, match=r"is float16 \[3\], expected float32 \[3\]"):
        load_network(network.config(), files[1])


def test_network_of_absurd_widths_takes_no_memory(files: tuple[Path, Path]) -> None:
    config = load_model(*files).network.config().model_copy(update={"stem": 2**32})
    with pytest.raises(ValueError, match="not the weights of the network"):
        load_network(config, files[1])


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04pickle", b"\x08\0\0\0\0\0\0\0{}      "], ids=["empty", "pickle", "none"]
)
def test_file_that_holds_no_weights_is_refused(files: tuple[Path, Path], content: bytes) -> None:
    network = load_model(*files).network
    files[1].write_bytes(content)
    with pytest.raises(ValueError, match=r"^not (a file of|the) weights"):
        load_network(network.config(), files[1])
