"""How the threads of a training wait for each other. Imports no torch."""

import os


def wait_briefly() -> None:
    """Has threads that wait for each other sleep soon, here and in child processes, unless the environment says how.

    To be called before torch is loaded. The threads of GNU's OpenMP go round in circles for milliseconds by default:
    beside another program they take the cores from the threads that they wait for, and a training takes many times as
    long (tests/benchmarks/RESULTS.md). They now do as it has them do where there are more threads than cores.
    """
    if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
        os.environ["GOMP_SPINCOUNT"] = "1000"
