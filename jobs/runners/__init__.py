"""What runs all stages: on this machine, or as Jobs on Kubernetes."""
