"""The versions in versions.env, by name."""

from pathlib import Path

LINES = (Path(__file__).parent / "versions.env").read_text().splitlines()
VERSIONS = dict(line.split("=", 1) for line in LINES if not line.startswith("#"))
