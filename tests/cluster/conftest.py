import secrets
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.cluster.kubernetes_cluster import Cluster, Namespace
from tests.cluster.release import Release
from tests.cluster.sharing import locked, shared_cluster
from tests.support.patience import PATIENCE_SECONDS

FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with shared_cluster(common_folder(tmp_path_factory), tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of this process and the others that pytest-xdist runs beside it."""
    return tmp_path_factory.getbasetemp().parent


@pytest.fixture
def _turn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests run side by side on the one node, and those marked `alone` when no other does."""
    alone = request.node.get_closest_marker("alone") is not None
    with locked(common_folder(tmp_path_factory) / "node", shared=not alone):
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that are alone come first: they mostly wait, while the cores are busy with the tests of other folders."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is None)


@pytest.fixture
def namespace(cluster: Cluster, _turn: None, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Namespace]:
    """A namespace that admits only what the restricted standard allows; of a failed test its logs are kept."""
    namespace = Namespace(cluster, f"test-{secrets.token_hex(4)}")
    labels = {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
    }
    cluster.kubectl("create", "namespace", namespace.name)
    cluster.kubectl("label", "namespace", namespace.name, *(f"{key}={value}" for key, value in labels.items()))
    try:
        yield namespace
        if request.node.stash.get(FAILED, False):
            folder = tmp_path / "namespace"
            namespace.dump(folder)
            print(f"what the test left in its namespace: {folder}")
    finally:
        # Jobs first: pods of an Indexed Job that have failed keep their finalizer until another is made in their place,
        # which a namespace that is ending does not allow.
        namespace.kubectl("delete", "jobs", "--all", "--cascade=foreground", f"--timeout={PATIENCE_SECONDS:.0f}s")
        cluster.kubectl("delete", "namespace", namespace.name, "--wait=false")


@pytest.fixture
def release(namespace: Namespace) -> Release:
    """Not installed yet."""
    return Release(namespace)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report
