"""The command as a user runs it: processes, signals, exit codes and what lies in the folder afterwards."""

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from jobs.artifacts import FolderArtifacts
from jobs.cli.main import main
from tests.support.chat import Chat
from tests.support.patience import PATIENCE_SECONDS, until
from tests.support.processes import children_of, is_gone
from tests.support.tiny_run import ARGUMENTS, TinyRun, local_command, run_local
from tests.support.trained_result import weights_of

REPOSITORY = Path(__file__).parents[2]


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_local_run_ends_with_a_verified_result(tiny_run: TinyRun) -> None:
    study = tiny_run.study
    assert tiny_run.process.returncode == 0, tiny_run.process.stderr
    objects = json.loads((study / "manifest.json").read_text())["objects"]
    for key, entry in objects.items():
        assert (study / key).stat().st_size == entry["size"]
        assert sha256(study / key) == entry["sha256"]
    assert {
        weights_of(FolderArtifacts(study)),
        "final/seed-0/model.json",
        "evaluation/metrics.json",
        "evaluation/report.html",
    } <= set(objects)
    metrics = json.loads((study / "evaluation/metrics.json").read_text())
    assert metrics["test"]["images"] == 60
    assert sum(map(sum, metrics["test"]["confusion"])) == 60
    assert metrics["testWithFlip"]["images"] == 60
    assert metrics["parameters"] <= metrics["budget"]
    figures = {file.name for file in (study / "evaluation/figures").iterdir()}
    for name in (
        "filters-per-layer",
        "parameters-per-layer",
        "training-loss",
        "training-accuracy",
        "confusion-matrix",
        "history",
    ):
        assert {f"{name}.png", f"{name}.svg"} <= figures
    assert len(list(study.rglob("*.pt"))) == 1  # the best trial's
    assert not list(study.rglob("*.partial-*"))


def test_local_run_says_what_it_does_in_plain_lines(tiny_run: TinyRun) -> None:
    lines = tiny_run.process.stderr.splitlines()
    for stage in ("prepare", "sweep", "final-train", "evaluate"):
        assert any(line.endswith(f"stage {stage}") for line in lines)
    assert sum(" complete, validation accuracy " in line for line in lines) == 4
    assert any("4/4 trials settled, 4 complete, best " in line for line in lines)
    assert any("report: " in line for line in lines)
    assert "\x1b" not in tiny_run.process.stderr
    assert "Warning" not in tiny_run.process.stderr


