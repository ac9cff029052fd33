import io
import resource
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as T

from resnet_core.data.image_file import FORMATS, read_image

SIDE = 8


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def flat(mode: str, colour: Any) -> Image.Image:
    return Image.new(mode, (SIDE, SIDE), colour)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG file of any kind, also of those that Pillow does not write. Rows begin with their filter."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    chunks = [header, *extra, (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def deep_png(colour: int, *channels: int, extra: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    row = b"\0" + struct.pack(f">{len(channels)}H", *channels) * SIDE
    return png(SIDE, SIDE, 16, colour, row * SIDE, *extra)


def with_tag(tiff: bytes, tag: int, before: int, after: int) -> bytes:
    """A TIFF file with another value of a tag that is a single short number."""
    entry = struct.pack("<HHIH", tag, 3, 1, before)
    assert entry in tiff
    return tiff.replace(entry, struct.pack("<HHIH", tag, 3, 1, after))


def palette(colour: tuple[int, int, int]) -> Image.Image:
    image = flat("P", 1)
    image.putpalette([9, 9, 9, *colour])
    return image


def read(folder: Path, content: bytes, size: int = SIDE) -> torch.Tensor:
    file = folder / "file"
    file.write_bytes(content)
    return read_image(file, size)


def refusal(folder: Path, content: bytes, size: int = SIDE) -> str:
    """What is said of the file, in one line that begins with its name."""
    with pytest.raises(ValueError, match=": ") as raised:
        read(folder, content, size)
    before, reason = str(raised.value).split(": ", 1)
    assert before == str(folder / "file")
    assert reason.isprintable()
    return reason


def noise(mode: str) -> Image.Image:
    rng = np.random.default_rng(7)
    return Image.fromarray(rng.integers(0, 256, (33, 45) if mode == "L" else (33, 45, 3), dtype=np.uint8))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "PPM", "TIFF", "WEBP"])
def test_plain_images_have_the_pixels_they_always_had(tmp_path: Path, kind: str, mode: str) -> None:
    content = encoded(noise(mode), kind)
    whole = T.pil_to_tensor(Image.open(io.BytesIO(content)).convert("RGB"))
    resized = T.resize(whole, [24], interpolation=InterpolationMode.BILINEAR, antialias=True)
    assert torch.equal(read(tmp_path, content, 24), T.center_crop(resized, [24, 24]))


