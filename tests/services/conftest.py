from tests.local.conftest import digit_files, published

from .minio import bucket, minio, minio_server
from .place import place
from .postgres import postgres, postgres_server

__all__ = ["bucket", "digit_files", "minio", "minio_server", "place", "postgres", "postgres_server", "published"]