def test_accuracies_are_written_one_way(tiny_run: TinyRun, capsys: pytest.CaptureFixture[str]) -> None:
    """In percent, with the decimals that the images tell: in the log, the status, the report and the tables."""
    assert main(["status", "--runs", str(tiny_run.study.parent), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["validationImages"] == 40
    assert main(["status", "--runs", str(tiny_run.study.parent)]) == 0
    table = capsys.readouterr().out
    page, summary = ((tiny_run.study / f"evaluation/{name}").read_text() for name in ("report.html", "summary.md"))
    best, log = f"{100 * status['best']['accuracy']:.0f} %", tiny_run.process.stderr
    assert f"best {best} (trial {status['best']['number']})" in log
    assert f"{best} (trial {status['best']['number']})" in table
    for text in (page, summary):
        assert f"best {best} (trial" in text
    with (tiny_run.study / "evaluation/trials.csv").open() as file:
        row = next(row for row in csv.DictReader(file) if row["trial"] == str(status["best"]["number"]))
    assert f"{float(row['accuracy (%)']):.0f} %" == best
    metrics = json.loads((tiny_run.study / "evaluation/metrics.json").read_text())
    tested = f"{100 * metrics['accuracy']['mean']:.0f} %"  # of 60 images
    assert re.search(rf"test accuracy {tested}( \(mean of \d seeds\))? on 60 images", log)
    assert f"<h1>{tested} on" in page
    assert tested in summary.splitlines()[0]
    everything = "".join((log, table, page, summary))
    assert not re.search(r"(accuracy|best|confirmed|validation) (0\.\d|1\.0)", everything)


def test_report_needs_nothing_from_elsewhere(tiny_run: TinyRun) -> None:
    page = (tiny_run.study / "evaluation/report.html").read_text()
    assert len(page) < 3_000_000
    assert "<script src" not in page
    assert "default-src 'none'" in page
    for attribute in ('src="', 'href="', "url("):
        for target in page.split(attribute)[1:]:
            assert target.startswith(("data:", "#")), target[:40]
    metrics = json.loads((tiny_run.study / "evaluation/metrics.json").read_text())
    assert f"{100 * metrics['test']['accuracy']:.0f} %" in page
    assert f"{metrics['parameters']:,}" in page


def test_finished_run_does_nothing_again(tiny_run: TinyRun) -> None:
    study = tiny_run.study
    before = {
        key: sha256(study / key) for key in ("model/model.safetensors", "evaluation/metrics.json", "dataset.json")
    }
    again = run_local(study.parent, *ARGUMENTS)
    assert again.returncode == 0, again.stderr
    assert "the final training with seed 0 is done" in again.stderr
    assert "the evaluation is done" in again.stderr
    assert before == {key: sha256(study / key) for key in before}


def test_chat_is_told_the_result_and_why_a_run_failed(tiny_run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = Chat()
    monkeypatch.setenv("NOTIFY_URL", chat.url.get_secret_value())
    assert run_local(tiny_run.study.parent, *ARGUMENTS).returncode == 0
    assert run_local(tiny_run.study.parent, *ARGUMENTS, "--set=sweep.epochs=5").returncode == 78
    chat.close()
    result, failure = chat.texts
    assert re.fullmatch(r"quick: test accuracy \d+ % \(mean of 2 seeds\) on 60 images of .*; report: /.*", result)
    assert failure == "quick: failed: prepare failed with exit code 78"


def test_run_that_loses_a_worker_and_is_interrupted_twice_goes_on_to_the_same_result(
    tiny_run: TinyRun, tmp_path: Path
) -> None:
    """In the sweep a worker is killed, then Ctrl-C is pressed; it is pressed again in the final training."""
    study = tmp_path / "quick"

    def start(**environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            local_command(tmp_path, *ARGUMENTS),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "CHECKPOINT_SECONDS": "0", **environment},
        )

    def interrupt(process: subprocess.Popen[str], marker: str) -> str:
        """Once there is such a file; returns what the run has written."""
        until(lambda: any(study.glob(marker)), process)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 75, errors
        assert "interrupted; the progress is saved, the same command goes on" in errors
        assert "Traceback" not in errors
        return errors

    process = start(LEASE_SECONDS="3", RENEWAL_SECONDS="1", LOG_FORMAT="json")
    until(lambda: any(study.glob("trials/1/checkpoint-*.pt")), process)
    for child in children_of(process.pid):
        os.kill(child, signal.SIGKILL)
    errors = interrupt(process, "trials/2/checkpoint-*.pt")
    assert "worker 0 ended with exit code -9" in [json.loads(line)["message"] for line in errors.splitlines()]

    errors = interrupt(start(), "final/seed-0/trial-*/checkpoint-*.pt")
    assert any(" 4/4 trials settled, 4 complete" in line for line in errors.splitlines())

    again = run_local(tmp_path, *ARGUMENTS)
    assert again.returncode == 0, again.stderr
    assert sha256(study / "model/model.safetensors") == sha256(tiny_run.study / "model/model.safetensors")
    mine, theirs = (json.loads((s / "evaluation/metrics.json").read_text()) for s in (study, tiny_run.study))
    assert mine == theirs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set=sweep.trails=3"], "--set sweep.trails=3: unknown key; did you mean trials? allowed: trials, epochs"),
        (
            ["--set=pruning={method: none}"],
            "budget.parameters=60,000: the network has 78,042 parameters, 18,042 too many",
        ),
    ],
)
def test_bad_input_is_one_line_exits_78_and_writes_nothing(tmp_path: Path, arguments: list[str], message: str) -> None:
    process = run_local(tmp_path / "runs", *arguments)
    assert process.returncode == 78, process.stderr
    (line,) = [line for line in process.stderr.splitlines() if line.startswith("resnet-sweep:")]
    assert message in line
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "runs").exists()


def test_folder_of_another_experiment_is_refused_by_field(tiny_run: TinyRun) -> None:
    study = tiny_run.study
    before = sha256(study / "experiment.yaml")
    process = run_local(study.parent, *ARGUMENTS, "--set=seed=1")
    assert process.returncode == 78
    assert (
        f"seed=1: study quick in {study} belongs to another experiment, where it is 0; choose another study.name"
        in process.stderr
    )
    assert sha256(study / "experiment.yaml") == before


@pytest.mark.parametrize("marker", ["trials/1/checkpoint-*.pt", "final/seed-0/trial-*/checkpoint-*.pt"])
def test_no_process_outlives_a_run_that_is_killed(tmp_path: Path, marker: str) -> None:
    environment = {**os.environ, "CHECKPOINT_SECONDS": "0"}
    arguments = [*ARGUMENTS, "--set=sweep.trials=2", "--set=finalTrain.epochs=1000"]
    process = subprocess.Popen(local_command(tmp_path, *arguments), stderr=subprocess.DEVNULL, env=environment)
    until(lambda: any((tmp_path / "quick").glob(marker)), process)
    children = children_of(process.pid)
    assert children
    process.kill()
    process.wait()
    until(lambda: all(map(is_gone, children)))


def test_snippet_of_the_readme_runs_as_it_stands(
    tiny_run: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "jobs/README.md").read_text(), re.DOTALL)
    (tmp_path / "runs").symlink_to(tiny_run.study.parent)
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})
    assert re.fullmatch(r"runs/quick/evaluation/mistakes/\d+\.png [0-9]\n", capsys.readouterr().out)
