from tests.local.conftest import digit_files, published
from tests.support.bucket_server import bucket, minio, versity_gateway
from tests.support.place import place
from tests.support.postgres import postgres, postgres_server

__all__ = ["bucket", "digit_files", "minio", "place", "postgres", "postgres_server", "published", "versity_gateway"]
