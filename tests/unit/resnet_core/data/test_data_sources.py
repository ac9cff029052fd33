import hashlib
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from resnet_core.config import DataConfig
from resnet_core.data import Images, cifar, load, read_source, save
from resnet_core.data.cifar_python import read_batch, read_class_names

ROW = 1 + 3072
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(scope="module")
def binary_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10's binary layout: label k is row k modulo 10, red is the label, green 100, blue the row's number."""
    root = tmp_path_factory.mktemp("binary")
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    rows = np.zeros((10_000, ROW), dtype=np.uint8)
    rows[:, 0] = rows[:, 1] = np.arange(10_000) % 10
    rows[:, 1 + 1024] = 100
    rows[:, 1 + 2048] = np.arange(10_000) % 256
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        rows.tofile(folder / name)
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n")
    return root


def copy_of(folder: Path, target: Path) -> Path:
    inner = target / "cifar-10-batches-bin"
    inner.mkdir()
    for file in (folder / "cifar-10-batches-bin").iterdir():
        (inner / file.name).hardlink_to(file)
    return inner


def test_digits_are_enlarged_to_rgb_and_always_divided_alike() -> None:
    first, second = (read_source(DataConfig(source="digits")) for _ in range(2))
    assert first.title == "scikit-learn digits"
    assert first.train.images.shape[1:] == (3, 32, 32)
    assert first.train.images.dtype == torch.uint8
    assert first.train.images.max() == 255
    assert len(first.train) + len(first.test) == 1797
    assert torch.equal(first.test.images, second.test.images)
    assert torch.equal(first.train.images[:, 0], first.train.images[:, 2])
    total = torch.cat((first.train.labels, first.test.labels)).bincount()
    assert first.test.labels.bincount().tolist() == (total * 0.2).round().int().tolist()


@pytest.mark.parametrize("inner", [False, True])
def test_cifar_binary_layout_is_read_in_channel_planes(binary_folder: Path, inner: bool) -> None:
    path = binary_folder / "cifar-10-batches-bin" if inner else binary_folder
    dataset = read_source(DataConfig(source="cifar10", path=str(path)))
    assert (len(dataset.train), len(dataset.test)) == (50_000, 10_000)
    assert dataset.classes == tuple("abcdefghij")
    assert dataset.train.images[13, :, 0, 0].tolist() == [3, 100, 13]
    assert dataset.train.labels[:12].tolist() == [*range(10), 0, 1]
    assert "not verified" in dataset.title


def test_title_of_the_configuration_replaces_the_own(binary_folder: Path) -> None:
    config = DataConfig(source="cifar10", path=str(binary_folder), title="CIFAR-10 (JPEG q75)")
    assert read_source(config).title == "CIFAR-10 (JPEG q75)"


def test_cifar100_takes_the_fine_label(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    for name, count in (("train.bin", 50_000), ("test.bin", 10_000)):
        rows = np.zeros((count, 2 + 3072), dtype=np.uint8)
        rows[:, 0], rows[:, 1], rows[:, 2] = 19, np.arange(count) % 100, 7
        rows.tofile(folder / name)
    (folder / "fine_label_names.txt").write_text("\n".join(f"class{i}" for i in range(100)))
    dataset = read_source(DataConfig(source="cifar100", path=str(tmp_path)))
    assert dataset.test.labels[:3].tolist() == [0, 1, 2]
    assert dataset.test.images[0, 0, 0, 0] == 7
    assert len(dataset.classes) == 100


def test_missing_folder_is_refused_by_key_and_value(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.path=.*nowhere: no cifar-10-batches-bin or cifar-10-batches-py"):
        read_source(DataConfig(source="cifar10", path=str(tmp_path / "nowhere")))


@pytest.mark.parametrize("source", ["imagefolder", "cifar10"])
def test_home_of_nobody_is_refused_by_key_and_value(source: str) -> None:
    with pytest.raises(ValueError, match=r"^data\.path=~nouser-/images: ~nouser- is no home directory here$"):
        read_source(DataConfig.model_validate({"source": source, "path": "~nouser-/images"}))


def test_truncated_file_is_refused_with_both_sizes(binary_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(binary_folder, tmp_path)
    whole = (folder / "data_batch_3.bin").read_bytes()
    (folder / "data_batch_3.bin").unlink()
    (folder / "data_batch_3.bin").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"data_batch_3\.bin: 30,729,900 bytes, 30,730,000 expected"):
        read_source(DataConfig(source="cifar10", path=str(tmp_path)))


def test_missing_file_is_refused_by_name(binary_folder: Path, tmp_path: Path) -> None:
    (copy_of(binary_folder, tmp_path) / "test_batch.bin").unlink()
    with pytest.raises(ValueError, match=r"test_batch\.bin is missing"):
        read_source(DataConfig(source="cifar10", path=str(tmp_path)))


def test_names_of_classes_that_are_no_text_are_refused(binary_folder: Path, tmp_path: Path) -> None:
    names = copy_of(binary_folder, tmp_path) / "batches.meta.txt"
    names.unlink()
    names.write_bytes(b"caf\xe9\n" * 10)
    with pytest.raises(ValueError, match=r"data\.path=.*batches\.meta\.txt: not a text in UTF-8$"):
        read_source(DataConfig(source="cifar10", path=str(tmp_path)))


def test_label_out_of_range_is_refused(binary_folder: Path, tmp_path: Path) -> None:
    file = copy_of(binary_folder, tmp_path) / "test_batch.bin"
    damaged = bytearray(file.read_bytes())
    damaged[ROW * 5] = 11
    file.unlink()
    file.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"a label of 11, at most 9 expected"):
        read_source(DataConfig(source="cifar10", path=str(tmp_path)))


class _Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture
def python_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10's Python layout with two images a file, whose checksums stand for the official ones."""
    root, official = tmp_path / "python", datasets.CIFAR10
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)

    def write(name: str, content: dict[str, Any]) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    def write_batch(name: str, number: int) -> list[str]:
        pixels = np.repeat(np.array([[number, 100, 200], [number, 101, 201]], dtype=np.uint8), 1024, axis=1)
        return [name, write(name, {"data": pixels, "labels": [number, 9]})]

    monkeypatch.setattr(official, "train_list", [write_batch(f"data_batch_{i}", i) for i in range(1, 6)])
    monkeypatch.setattr(official, "test_list", [write_batch("test_batch", 0)])
    monkeypatch.setitem(official.meta, "md5", write("batches.meta", {"label_names": list("abcdefghij")}))
    return root


