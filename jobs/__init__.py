"""The processes of a sweep: command line, experiment, queue, artifacts, stages, runners and report."""
