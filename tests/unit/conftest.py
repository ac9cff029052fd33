from collections.abc import Iterator

import optuna
import pytest


@pytest.fixture
def quiet_optuna() -> Iterator[None]:
    """It prints a line for each study."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)