@pytest.mark.parametrize("inner", [False, True])
def test_cifar_python_layout_is_read_where_the_checksums_match(python_folder: Path, inner: bool) -> None:
    path = python_folder / "cifar-10-batches-py" if inner else python_folder
    dataset = read_source(DataConfig(source="cifar10", path=str(path)))
    assert dataset.title == "CIFAR-10"
    assert dataset.classes == tuple("abcdefghij")
    assert dataset.train.labels.tolist() == [1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
    assert dataset.train.images.shape == (10, 3, 32, 32)
    assert dataset.train.images[3, :, 31, 31].tolist() == [2, 101, 201]
    assert dataset.test.images[0, :, 0, 0].tolist() == [0, 100, 200]


def test_official_file_is_read_as_python_2_has_written_it(tmp_path: Path) -> None:
    """Its bytes are those that its checksum is of, so that its form, and that of the others, is known."""
    content, numbers = b"\x80\x02}q\x01(", itertools.count(2)

    def text(word: str) -> bytes:
        return b"U%c%bq%c" % (len(word), word.encode(), next(numbers))

    content += text("num_cases_per_batch") + b"M\x10\x27" + text("label_names") + b"]q%c(" % next(numbers)
    content += b"".join(text(name) for name in CIFAR10_CLASSES) + b"e" + text("num_vis") + b"M\x00\x0cu."
    assert hashlib.md5(content).hexdigest() == datasets.CIFAR10.meta["md5"]
    (tmp_path / "batches.meta").write_bytes(content)
    assert read_class_names(tmp_path / "batches.meta") == CIFAR10_CLASSES


def test_pixels_of_python_2_are_read_as_bytes(tmp_path: Path) -> None:
    pixels, state = bytes(range(256)) * 12, b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R\x89"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R" + state
    array += b"T" + len(pixels).to_bytes(4, "little") + pixels + b"tb"
    content = b"\x80\x02}(U\x06labels](K\x07eU\x04data" + array + b"U\x09filenames](U\x05a.pngeu."
    assert np.array_equal(pickle.loads(content, encoding="latin1")["data"][0], np.frombuffer(pixels, np.uint8))
    (tmp_path / "batch").write_bytes(content)
    images, labels = read_batch(tmp_path / "batch")
    assert images.tobytes() == pixels
    assert labels.tolist() == [7]


def test_python_folder_is_found_from_inside(python_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(python_folder / "cifar-10-batches-py")
    assert read_source(DataConfig(source="cifar10", path=".")).title == "CIFAR-10"


def test_binary_layout_is_preferred_and_never_replaced_where_a_file_is_missing(
    binary_folder: Path, python_folder: Path
) -> None:
    folder = copy_of(binary_folder, python_folder)
    config = DataConfig(source="cifar10", path=str(python_folder))
    assert read_source(config).title == "CIFAR-10 (binary folder, not verified)"
    (folder / "data_batch_1.bin").unlink()
    with pytest.raises(ValueError, match=r"data\.path=.*: data_batch_1\.bin is missing"):
        read_source(config)


@pytest.mark.parametrize("name", ["data_batch_5", "test_batch", "batches.meta"])
def test_single_pickle_with_another_checksum_is_never_loaded(python_folder: Path, name: str) -> None:
    sprung = python_folder / "sprung"
    (python_folder / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(_Trap(sprung)))
    with pytest.raises(ValueError, match=r"data\.path=.*its checksum is not the official one"):
        read_source(DataConfig(source="cifar10", path=str(python_folder)))
    assert not sprung.exists()


def test_pickle_with_the_official_checksum_runs_nothing(python_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, sprung = python_folder / "cifar-10-batches-py/batches.meta", python_folder / "sprung"
    content = {"label_names": list("abcdefghij"), "filenames": [_Trap(sprung)]}
    file.write_bytes(pickle.dumps(content))
    monkeypatch.setitem(datasets.CIFAR10.meta, "md5", hashlib.md5(file.read_bytes()).hexdigest())
    assert read_source(DataConfig(source="cifar10", path=str(python_folder))).classes == tuple("abcdefghij")
    assert not sprung.exists()


def test_pickle_with_another_checksum_is_never_loaded(tmp_path: Path) -> None:
    folder, sprung = tmp_path / "cifar-10-batches-py", tmp_path / "sprung"
    folder.mkdir()
    for name in ("batches.meta", "test_batch", *(f"data_batch_{i}" for i in range(1, 6))):
        (folder / name).write_bytes(pickle.dumps(_Trap(sprung)))
    with pytest.raises(ValueError, match=r"data\.path=.*its checksum is not the official one"):
        read_source(DataConfig(source="cifar10", path=str(tmp_path)))
    assert not sprung.exists()


def test_download_that_fails_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar.LAYOUTS["cifar10"].torchvision, "url", "http://127.0.0.1:9/cifar.tar.gz")
    with pytest.raises(ValueError, match=r"data\.path=null: CIFAR-10 could not be downloaded .* set it to a folder"):
        read_source(DataConfig(source="cifar10"), cache=tmp_path)


def test_stored_images_come_back_equal_and_damage_is_noticed(tmp_path: Path) -> None:
    images = read_source(DataConfig(source="digits")).test
    save(images, tmp_path / "images.safetensors")
    again: Images = load(tmp_path / "images.safetensors")
    assert torch.equal(images.images, again.images)
    assert torch.equal(images.labels, again.labels)
    whole = (tmp_path / "images.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"cut\.safetensors: not a file of images"):
        load(tmp_path / "cut.safetensors")


def test_real_images_have_ten_equal_classes(cifar10_folder: Path) -> None:
    dataset = read_source(DataConfig(source="cifar10", path=str(cifar10_folder)))
    assert dataset.classes[:3] == ("airplane", "automobile", "bird")
    assert dataset.train.labels.bincount().tolist() == [5000] * 10
    assert dataset.test.labels.bincount().tolist() == [1000] * 10
