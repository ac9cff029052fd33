from .minio import bucket, minio, minio_server
from .place import place
from .postgres import postgres, postgres_server

__all__ = ["bucket", "minio", "minio_server", "place", "postgres", "postgres_server"]
