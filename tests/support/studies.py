"""Studies that tests begin with: each is made once a session, and every test takes a copy."""

import shutil
import tempfile
from pathlib import Path
from types import ModuleType

from jobs.artifacts import FolderArtifacts
from jobs.experiment.experiment import Experiment
from jobs.experiment.load import dump_experiment
from jobs.runtime.settings import read_settings
from jobs.stages import prepare
from jobs.stages.evaluate import stage as evaluate
from jobs.stages.final_train import stage as final_train
from jobs.stages.sweep import stage as sweep

STAGES: tuple[ModuleType, ...] = (prepare, sweep, final_train, evaluate)


class Studies:
    """Studies as each stage leaves them, on SQLite and a folder. A stage is run when its study is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, ModuleType], Path] = {}

    def copy(self, experiment: Experiment, *, after: ModuleType, to: FolderArtifacts) -> FolderArtifacts:
        """Puts the study after this stage into a folder, with its database `study.db`; returns its artifacts there."""
        shutil.copytree(self._after(after, experiment), to.root, dirs_exist_ok=True)
        return to.under(experiment.study_name)

    def _after(self, stage: ModuleType, experiment: Experiment) -> Path:
        made = dump_experiment(experiment), stage
        if made not in self._made:
            before = STAGES[: STAGES.index(stage)]
            folder = Path(tempfile.mkdtemp(dir=self._folder))
            if before:
                shutil.copytree(self._after(before[-1], experiment), folder, dirs_exist_ok=True)
            settings = read_settings(database_url=f"sqlite:///{folder}/study.db", artifacts_url=str(folder))
            stage.run(experiment, settings, FolderArtifacts(folder))
            self._made[made] = folder
        return self._made[made]
