import pytest

from jobs.runtime.errors import ConfigurationError
from jobs.runtime.identity import owner_identity
from jobs.runtime.settings import read_settings


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///x.db")
    monkeypatch.setenv("ARTIFACTS_URL", "runs")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASE_SECONDS", "90")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "7")
    settings = read_settings()
    assert (settings.lease_seconds, settings.job_completion_index) == (90, 7)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DATABASE_URL", "", "^DATABASE_URL: needed in the environment, but not set$"),
        ("LEASE_SECONDS", "20", "^LEASE_SECONDS=20: at least three times RENEWAL_SECONDS=15$"),
        ("DATABASE_TIMEOUT_SECONDS", "15", "^DATABASE_TIMEOUT_SECONDS=15: less than RENEWAL_SECONDS=15$"),
        ("DATABASE_URL", "mysql://host/name", "^DATABASE_URL: mysql:// is neither sqlite:// nor postgresql://$"),
        ("NOTIFY_URL", "hooks.example/secret", "^NOTIFY_URL: an address that begins with https:// or http:// expected"),
        ("LOG_FORMAT", "xml", "^LOG_FORMAT='xml': one of text, json expected$"),
        ("DEVICE", "gpu", "^DEVICE=gpu: auto, cpu, cuda or cuda:1 expected$"),
        ("THREADS", "0", "^THREADS='0': at least 1 expected$"),
    ],
)
def test_bad_variable_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=message):
        read_settings()


def test_identity_is_never_the_same_twice() -> None:
    assert owner_identity() != owner_identity()
