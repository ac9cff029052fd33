"""The processes: experiment, study and slots, artifacts, one module a stage, and the local runner."""