KINDS: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    "16-bit grey PNG": (deep_png(0, 0x81FF), (0x81, 0x81, 0x81)),
    "16-bit PNG": (deep_png(2, 0xFF00, 0x0123, 0x80FF), (0xFF, 0x01, 0x80)),
    "16-bit grey PNG with alpha": (deep_png(4, 0x2000, 0xFFFF), (0x20, 0x20, 0x20)),
    "16-bit PNG that is transparent": (deep_png(6, 0, 0, 0, 0), (255, 255, 255)),
    "16-bit TIFF": (encoded(flat("I;16", 0x81FF), "TIFF"), (0x81, 0x81, 0x81)),
    "16-bit TIFF, big-endian": (encoded(flat("I;16B", 0x81FF), "TIFF"), (0x81, 0x81, 0x81)),
    "16-bit PGM": (b"P5\n8 8\n65535\n" + b"\x81\xff" * 64, (0x81, 0x81, 0x81)),
    "12-bit PGM": (b"P5\n8 8\n4095\n" + b"\x0f\xff" * 64, (255, 255, 255)),
    "16-bit PPM": (b"P6\n8 8\n65535\n" + b"\xff\xff\0\0\x80\x80" * 64, (255, 0, 128)),
    "1-bit": (encoded(flat("1", 1), "PNG"), (255, 255, 255)),
    "1-bit PBM": (b"P4\n8 8\n" + b"\0" * 8, (255, 255, 255)),
    "alpha": (encoded(flat("RGBA", (200, 0, 0, 0)), "PNG"), (255, 255, 255)),
    "half alpha": (encoded(flat("RGBA", (0, 100, 255, 51)), "PNG"), (204, 224, 255)),
    "opaque alpha": (encoded(flat("RGBA", (1, 2, 3, 255)), "PNG"), (1, 2, 3)),
    "grey alpha": (encoded(flat("LA", (0, 51)), "PNG"), (204, 204, 204)),
    "grey alpha TIFF": (encoded(flat("LA", (0, 51)), "TIFF"), (204, 204, 204)),
    "alpha TIFF": (encoded(flat("RGBA", (200, 0, 0, 0)), "TIFF"), (255, 255, 255)),
    "alpha WebP": (encoded(flat("RGBA", (200, 0, 0, 0)), "WEBP", lossless=True, exact=True), (255, 255, 255)),
    "alpha AVIF": (encoded(flat("RGBA", (0, 0, 0, 0)), "AVIF", quality=100), (255, 255, 255)),
    "palette": (encoded(palette((10, 20, 30)), "PNG"), (10, 20, 30)),
    "palette, one entry transparent": (encoded(palette((10, 20, 30)), "PNG", transparency=1), (255, 255, 255)),
    "palette, entries with alpha": (encoded(palette((0, 0, 255)), "PNG", transparency=b"\xff\x33"), (204, 204, 255)),
    "palette GIF": (encoded(palette((10, 20, 30)), "GIF", transparency=0), (10, 20, 30)),
    "palette GIF, transparent": (encoded(palette((10, 20, 30)), "GIF", transparency=1), (255, 255, 255)),
    "transparent colour": (encoded(flat("RGB", (1, 2, 3)), "PNG", transparency=(1, 2, 3)), (255, 255, 255)),
    "another colour transparent": (encoded(flat("RGB", (1, 2, 3)), "PNG", transparency=(1, 2, 4)), (1, 2, 3)),
    "transparent grey": (encoded(flat("L", 7), "PNG", transparency=7), (255, 255, 255)),
    "transparent black of 1 bit": (encoded(flat("1", 0), "PNG", transparency=0), (255, 255, 255)),
    "CMYK": (encoded(flat("CMYK", (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
    "CMYK JPEG": (encoded(flat("CMYK", (0, 255, 255, 0)), "JPEG", quality=100, subsampling=0), (255, 0, 0)),
    "YCbCr": (encoded(flat("YCbCr", (128, 128, 128)), "TIFF"), (128, 128, 128)),
    "LAB": (encoded(flat("LAB", (255, 128, 128)), "TIFF"), (255, 255, 255)),
    **{
        f"{frames} {kind}": (
            encoded(flat("RGB", (255, 0, 0)), kind, save_all=True, append_images=[flat("RGB", (0, 0, 255))] * 2, **options),
            (255, 0, 0),
        )
        for frames, kind, options in [
            ("animated", "GIF", {}), ("animated", "PNG", {}), ("animated", "WEBP", {"lossless": True}),
            ("pages of", "TIFF", {}), ("pictures of", "MPO", {"quality": 100, "subsampling": 0}),
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize(("content", "colour"), KINDS.values(), ids=KINDS)
def test_pixels_of_every_kind_become_rgb(tmp_path: Path, content: bytes, colour: tuple[int, int, int]) -> None:
    pixels = read(tmp_path, content)
    assert (pixels.shape, pixels.dtype) == ((3, SIDE, SIDE), torch.uint8)
    difference = (pixels.int() - torch.tensor(colour)[:, None, None]).abs().max()
    assert difference <= (2 if content[:2] == b"\xff\xd8" or content == KINDS["LAB"][0] else 0)  # they round


ARROW = np.zeros((64, 64, 3), dtype=np.uint8)
ARROW[:32, :32], ARROW[:32, 32:], ARROW[32:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
UPRIGHT = {  # what each orientation of EXIF does to the picture as it is stored
    1: ARROW, 2: ARROW[:, ::-1], 3: ARROW[::-1, ::-1], 4: ARROW[::-1], 5: ARROW.transpose(1, 0, 2),
    6: np.rot90(ARROW, -1), 7: np.rot90(ARROW, 2).transpose(1, 0, 2), 8: np.rot90(ARROW, 1),
}  # fmt: skip


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_photo_is_upright_whatever_its_orientation(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    pixels = read(tmp_path, encoded(Image.fromarray(ARROW), kind, exif=exif, quality=100), 64)
    expected = torch.from_numpy(UPRIGHT[orientation].copy()).permute(2, 0, 1)
    difference = (pixels.int() - expected.int()).abs()
    for rows in (slice(8, 24), slice(40, 56)):  # away from the edges, which lossy formats blur
        for columns in (slice(8, 24), slice(40, 56)):
            assert difference[:, rows, columns].max() <= 8


def test_photo_with_damaged_exif_is_taken_as_it_is(tmp_path: Path) -> None:
    damaged = encoded(flat("RGB", (9, 9, 9)), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    assert torch.equal(read(tmp_path, damaged), read(tmp_path, encoded(flat("RGB", (9, 9, 9)), "JPEG")))


UNDEFINED = {
    "float TIFF": (encoded(flat("F", 0.5), "TIFF"), "pixels of the kind F have no white"),
    "float PFM": (encoded(flat("F", 0.5), "PPM"), "pixels of the kind F have no white"),
    "32-bit TIFF": (encoded(flat("I", 70000), "TIFF"), "pixels of the kind I have no white"),
    "16-bit TIFF with white as 0": (
        encoded(flat("I;16", 9), "TIFF", tiffinfo={262: 0}),
        "grey of 12 bits, or with white",
    ),
    "16-bit transparent grey": (deep_png(0, 9, extra=((b"tRNS", b"\0\x09"),)), "one colour as transparent"),
    "16-bit transparent colour": (deep_png(2, 9, 9, 9, extra=((b"tRNS", b"\0\x09" * 3),)), "one colour as transparent"),
    "2-bit transparent grey": (png(8, 1, 2, 0, b"\0\xff\xff", (b"tRNS", b"\0\x03")), "one colour as transparent"),
    "12-bit TIFF": (with_tag(encoded(flat("I;16", 9), "TIFF"), 258, 16, 12), "grey of 12 bits, or with white"),
    "multiplied alpha": (
        with_tag(encoded(flat("LA", (9, 9)), "TIFF"), 338, 2, 1),
        "pixels of the kind La have no white",
    ),
}


@pytest.mark.parametrize(("content", "reason"), UNDEFINED.values(), ids=UNDEFINED)
def test_pixels_without_a_known_white_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    assert refusal(tmp_path, content).startswith(reason)


def bomb(side: int) -> bytes:
    return png(side, side, 1, 0, b"\0" * (side // 8 + 1) * side)


@pytest.mark.parametrize("side", [8200, 12_000, 20_000])  # Pillow warns above 9,459 and refuses above 13,377
def test_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    content = bomb(side)
    assert len(content) < 60_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "pixels, at most 67,108,864 are read" in refusal(tmp_path, content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kilobytes


def test_long_strip_is_refused_before_it_is_enlarged(tmp_path: Path) -> None:
    strip = png(1_000_000, 1, 1, 0, bytes(125_001))
    assert refusal(tmp_path, strip, 32) == "1,000,000 x 1 pixels, too long for its breadth"


@pytest.mark.parametrize("kind", ["ICO", "JPEG2000", "PDF", "TGA", "DDS", "SGI", "PCX", "ICNS"])
def test_other_formats_are_no_images(tmp_path: Path, kind: str) -> None:
    content = encoded(Image.new("RGB", (32, 32)), kind)
    assert refusal(tmp_path, content) == "not an image (JPEG, PNG, PPM, BMP, TIFF, WEBP, GIF, AVIF)"


def test_eps_reaches_no_ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/reached\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert refusal(tmp_path, encoded(Image.new("RGB", (32, 32)), "EPS")).startswith("not an image (JPEG, ")
    assert not (tmp_path / "reached").exists()


@pytest.mark.parametrize("content", [b"", b"not a picture", b"P6\n6\xb9 4\n255\n", b"\xff\xd8\xff"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    assert refusal(tmp_path, content).startswith(("not an image", "cannot be decoded"))


@pytest.mark.parametrize("part", [0.3, 0.7])
@pytest.mark.parametrize("kind", FORMATS)
def test_file_that_is_cut_short_is_refused(tmp_path: Path, kind: str, part: float) -> None:
    content = encoded(noise("RGB"), kind)
    assert refusal(tmp_path, content[: int(len(content) * part)]).startswith(("not an image", "cannot be decoded: "))


def test_damaged_avif_is_refused(tmp_path: Path) -> None:
    content = encoded(noise("RGB"), "AVIF")
    pixels = content.index(b"mdat") + 4
    damaged = content[:pixels] + bytes(40) + content[pixels + 40 :]
    assert refusal(tmp_path, damaged).startswith("cannot be decoded: Failed to decode")


def test_file_that_has_vanished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.png: No such file or directory$"):
        read_image(tmp_path / "gone.png", SIDE)


def test_file_that_may_not_be_read_is_refused(closed: Path) -> None:
    with pytest.raises(ValueError, match=rf"^{closed}/file\.png: Permission denied$"):
        read_image(closed / "file.png", SIDE)


def test_name_with_a_line_break_stays_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\\nb\\udce9\\u202e\.png: No such file or directory$"):
        read_image(tmp_path / "a\nb\udce9\u202e.png", SIDE)


SAMPLES = [encoded(noise(mode), kind) for kind in FORMATS for mode in ("RGB", "L")]
SAMPLES += [content for content, _ in KINDS.values()]


@settings(max_examples=300, derandomize=True, deadline=None)
@given(data=st.data())
def test_damaged_file_is_refused_in_one_line_or_becomes_an_image(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path_factory.getbasetemp() / "damaged"
    file.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        pixels = read_image(file, SIDE)
    except ValueError as error:
        refused = str(error)
    else:
        assert (pixels.shape, pixels.dtype) == ((3, SIDE, SIDE), torch.uint8)
        return
    assert refused.startswith(f"{file}: ")
    assert refused.isprintable()
