"""Python runs this as it starts if this folder is on PYTHONPATH. In such a process nothing can be unpickled."""

import _pickle
import pickle


class UnpicklingForbidden(BaseException):
    """Not an Exception, so that none of those who catch these hides it."""


def forbidden(*_arguments: object, **_named: object) -> None:
    raise UnpicklingForbidden


for module in (pickle, _pickle):
    for name in ("load", "loads", "_load", "_loads"):
        if hasattr(module, name):
            setattr(module, name, forbidden)
    for name in ("Unpickler", "_Unpickler"):  # torch has classes of its own that are derived from these
        if hasattr(module, name):
            setattr(module, name, type(name, (getattr(module, name),), {"__init__": forbidden, "load": forbidden}))
