"""The command line of the campaigns."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator

from tests.campaign import cluster, processes
from tests.campaign.outcome import Outcome

CAMPAIGNS: dict[str, Callable[[int, str], Iterator[Outcome]]] = {"processes": processes.run, "cluster": cluster.run}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("tier", choices=CAMPAIGNS)
    parser.add_argument("--faults", type=int, default=100, help="ends with the schedule in which so many are reached")
    parser.add_argument("--seed", default="0", help="of the campaign; a schedule's own seed runs that one alone")
    options = parser.parse_args()
    kinds: Counter[str] = Counter()
    failed, schedules = [], 0
    for outcome in CAMPAIGNS[options.tier](options.faults, options.seed):
        print(outcome.line(), flush=True)
        kinds.update(outcome.faults)
        schedules += 1
        if outcome.violation:
            failed.append(outcome.seed)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    print(f"{kinds.total()} faults in {schedules} schedules: {counts}")
    print(f"broken promises in: {', '.join(failed)}" if failed else "every promise was kept")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
