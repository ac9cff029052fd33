from tests.local.conftest import digit_files, published
from tests.support.minio import bucket, minio, minio_server
from tests.support.place import place
from tests.support.postgres import postgres, postgres_server

__all__ = ["bucket", "digit_files", "minio", "minio_server", "place", "postgres", "postgres_server", "published"]
