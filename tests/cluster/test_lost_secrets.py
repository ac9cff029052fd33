"""The Secrets of the throwaway services are deleted: an upgrade makes others, and their data are still there. With MinIO."""

from tests.cluster.release import Release

SHORT = {"sweep": {"trials": 3, "epochs": 3}, "finalTrain": {"epochs": 2}, "data": {"limit": 300}}


def test_deleted_secrets_are_made_anew_and_the_study_goes_on(release: Release) -> None:
    image = str(release.namespace.cluster.images.minio)
    release.install(experiment=SHORT, bucket={"server": "minio", "image": image})
    release.until_done()
    services = ("postgresql", "bucket")
    former = [release.secret(service) for service in services]
    for service in services:
        release.namespace.kubectl("delete", "secret", f"run1-{service}")

    release.upgrade(experiment={"sweep": {"trials": 4}})
    log = release.until_done()
    assert "3/4 trials settled" in log
    for service, before in zip(services, former, strict=True):
        changed = {key for key, value in release.secret(service).items() if before[key] != value}
        assert changed == set(before) - {"AWS_ACCESS_KEY_ID"}
    release.check(4)
