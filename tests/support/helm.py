"""Helm, run on the chart, and what it rendered as dicts."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.missing import missing
from tests.support.versions import VERSIONS

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "charts/resnet-sweep"
EVERYTHING = REPOSITORY / "tests/chart/everything.yaml"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "resnet-sweep/cluster"
KUBERNETES = VERSIONS["OLDEST_KUBERNETES"]

Document = dict[str, Any]


class Refused(Exception):
    """Helm did not render; the message is what a person sees."""


@dataclass(frozen=True)
class Rendered:
    text: str

    @cached_property
    def documents(self) -> list[Document]:
        """Every object, and after them the stages' Jobs, which the pipeline makes."""
        objects = [document for document in yaml.safe_load_all(self.text) if document]
        return [*objects, *stage_jobs(objects).values()]

    @cached_property
    def stages(self) -> dict[str, Document]:
        return stage_jobs(self.documents)

    @cached_property
    def pipeline(self) -> Document:
        """Its Job, whose name ends in a hash."""
        (found,) = (job for job in self.kind("Job") if "-pipeline-" in job["metadata"]["name"])
        return found

    @cached_property
    def secrets(self) -> dict[str, Document]:
        """Those that the pipeline makes, by their names."""
        (stages,) = (row for row in self.kind("ConfigMap") if row["metadata"]["name"].endswith("-stages"))
        manifests = yaml.safe_load(stages["data"].get("secrets.yaml", "[]"))
        return {manifest["metadata"]["name"]: manifest for manifest in manifests}

    def one(self, kind: str, name: str) -> Document:
        (found,) = (
            document for document in self.documents if document["kind"] == kind and document["metadata"]["name"] == name
        )
        return found

    def kind(self, kind: str) -> list[Document]:
        return [document for document in self.documents if document["kind"] == kind]

    def pods(self) -> Iterator[tuple[str, Document]]:
        """Name and component, and the pod (`metadata`, `spec`) of everything that has one."""
        for document in self.documents:
            match document["kind"]:
                case "Pod":
                    yield f"Pod {document['metadata']['name']}", document
                case "Job" | "StatefulSet" | "Deployment":
                    yield f"{document['kind']} {document['metadata']['name']}", document["spec"]["template"]

    def experiment_file(self) -> str:
        (found,) = (
            document["data"]["experiment.yaml"]
            for document in self.kind("ConfigMap")
            if document["metadata"]["name"].endswith("-experiment")
        )
        return str(found)


def stage_jobs(objects: list[Document]) -> dict[str, Document]:
    (manifests,) = (
        document["data"]
        for document in objects
        if document["kind"] == "ConfigMap" and document["metadata"]["name"].endswith("-stages")
    )
    return {
        name.removesuffix("-job.yaml"): yaml.safe_load(text)
        for name, text in manifests.items()
        if name.endswith("-job.yaml")
    }


class Helm:
    def __init__(self, binary: str) -> None:
        self._binary = binary

    def render(self, *arguments: str, values: Document | None = None, release: str = "run1") -> Rendered:
        """Raises Refused where Helm does not render."""
        command = ["template", release, str(CHART), f"--kube-version={KUBERNETES}", *arguments]
        if values is not None:
            command += ["--values=-"]
        return Rendered(self.run(*command, stdin=json.dumps(values)))

    def notes(self, *arguments: str) -> str:
        try:
            text = self.run("install", "run1", str(CHART), "--namespace=lab", "--dry-run=client", *arguments)
        except Refused as refused:
            if "Kubernetes cluster unreachable" in str(refused):
                pytest.skip("this Helm prints notes only where there is a cluster")
            raise
        return text.partition("NOTES:\n")[2]

    def run(self, *command: str, stdin: str = "") -> str:
        # no cluster: whatever kubeconfig is there is none of the chart's business
        environment = {**os.environ, "KUBECONFIG": os.devnull}
        done = subprocess.run(
            [self._binary, *command], input=stdin, capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode != 0:
            raise Refused(done.stderr + done.stdout)
        return done.stdout


def find_helm(name: str) -> Helm:
    """`helm`, or `helm3`; the tests are skipped where there is no `helm`."""
    if name == "helm" and (chosen := os.environ.get("HELM")):
        return Helm(chosen)
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}{CACHE}")
    if found is None:
        missing(f"no {name}: neither in $HELM nor on PATH nor in {CACHE}")
    return Helm(found)


def installed_helms() -> list[str]:
    """Helm 3 is tested where it is there as `helm3`."""
    return ["helm", "helm3"] if shutil.which("helm3") else ["helm"]


def one_line(message: str) -> str:
    return re.sub(r"\s+", " ", message)
