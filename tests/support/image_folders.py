"""Folders of images as people have them: drawn by hypothesis, with what has to become of them."""

import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from hypothesis import strategies as st
from PIL import Image

SHADE = 40  # between the greys of two classes, so that an image tells its class

Make = Callable[[Path, int], None]  # puts something at a path; the number is the shade of an image in it


@cache
def picture(ending: str, shade: int) -> bytes:
    """An image file of one grey, in pixels of many kinds."""
    stream = io.BytesIO()
    match ending:
        case "jpg":
            Image.new("RGB", (31, 17), (shade,) * 3).save(stream, "JPEG")
        case "png":
            Image.new("I;16", (9, 40), shade * 257).save(stream, "PNG")
        case "tif":
            Image.new("CMYK", (20, 20), (255 - shade,) * 3 + (0,)).save(stream, "TIFF")
        case "webp":
            Image.new("RGBA", (16, 16), (0, 0, 0, 255 - shade)).save(stream, "WEBP", lossless=True)
        case "gif":
            frames = [Image.new("L", (12, 12), shade), Image.new("L", (12, 12), 255 - shade)]
            frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
        case "PPM":
            Image.new("RGB", (1, 300), (shade,) * 3).save(stream, "PPM")
    return stream.getvalue()


def write(content: Callable[[int], bytes], path: Path, shade: int) -> None:
    path.write_bytes(content(shade))


def folder_of(names: tuple[str, ...], path: Path, shade: int) -> None:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(picture("jpg", shade))


def linked(make: Make, path: Path, shade: int) -> None:
    """A link to something beside the parts of the data set, which nothing else leads to."""
    target = Path(tempfile.mkdtemp(dir=path.parents[2])) / "target"
    make(target, shade)
    path.symlink_to(target)


def link(target: str, path: Path, _: int) -> None:
    path.symlink_to(target)


def pipe(path: Path, _: int) -> None:
    os.mkfifo(path)


def floats(_: int) -> bytes:
    stream = io.BytesIO()
    Image.new("F", (4, 4), 0.5).save(stream, "TIFF")
    return stream.getvalue()


two = partial(folder_of, ("a.jpg", "deep/b.JPEG"))
IMAGES: dict[str, tuple[Make, int]] = {  # by ending: what it is, and how many images are in it
    **{f".{ending}": (partial(write, partial(picture, ending)), 1) for ending in ("jpg", "png", "tif", "webp", "gif", "PPM")},
    ".bmp": (partial(write, partial(picture, "jpg")), 1),  # the ending may be wrong
    "": (two, 2),
    "-folder.jpg": (two, 2),
    "-linked.png": (partial(linked, partial(write, partial(picture, "png"))), 1),
    "-linked": (partial(linked, two), 2),
    ".txt": (partial(write, lambda _: b"no image"), 0),
    "-empty": (partial(folder_of, ()), 0),
}  # fmt: skip
REFUSED: dict[str, Make] = {
    "-text.jpg": partial(write, lambda _: b"no image"),
    "-nothing.png": partial(write, lambda _: b""),
    "-cut.jpg": partial(write, lambda shade: picture("jpg", shade)[:-200]),
    "-float.tif": partial(write, floats),
    "-bomb.ppm": partial(write, lambda _: b"P6 99999 99999 255\n"),
    "-gone": partial(link, "nowhere"),
    "-loop": partial(link, "."),
    "-pipe.gif": pipe,
}
LEFT_OUT: dict[str, tuple[Make, int]] = {  # by their whole names
    ".ipynb_checkpoints": (two, 0),
    "__MACOSX": (two, 0),
    "._a.jpg": (partial(write, lambda _: b"of a Macintosh"), 0),
    "Thumbs.db": (partial(write, lambda _: b"of Windows"), 0),
}
STEMS = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), max_size=8),
    st.binary(max_size=8).map(lambda name: os.fsdecode(name.replace(b"/", b"").replace(b"\0", b""))),
)
CLASSES = ("10", "9", "Cats", "cats", "dogs.jpg", "ein Käfer", "猫")


Entry = tuple[str, Make, int | None]  # its name, how it is made, and how many images are in it; None: it is refused


@dataclass(frozen=True)
class Folder:
    """The entries of every class for training and for the test."""

    classes: tuple[str, ...]
    entries: dict[tuple[str, str], list[Entry]]

    def make(self, root: Path) -> None:
        for (part, name), entries in self.entries.items():
            (root / part / name).mkdir(parents=True)
            for entry, make, _ in entries:
                make(root / part / name / entry, self.shade(self.classes.index(name)))

    def shade(self, label: int) -> int:
        return SHADE * label

    def labels(self, part: str) -> list[int]:
        """The labels that the images of a part have to get, if there is nothing to refuse."""
        counts = [sum(images or 0 for *_, images in self.entries[part, name]) for name in self.classes]
        return [label for label, count in enumerate(counts) for _ in range(count)]

    def refused(self, root: Path) -> list[Path]:
        """What may be named as the reason for a refusal."""
        reasons = []
        for (part, name), entries in self.entries.items():
            reasons += [root / part / name / entry for entry, _, images in entries if images is None]
            if not any(images for *_, images in entries):
                reasons.append(root / part / name)
        return reasons


@st.composite
def folders(draw: st.DrawFn, images: int) -> Folder:
    """Folders in which most classes have at least so many images, and about half of which have something to refuse."""
    classes = tuple(sorted(draw(st.sets(st.sampled_from(CLASSES), min_size=2, max_size=3))))
    refused = {ending: (make, None) for ending, make in REFUSED.items()}
    kinds = IMAGES | LEFT_OUT | (refused if draw(st.booleans()) else {})
    entries = {}
    for part in ("train", "test"):
        for name in classes:
            enough = draw(st.sampled_from([images] * 20 + [0]))
            drawn = [".png"] * enough + draw(st.lists(st.sampled_from(list(kinds)), max_size=4))
            entries[part, name] = [
                (ending if ending in LEFT_OUT else f"{number}{draw(STEMS)}{ending}", *kinds[ending])
                for number, ending in enumerate(drawn)
            ]
    return Folder(classes, entries)
