"""The network without what makes it faster on a CPU, to compare with."""

from resnet_core.model import ResNet


def plain_network(network: ResNet) -> ResNet:
    """A copy that consists of torch's own layers, without dropout."""
    plain = ResNet(network.config()).to(network.classifier.weight.device)
    plain.load_state_dict(network.state_dict())
    return plain
