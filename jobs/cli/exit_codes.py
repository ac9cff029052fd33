"""Exit codes of the commands, on which the chart's podFailurePolicy relies. 75 is in jobs/runtime/interrupt.py."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_STAGE_FAILED = 70  # of `pipeline`: a stage has failed for good, so that running the pipeline again is no use
EXIT_CONFIGURATION = 78  # what the user has configured cannot be run
EXIT_CTRL_C = 130
