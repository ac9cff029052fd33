"""What ends a command and is told in one line."""


class Failure(Exception):
    """Something outside the code is not as it must be; the message says what, a traceback would not help."""


class Refused(Failure):
    """A service will not have us, however long we wait: credentials, rights, a name that is not there."""


class Unreachable(Exception):
    """A service does not answer, or says that it cannot now: it may work in a while."""


class ConfigurationError(ValueError):
    """What the user gave cannot be run; the message is for them, one line a fault."""
