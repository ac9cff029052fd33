"""The runner on Kubernetes: it creates the stages' Jobs in order and says in words what is wrong with them."""

from typing import Any

Object = dict[str, Any]  # of the Kubernetes API, as `kubectl get -o json` shows it
