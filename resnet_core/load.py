"""Loads a trained network from its two files: `model.json`, which describes network and input, and its weights."""

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from resnet_core.description import ModelDescription, NetworkConfig
from resnet_core.model import ResNet
from resnet_core.predict import predict
from resnet_core.validation import explain, parse_json, read_limited

LONGEST_DESCRIPTION = 2**24  # bytes; the names of some thousand classes take a hundredth of this


@dataclass(frozen=True)
class TrainedModel:
    network: ResNet
    description: ModelDescription

    def logits(self, images: Tensor) -> Tensor:
        """Logits `(N, classes) float32` of images `(N, 3, H, W) uint8`, computed in float32 on the network's device."""
        device = self.network.stem.weight.device
        mean, std = (torch.tensor(values, device=device) for values in (self.description.mean, self.description.std))
        return predict(self.network, images.to(device), mean, std, torch.float32)


def load_model(description: Path, weights: Path, device: torch.device | None = None) -> TrainedModel:
    """The model of a `model.json` and its weights, on the CPU unless a device is named.

    Raises:
        ValueError: a file is damaged or of another kind, or the two do not belong together.

    """
    read = read_description(description)
    network = load_network(read.network, weights)
    return TrainedModel(network.to(device or "cpu").to(memory_format=torch.channels_last), read)


def read_description(file: Path) -> ModelDescription:
    """Raises ValueError if the file does not describe a model."""
    try:
        return ModelDescription.model_validate(parse_json(read_limited(file, LONGEST_DESCRIPTION)))
    except ValidationError as error:
        raise ValueError(f"not the description of a model: {explain(error, ModelDescription)[0]}") from None
    except ValueError as error:
        raise ValueError(f"not the description of a model: {error}") from None


def load_network(config: NetworkConfig, weights: Path) -> ResNet:
    """The network in evaluation mode on the CPU, with the weights of a safetensors file.

    Raises:
        ValueError: the file is damaged or of another kind, or its tensors are not those of such a network.

    """
    try:
        tensors = load_file(weights)
    except SafetensorError as error:
        raise ValueError(f"not a file of weights: {error}") from None
    with torch.device("meta"):  # takes no memory, whatever widths the file asks for: they are compared first
        network = ResNet(config)
    expected = {name: _kind(tensor) for name, tensor in network.state_dict().items()}
    found = {name: _kind(tensor) for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            there, needed = found.get(name, "not there"), expected.get(name, "no such tensor")
            raise ValueError(f"not the weights of the network: {name} is {there}, expected {needed}")
    network.load_state_dict(tensors, assign=True)
    return network.eval()


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
