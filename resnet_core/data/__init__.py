"""Images: reading, dividing and storing them."""

from resnet_core.data.images import Images, RawDataset, channel_statistics
from resnet_core.data.sources import read_source
from resnet_core.data.split import limit_images, split
from resnet_core.data.store import load, save

__all__ = [
    "Images",
    "RawDataset",
    "channel_statistics",
    "limit_images",
    "load",
    "read_source",
    "save",
    "split",
]
