"""Random faults in great number, run by hand: `python -m tests.campaign processes` and `… cluster`.

Every schedule of faults is drawn from a seed that is printed with what came of it, so that it can be run again.
"""
