"""The commands `verify`, `fetch` and `compare`: what a person does with a result. Nothing here imports torch."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress

from jobs.artifacts import FolderArtifacts, WaitingArtifacts, open_artifacts
from jobs.artifacts.fetch import fetch as fetch_result
from jobs.artifacts.manifest import read_manifest
from jobs.artifacts.manifest import verify as verify_result
from jobs.runtime.errors import ConfigurationError
from jobs.runtime.retry import Patience
from jobs.runtime.settings import read_settings
from jobs.runtime.terminal import can_redraw, say

PATIENCE = Patience(10)  # a person is waiting


def verify(result: str) -> bool:
    """Checks every object of a result, prints what is wrong with it, and returns whether nothing is."""
    artifacts = open_result(result)
    manifest = read_manifest(artifacts)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not can_redraw(console)) as progress:
        task = progress.add_task("verifying", total=len(manifest.objects))
        faults = verify_result(artifacts, manifest, lambda: progress.advance(task))
    for fault in faults:
        say(fault)
    total = sum(entry.size for entry in manifest.objects.values())
    if faults:
        counts = Counter(fault.kind for fault in faults)
        say(f"{artifacts.location}: {', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))}")
    else:
        say(f"{artifacts.location}: {len(manifest.objects)} objects, {decimal(total)}, all as the manifest says")
    return not faults


def fetch(result: str, to: Path | None, *, partial: bool) -> None:
    """Downloads a result into a folder; what is there already and right is not downloaded again."""
    target = FolderArtifacts(to or Path(result.rstrip("/").rpartition("/")[2]))
    fetched = fetch_result(open_result(result), target, partial=partial)
    there = f", {fetched.there} of them there before" if fetched.there else ""
    left = f"; left out: {fetched.left_out} that the manifest does not name" if fetched.left_out else ""
    say(f"{target.location}: {fetched.objects} objects, {decimal(fetched.bytes)}{there}{left}")


def compare(results: Sequence[str], to: Path) -> None:
    """Writes a page that sets the studies beside each other, the same as Markdown, and its figures."""
    from jobs.report.compare.compare_page import PAGE, verdict, write_comparison  # noqa: PLC0415 - matplotlib is slow
    from jobs.report.compare.compared_study import read_studies  # noqa: PLC0415

    studies = read_studies([open_result(result) for result in results])
    write_comparison(FolderArtifacts(to), studies)
    say(verdict(studies))
    say(to / PAGE)


def open_result(result: str) -> WaitingArtifacts:
    """What lies in a folder or at an s3:// URL, waited for as long as a person would.

    Raises:
        ConfigurationError: it is neither.

    """
    settings = read_settings(database_url="sqlite:///", artifacts_url=result)  # no database is looked at
    try:
        return WaitingArtifacts(open_artifacts(settings), PATIENCE)
    except ValueError as error:
        raise ConfigurationError(str(error).replace("ARTIFACTS_URL=", "")) from None
