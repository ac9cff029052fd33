"""Which checkpoint and which outcome of a training count, and which are removed."""

from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from jobs.artifacts import FolderArtifacts
from jobs.artifacts.checkpoints import Checkpoints, remove_settled


@pytest.fixture
def artifacts(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path)


def checkpoints(artifacts: FolderArtifacts, fence: int = 99, prefix: str = "trials/7") -> Checkpoints:
    """As the owner with this fence sees them; every fence had an owner of its own."""
    return Checkpoints(artifacts, prefix, {earlier: owner(earlier) for earlier in range(1, fence + 1)})


def owner(fence: int) -> str:
    return f"host-{fence}-abc"


def save(artifacts: FolderArtifacts, fence: int, prefix: str = "trials/7") -> None:
    checkpoints(artifacts, fence, prefix).save(lambda path: path.write_text(f"of fence {fence}"))


def trial(number: int, state: TrialState, accuracy: float | None = None) -> FrozenTrial:
    made = create_trial(state=state, value=accuracy)
    made.number = number
    return made


def test_checkpoint_of_the_highest_fence_is_loaded(artifacts: FolderArtifacts) -> None:
    assert checkpoints(artifacts).load(Path.read_text) is None
    for fence in (2, 10, 9):
        save(artifacts, fence)
    save(artifacts, 11, "trials/70")
    assert checkpoints(artifacts).load(Path.read_text) == "of fence 10"


@pytest.mark.parametrize(
    ("checkpoint", "outcome", "believed"),
    [(None, 1, True), (2, 2, True), (2, 3, True), (3, 2, False), (10, 9, False)],
)
def test_outcome_is_believed_unless_a_later_owner_has_trained_on(
    artifacts: FolderArtifacts, checkpoint: int | None, outcome: int, believed: bool
) -> None:
    if checkpoint is not None:
        save(artifacts, checkpoint)
    saved = {"state": "diverged", "message": "the loss is not finite", "traceback": None}
    checkpoints(artifacts, outcome).save_outcome(saved)
    assert checkpoints(artifacts).load_outcome() == (saved if believed else None)


def test_owner_whose_claim_the_database_has_forgotten_is_not_believed(artifacts: FolderArtifacts) -> None:
    """After a failover to a standby that had not received the claim, its fence went to another owner."""
    forgotten = Checkpoints(artifacts, "trials/7", {1: owner(1), 2: "forgotten-2-abc"})
    forgotten.save(lambda path: path.write_text("of an owner that is forgotten"))
    forgotten.save_outcome({"state": "diverged"})
    assert checkpoints(artifacts, 2).load(Path.read_text) is None
    save(artifacts, 1)
    assert checkpoints(artifacts, 3).load(Path.read_text) == "of fence 1"
    assert checkpoints(artifacts, 3).load_outcome() is None
    save(artifacts, 2)
    assert len(artifacts.listing()) == 4  # neither has overwritten the other
    assert checkpoints(artifacts, 3).load(Path.read_text) == "of fence 2"


def test_checkpoint_of_version_0_1_0_is_gone_on_from(artifacts: FolderArtifacts) -> None:
    artifacts.write_text("trials/7/checkpoint-1.pt", "of version 0.1.0")
    assert checkpoints(artifacts, 2).load(Path.read_text) == "of version 0.1.0"


def test_training_without_an_outcome_has_none(artifacts: FolderArtifacts) -> None:
    save(artifacts, 1)
    assert checkpoints(artifacts).load_outcome() is None


def test_checkpoints_and_outcomes_of_every_owner_are_removed_and_nothing_else(artifacts: FolderArtifacts) -> None:
    for fence in (1, 12):
        save(artifacts, fence)
        checkpoints(artifacts, fence).save_outcome({})
    artifacts.write_text("trials/7/epochs.jsonl", "")
    save(artifacts, 1, "trials/8")
    remove_settled(artifacts, [trial(7, TrialState.FAIL)])
    assert artifacts.listing() == ["trials/7/epochs.jsonl", f"trials/8/checkpoint-1-{owner(1)}.pt"]


def test_best_trial_keeps_its_newest_checkpoint_and_what_runs_keeps_all(artifacts: FolderArtifacts) -> None:
    trials = [
        trial(0, TrialState.COMPLETE, 0.9),
        trial(1, TrialState.COMPLETE, 0.9),  # as good as the one before
        trial(2, TrialState.COMPLETE, 0.5),
        trial(3, TrialState.PRUNED, 0.95),
        trial(4, TrialState.FAIL),
        trial(5, TrialState.RUNNING),
    ]
    for number in range(6):
        for fence in (9, 10):
            save(artifacts, fence, f"trials/{number}")
            checkpoints(artifacts, fence, f"trials/{number}").save_outcome({})
        artifacts.write_text(f"trials/{number}/epochs.jsonl", "")
    remove_settled(artifacts, trials)
    kept = {key for key in artifacts.listing() if not key.endswith("epochs.jsonl")}
    running = {
        f"trials/5/{kind}-{fence}-{owner(fence)}.{ending}"
        for fence in (9, 10)
        for kind, ending in (("checkpoint", "pt"), ("outcome", "json"))
    }
    assert kept == {f"trials/0/checkpoint-10-{owner(10)}.pt", *running}
    assert len(artifacts.listing()) == len(kept) + 6


def test_nothing_is_kept_while_no_trial_is_complete(artifacts: FolderArtifacts) -> None:
    save(artifacts, 1, "trials/0")
    remove_settled(artifacts, [trial(0, TrialState.FAIL)])
    assert artifacts.listing() == []
