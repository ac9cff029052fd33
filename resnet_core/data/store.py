"""Images as safetensors files."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from resnet_core.data.images import Images


def save(images: Images, path: Path) -> None:
    save_file({"images": images.images.contiguous(), "labels": images.labels}, path)


def load(path: Path) -> Images:
    """The images of a file that `save` wrote.

    Raises:
        ValueError: the file is cut short or of another kind.

    """
    try:
        tensors = load_file(path)
        return Images(tensors["images"], tensors["labels"])
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path}: not a file of images: {error}") from None
