"""The trainings of a study in programs that track experiments, read back with those programs' own libraries."""

import csv
import socket
import sys
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.documents import MetricsDocument, read_document
from jobs.artifacts.keys import DATABASE, METRICS
from jobs.cli.main import main
from jobs.report.trackers import mlflow_server
from jobs.stages.evaluate import stage as evaluate
from tests.local.conftest import tiny
from tests.support.studies import Studies

OVERRIDES = ("sweep.confirm={trials: 2, seeds: 1}", "finalTrain.seeds=2")


@pytest.fixture
def study(studies: Studies, root: FolderArtifacts) -> FolderArtifacts:
    """Where `resnet-sweep local` would have it."""
    study = studies.copy(tiny(*OVERRIDES), after=evaluate, to=root)
    (root.root / DATABASE).rename(study.path(DATABASE))
    return study


def export(root: FolderArtifacts, to: str, at: object) -> int:
    return main(["export", "--runs", str(root.root), "--to", to, "--at", str(at)])


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def epochs_of(folder: Path) -> dict[str, list[float]]:
    """The validation accuracies of each run in `epochs.csv`."""
    epochs: dict[str, list[float]] = {}
    for row in table(folder / "epochs.csv"):
        epochs.setdefault(row["run"], []).append(float(row["validation_accuracy"]))
    return epochs


def test_tables_have_trials_confirmations_and_final_trainings(
    study: FolderArtifacts, root: FolderArtifacts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tables"
    for _ in range(2):  # the second time, they are written anew
        assert export(root, "csv", folder) == 0
        assert capsys.readouterr().out == f"{folder}: 8 trainings of study quick written\n"
    runs = {row["run"]: row for row in table(folder / "runs.csv")}
    assert [row["kind"] for row in runs.values()] == ["trial"] * 4 + ["confirmation"] * 2 + ["final training"] * 2
    assert {row["state"] for row in runs.values()} == {"complete"}
    tested = read_document(study, METRICS, MetricsDocument).seeds
    found = [float(row["test_accuracy"]) for row in runs.values() if row["kind"] == "final training"]
    assert found == [seed.test.accuracy for seed in tested]
    epochs = epochs_of(folder)
    assert {name: len(values) for name, values in epochs.items()} == dict.fromkeys(runs, 3)
    for name, row in runs.items():
        if row["kind"] != "final training":  # those keep their best epoch
            assert float(row["validation_accuracy"]) == pytest.approx(epochs[name][-1])
    assert all(float(row["train_loss"]) > 0 for row in table(folder / "epochs.csv"))


def test_without_artifacts_there_are_accuracies_alone_and_that_is_said(
    study: FolderArtifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{study.path(DATABASE)}")
    monkeypatch.delenv("ARTIFACTS_URL", raising=False)
    folder = tmp_path / "tables"
    assert main(["export", "--to=csv", f"--at={folder}"]) == 0
    said = "6 trainings of study quick written; losses and final trainings lie at ARTIFACTS_URL, which is not set"
    assert capsys.readouterr().out == f"{folder}: {said}\n"
    assert table(folder / "epochs.csv")[0].keys() == {"run", "epoch", "validation_accuracy"}
    monkeypatch.setenv("ARTIFACTS_URL", str(tmp_path))
    assert main(["export", "--to=csv", f"--at={folder}"]) == 0
    assert len(table(folder / "runs.csv")) == 8


@pytest.mark.usefixtures("study")
def test_tensorboard_reads_every_epoch_and_a_second_export_adds_what_is_new(
    root: FolderArtifacts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "events"
    assert export(root, "tensorboard", folder) == 0
    export(root, "csv", tmp_path / "tables")
    for name, accuracies in epochs_of(tmp_path / "tables").items():
        events = EventAccumulator(str(folder / name.replace(" ", "-"))).Reload()
        assert [event.step for event in events.Scalars("validation_accuracy")] == [1, 2, 3]
        assert [event.value for event in events.Scalars("validation_accuracy")] == pytest.approx(accuracies)
        assert "_hparams_/session_start_info" in events.summary_metadata
    for file in (folder / "trial-2").iterdir():
        file.unlink()
    (folder / "trial-2").rmdir()
    capsys.readouterr()
    assert export(root, "tensorboard", folder) == 0
    assert capsys.readouterr().out == f"{folder}: 1 trainings of study quick written\n"
    assert len(list(folder.iterdir())) == 8  # and nothing that is half written


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """MLflow's own store of files, which its client takes for a server."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "mlflow").as_uri()


def tracked(client: MlflowClient) -> dict[str, Run]:
    found = client.get_experiment_by_name("quick")
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    assert len({run.info.run_name for run in runs}) == len(runs)
    return {str(run.info.run_name): run for run in runs}


@pytest.mark.usefixtures("study")
def test_mlflow_gets_every_training_once(
    root: FolderArtifacts, tmp_path: Path, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(root, "mlflow", server) == 0
    export(root, "csv", tmp_path / "tables")
    client, epochs = MlflowClient(tracking_uri=server), epochs_of(tmp_path / "tables")
    rows = {row["run"]: row for row in table(tmp_path / "tables/runs.csv")}
    runs = tracked(client)
    assert runs.keys() == rows.keys()
    for name, run in runs.items():
        history = client.get_metric_history(run.info.run_id, "train_loss")
        assert [metric.step for metric in history] == [1, 2, 3]
        assert run.data.params["lr"] == rows[name]["parameter lr"]
        assert (run.info.status, run.data.tags["state"]) == ("FINISHED", "complete")
        accuracies = client.get_metric_history(run.info.run_id, "validation_accuracy")
        assert {metric.value for metric in accuracies} >= set(epochs[name])

    half = runs["trial 1"].info.run_id
    client.delete_run(half)
    tags = {mlflow_server.OURS: "trial 1"}
    client.create_run(runs["trial 0"].info.experiment_id, tags=tags)  # as an export that was killed leaves it
    capsys.readouterr()
    assert export(root, "mlflow", server) == 0
    assert capsys.readouterr().out == f"{server}: 1 trainings of study quick written\n"
    assert tracked(client).keys() == rows.keys()


@pytest.mark.usefixtures("study")
def test_mlflow_that_is_not_there_is_one_line(root: FolderArtifacts, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert export(root, "mlflow", f"http://127.0.0.1:{port}") == 1
    told = capsys.readouterr().err
    assert told.startswith(f"resnet-sweep: http://127.0.0.1:{port}: ")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("to", "module"), [("mlflow", "mlflow.tracking"), ("tensorboard", "torch.utils.tensorboard.writer")]
)
@pytest.mark.usefixtures("study")
def test_library_that_is_not_installed_is_named(
    root: FolderArtifacts, tmp_path: Path, to: str, module: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, module, None)
    before = set(tmp_path.iterdir())
    assert export(root, to, tmp_path / "there") == 78
    assert capsys.readouterr().err == f"resnet-sweep: --to={to}: needs pip install 'resnet-sweep[{to}]'\n"
    assert set(tmp_path.iterdir()) == before
