"""Kubernetes as the pipeline sees it: the API of one namespace, the stages' Jobs, and trouble in words."""
