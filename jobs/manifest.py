"""The list of all that belongs to a result, with sizes and checksums. A result without one is not a result."""

from jobs.artifacts import Artifacts

MANIFEST = "manifest.json"
PARTS = ("experiment.yaml", "dataset.json", "trials", "final", "evaluation")


def write_manifest(artifacts: Artifacts) -> None:
    """Names every object of the study but logs and database, which go on changing."""
    keys = [key for key in artifacts.listing() if key.split("/")[0] in PARTS]
    objects = {key: {"size": artifacts.size(key), "sha256": artifacts.sha256(key)} for key in keys}
    artifacts.write_json(MANIFEST, {"objects": objects})
