import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from jobs.queue.connections import connect
from tests.support.slot_model import SlotMachine


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_slots_are_what_a_model_of_them_says(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database: str) -> None:  # fmt: skip
    if database == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('model')}/study.db"
    else:
        url = request.getfixturevalue("place").url()
    engine = connect(url)
    run_state_machine_as_test(
        lambda: SlotMachine(engine),
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
    engine.dispose()
