"""Errors that end a command with one line for the user."""

from resnet_core.shown_text import visible


class Failure(Exception):
    """Something outside the program is wrong. The message says what it is; a traceback would not help."""


class Refused(Failure):
    """A service refuses us, and waiting does not help: wrong credentials, no rights, a name that does not exist."""


class Unreachable(Exception):
    """A service does not answer, or answers that it cannot serve us now. It may work again in a while.

    Args:
        message: what is wrong.
        doubtful: whether it is as likely that a mistake in the configuration is to blame, such as a misspelt host, as
            long as the service has not answered once.

    """

    def __init__(self, message: str, *, doubtful: bool = False) -> None:
        super().__init__(message)
        self.doubtful = doubtful


class ConfigurationError(ValueError):
    """What the user has configured cannot be run. The message is for the user."""

    def __init__(self, *faults: str) -> None:
        """Each fault is a line, whatever stands in the paths and values that it quotes."""
        super().__init__("\n".join(map(visible, faults)))
