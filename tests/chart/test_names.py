"""What the objects of a release are called: all after the release, and no two releases alike."""

import re

import pytest
import yaml

from tests.support.helm import Helm, Rendered

LONG = "team-vision-resnet-sweep-cifar10-paper-run-"


def names(rendered: Rendered) -> set[str]:
    return {document["metadata"]["name"] for document in rendered.documents}


def study(rendered: Rendered) -> str:
    return str(yaml.safe_load(rendered.experiment_file())["study"]["name"])


@pytest.mark.parametrize("release", ["run1", "a" * 39, "x-" * 19 + "y"])
def test_a_name_that_fits_is_kept_as_it_is(helm: Helm, release: str) -> None:
    rendered = helm.render(release=release)
    assert f"{release}-postgresql" in names(rendered)
    assert study(rendered) == release


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{LONG}1", f"{LONG}2"),
        ("a" * 39 + "b", "a" * 39 + "c"),
        ("a" * 39 + "b", "a" * 39),
        ("a" * 38 + "-b", "a" * 38 + "-c"),
        ("a" * 39 + ".b", "a" * 39 + "-b"),
    ],
)
def test_releases_that_begin_alike_share_nothing(helm: Helm, one: str, other: str) -> None:
    first, second = (helm.render(release=release, values={"dashboard": {"enabled": True}}) for release in (one, other))
    assert names(first) & names(second) == set()
    assert study(first) != study(second)
    for rendered, foreign in ((first, second), (second, first)):
        assert not re.search(rf"\b{study(foreign)}-(postgresql|bucket|dashboard|pipeline)\b", rendered.text)


def test_a_name_that_is_cut_ends_in_a_hash_of_the_whole(helm: Helm) -> None:
    rendered = helm.render(release=f"{LONG}1")
    assert re.fullmatch(r"team-vision-resnet-sweep-cifar-[0-9a-f]{8}", study(rendered))
    assert study(rendered) == study(helm.render(release=f"{LONG}1", values={"worker": {"count": 3}}))
    assert all(name.startswith(study(rendered)) for name in names(rendered))


def test_long_names_fit(helm: Helm) -> None:
    for release in ("a" * 39, "a" * 53, "a" * 39 + ".b-very-long"):
        rendered = helm.render(release=release)
        for document in rendered.documents:
            kind, name = document["kind"], document["metadata"]["name"]
            assert re.fullmatch(r"[a-z][-a-z0-9]*[a-z0-9]", name)  # as a Service's has to be
            # a Job's name is a label of its pods, after a hash by the pipeline and an index; a StatefulSet's with a hash
            hashed = "-pipeline-" in name
            longest = {"Job": 63 if hashed else 63 - len("-12345678"), "StatefulSet": 52}.get(kind, 63)
            assert len(name) <= longest, name
            assert all(len(value) <= 63 for value in document["metadata"]["labels"].values()), name
        for stage, index in (("sweep", 9999), ("final-train", 99)):
            assert len(rendered.stages[stage]["metadata"]["name"]) <= 63 - len(f"-12345678-{index}")
