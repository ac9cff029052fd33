"""DATABASE_URL in its parts: which database it names, and the parameters for libpq."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
FORMS = (
    "neither sqlite:///file nor postgresql://user:password@host:port/database nor host=… dbname=…; in a URL the "
    "characters % / : @ ? # of a password are written %25 %2F %3A %40 %3F %23"
)
SQLITE = "sqlite:///"
NOT_IN_A_PATH = re.compile(r"\?|%(?![0-9A-Fa-f]{2})|%00")  # a ? would begin parameters, of which there are none


def is_sqlite(url: str) -> bool:
    return url.startswith("sqlite:")


def sqlite_url(file: Path) -> str:
    """The URL of a SQLite file, whatever characters its path has."""
    return SQLITE + quote(os.fsencode(file))


def sqlite_file(url: str) -> Path:
    """The file that a SQLite URL names.

    Raises:
        ValueError: it names none.

    """
    if not url.startswith(SQLITE) or NOT_IN_A_PATH.search(url):
        raise ValueError(f"DATABASE_URL={url}: not sqlite:///file, where ? and % of a path are written %3F and %25")
    return Path(os.fsdecode(unquote_to_bytes(url.removeprefix(SQLITE))))


def database_place(url: str) -> str:
    """Where the database is, for messages: host, port and name, but never the password."""
    if is_sqlite(url):
        return str(sqlite_file(url))
    parts = libpq_parameters(url)
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    name = parts.get("dbname") or parts.get("user")
    return f"database {f'{name} ' if name else ''}at {host}:{parts.get('port') or 5432}"


def engine_url(url: str) -> str:
    """The URL for SQLAlchemy and Optuna. It names only the driver: libpq and SQLite read the rest themselves."""
    return "sqlite://" if is_sqlite(url) else "postgresql+psycopg2://"


def libpq_parameters(url: str) -> dict[str, Any]:
    """The parameters in the URL as libpq itself reads them, so that everything that libpq allows is allowed.

    Raises:
        ValueError: libpq cannot read it. The message is ours, because libpq's may quote the password.

    """
    import psycopg2  # noqa: PLC0415 - SQLite alone needs no driver
    from psycopg2.extensions import parse_dsn  # noqa: PLC0415

    scheme, separator, rest = url.partition("://")
    try:
        if separator and scheme not in SCHEMES and "=" not in scheme:
            raise ValueError(f"DATABASE_URL: {scheme}:// is neither sqlite:// nor postgresql://")
        parts: dict[str, Any] = parse_dsn(f"postgresql://{rest}" if scheme in SCHEMES else url)
        ports = str(parts.get("port") or "").split(",")
    except psycopg2.ProgrammingError:
        ports = ["?"]
    if not all(port.isdigit() or not port for port in ports):
        raise ValueError(f"DATABASE_URL: {FORMS}")
    return parts
