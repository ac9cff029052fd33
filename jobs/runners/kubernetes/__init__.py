"""Kubernetes as the pipeline sees it: the API of one namespace, the stages' Jobs, and trouble in words."""

from typing import Any

Object = dict[str, Any]  # of the API, as `kubectl get -o json` shows it
