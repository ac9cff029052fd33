"""What the chart renders, applied by kubectl: the first time, with changes, and with what is no longer in it removed."""

import re

from tests.cluster.release import NAME, Release

EXPERIMENT = {
    "sweep": {"trials": 6, "epochs": 8, "earlyStopping": {"name": "none"}},
    "finalTrain": {"epochs": 2},
    "data": {"limit": 300},
}


def test_what_is_rendered_and_applied_is_a_release(release: Release) -> None:
    release.apply(experiment=EXPERIMENT, dashboard={"enabled": True})
    release.until_half_way()
    password = release.secret("postgresql")
    assert "created" not in release.apply()  # nothing has changed
    assert release.secret("postgresql") == password

    workers = release.running("sweep")
    release.apply(experiment={"seed": 9})
    log = release.until_log_has("belongs to another experiment")
    assert re.search(rf"seed=9: study {NAME} in .* belongs to another experiment, where it is 0; ", log)
    release.until("its end", lambda: release.outcome() == "Failed")
    assert set(release.running("sweep")) <= set(workers)  # which go on, or have nothing left to do

    said = release.apply(experiment={"seed": 0, "sweep": {"trials": 7}}, dashboard={"enabled": False})
    assert f"deployment.apps/{NAME}-dashboard pruned" in said
    release.until_done()
    assert release.secret("postgresql") == password
    release.check(7)
    assert [name for name in release.jobs() if "-pipeline-" in name] == release.pipelines[-1:]
