import pytest

from .helm import EVERYTHING, Helm, Rendered, find_helm, installed_helms


@pytest.fixture(scope="session", params=installed_helms())
def helm(request: pytest.FixtureRequest) -> Helm:
    return find_helm(request.param)


@pytest.fixture(scope="session")
def defaults(helm: Helm) -> Rendered:
    """The chart as it comes."""
    return helm.render()


@pytest.fixture(scope="session")
def everything(helm: Helm) -> Rendered:
    """Every feature on; with a database and a bucket of one's own."""
    return helm.render(f"--values={EVERYTHING}")


@pytest.fixture(scope="session", params=["defaults", "everything"])
def rendered(request: pytest.FixtureRequest, helm: Helm) -> Rendered:
    return helm.render(f"--values={EVERYTHING}") if request.param == "everything" else helm.render()
