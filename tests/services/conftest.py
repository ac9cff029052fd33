from .place import place
from .postgres import postgres, postgres_server

__all__ = ["place", "postgres", "postgres_server"]
