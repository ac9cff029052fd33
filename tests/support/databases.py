"""Databases as the tests open them."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from jobs.queue.database import Database
from jobs.runtime.retry import Patience

P = ParamSpec("P")
T = TypeVar("T")


def opened(url: str) -> Database:
    """A database that is waited for, as its connection may have been cut by the test."""
    return Database(url, Patience(30))


def commit(engine: Engine, change: Callable[Concatenate[Connection, P], T], *arguments: P.args, **named: P.kwargs) -> T:
    """What `change` returns, in a transaction of its own."""
    with engine.begin() as connection:
        return change(connection, *arguments, **named)
