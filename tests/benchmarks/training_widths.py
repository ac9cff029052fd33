"""The published odd widths beside widths rounded down to a multiple of 8 or 16."""

import statistics

from tests.benchmarks.training_loops import our_epoch
from tests.benchmarks.training_setup import NETWORKS, PRUNED, Bench, flops, print_table

MULTIPLES = (1, 8, 16)


def run(bench: Bench) -> None:
    print("\nThe pruned network with its widths rounded down; rounds in turn.\n")
    model, _ = NETWORKS["pruned"]
    networks = [bench.built(model, PRUNED.model_copy(update={"round_to": multiple})) for multiple in MULTIPLES]
    data = bench.data()
    rounds = [[bench.used / our_epoch(bench, network, data) for network in networks] for _ in range(bench.rounds)]
    rows = []
    for multiple, network, rates in zip(MULTIPLES, networks, zip(*rounds, strict=True), strict=True):
        rate = statistics.median(rates)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        rows.append([str(multiple), f"{parameters:,}", f"{rate:,.1f}", f"{rate * flops(network) / 1e9:,.0f}"])
    print_table(["multiple of", "parameters", "images/s", "GFLOP/s"], rows)
