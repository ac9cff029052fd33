import pytest

from tests.support.helm import EVERYTHING, Helm, Rendered, find_helm, installed_helms


@pytest.fixture(scope="session", params=installed_helms())
def helm(request: pytest.FixtureRequest) -> Helm:
    return find_helm(request.param)


@pytest.fixture(scope="session")
def defaults(helm: Helm) -> Rendered:
    """The chart as it comes."""
    return helm.render()


@pytest.fixture(scope="session")
def everything(helm: Helm) -> Rendered:
    """Helm's upgrade, which has a check before it, with every feature on, and a database and a bucket of one's own."""
    return helm.render("--is-upgrade", f"--values={EVERYTHING}")


@pytest.fixture(scope="session")
def watched(helm: Helm) -> Rendered:
    """With a dashboard beside the throwaway PostgreSQL."""
    return helm.render("--set=dashboard.enabled=true")


@pytest.fixture(scope="session", params=["defaults", "everything", "watched"])
def rendered(request: pytest.FixtureRequest, defaults: Rendered, everything: Rendered, watched: Rendered) -> Rendered:
    return {"defaults": defaults, "everything": everything, "watched": watched}[request.param]
