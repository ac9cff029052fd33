"""Which files of a folder are images, and what is left out."""

import logging
import stat
from collections import Counter
from pathlib import Path

from resnet_core.data.image_file import SUFFIXES, shown

log = logging.getLogger(__name__)

# What systems and programs leave among people's files, besides names that begin with a dot.
SYSTEM_NAMES = frozenset({
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "lost+found",
    "@eadir",
})  # fmt: skip
EXAMPLES = 5  # names of each kind that are logged


class Listing:
    """Lists folders, also linked ones, and remembers what it leaves out.

    It lists every folder once, however it is reached: so a link to a folder above ends it, and no image can be in two
    classes, or be used in training and in the test.
    """

    def __init__(self) -> None:
        self._listed: dict[tuple[int, int], Path] = {}  # how each folder, by device and inode, was reached
        self._left_out: dict[str, Counter[str]] = {}

    def class_folders(self, folder: Path) -> list[Path]:
        """The folders in a folder, sorted; raises as `images` does."""
        folders, images = self._list(folder)
        for image in images:
            self._leave_out("images outside the folders of classes", image.name)
        return sorted(folders)

    def images(self, folder: Path) -> list[Path]:
        """The files in a folder and its subfolders that have the suffix of an image, sorted.

        Raises:
            ValueError: a folder cannot be read or is reached twice, or a link leads nowhere.

        """
        found, waiting = [], [folder]
        while waiting:
            folders, images = self._list(waiting.pop())
            waiting += sorted(folders, reverse=True)
            found += images
        return sorted(found)

    def log_left_out(self, folder: Path) -> None:
        """One line that names everything of `folder` that was left out, unless that is nothing."""
        if self._left_out:
            kinds = [
                f"{names.total()} {kind} ({', '.join([*sorted(names)[:EXAMPLES], *['…'][: len(names) > EXAMPLES]])})"
                for kind, names in self._left_out.items()
            ]
            log.info("%s: left out: %s", shown(folder), ", ".join(kinds))

    def _list(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """The folders and the images in one folder."""
        try:
            status, children = folder.stat(), list(folder.iterdir())
        except OSError as error:
            raise ValueError(f"{shown(folder)}: {error.strerror}") from None
        identity = (status.st_dev, status.st_ino)
        if identity in self._listed:
            raise ValueError(f"{shown(folder)}: the same folder as {shown(self._listed[identity])}; each is taken once")
        self._listed[identity] = folder
        folders, images = [], []
        for child in children:
            if child.name.startswith(".") or child.name.casefold() in SYSTEM_NAMES:
                self._leave_out("hidden or system names", child.name)
                continue
            mode = _mode(child)
            if stat.S_ISDIR(mode):
                folders.append(child)
            elif child.suffix.lower() not in SUFFIXES:
                self._leave_out("files whose names are not those of images", child.suffix or child.name)
            elif stat.S_ISREG(mode):
                images.append(child)
            else:
                raise ValueError(f"{shown(child)}: neither a file nor a folder")
        return folders, images

    def _leave_out(self, kind: str, name: str) -> None:
        self._left_out.setdefault(kind, Counter())[shown(Path(name))] += 1


def image_files(folder: Path) -> list[Path]:
    """The image files in a folder and its subfolders; what is left out is logged. Raises as `Listing.images` does."""
    listing = Listing()
    files = listing.images(folder)
    listing.log_left_out(folder)
    return files


def _mode(path: Path) -> int:
    """What kind of thing a path leads to."""
    try:
        return path.stat().st_mode
    except OSError as error:
        reason = "a link that leads nowhere" if path.is_symlink() else error.strerror
        raise ValueError(f"{shown(path)}: {reason}") from None
