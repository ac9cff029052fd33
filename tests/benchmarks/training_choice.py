"""In what a training of each network would compute here, why, and how long it takes to find out."""

import json
import subprocess
import sys
from pathlib import Path

import torch

from jobs.experiment.load import load_experiment
from resnet_core.config import ModelConfig, PruningConfig
from resnet_core.description import NetworkConfig
from resnet_core.pruning import planned_config
from tests.benchmarks.training_setup import BATCH, NETWORKS, Bench, print_table

IN_A_PROCESS = """
import json, sys, time
import torch
from resnet_core.arithmetic_choice import choose_arithmetic
from resnet_core.description import NetworkConfig
network, precision, size, batch_size, device, threads = json.loads(sys.argv[1])
torch.set_num_threads(threads)
torch.ones(1, requires_grad=True).sum().backward()
began, computed = time.perf_counter(), time.process_time()
chosen = choose_arithmetic(precision, NetworkConfig.model_validate(network), size, batch_size, torch.device(device))
print(json.dumps([time.perf_counter() - began, time.process_time() - computed, str(chosen)]))
"""


def run(bench: Bench) -> None:
    print("\nEach in a process of its own, that has computed nothing before.\n")
    quick = load_experiment("quick", None, [])
    networks = {name: (*network, BATCH) for name, network in NETWORKS.items()}
    networks["preset quick"] = quick.model, quick.pruning, quick.training.batch_size
    most = 1 if bench.on_gpu else torch.get_num_threads()
    rows = (
        [name, str(threads), *_chosen(bench, *network, threads)]
        for name, network in networks.items()
        for threads in sorted({1, most})
    )
    print_table(["network", "threads", "milliseconds", "of processors", "chosen"], rows)


def _chosen(bench: Bench, model: ModelConfig, pruning: PruningConfig, batch_size: int, threads: int) -> list[str]:
    network = planned_config(NetworkConfig.from_model(model, 10), pruning).model_dump(mode="json")
    given = json.dumps([network, bench.recipe.precision, 32, batch_size, str(bench.device), threads], allow_nan=False)
    command = [sys.executable, "-c", IN_A_PROCESS, given]
    run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    *seconds, chosen = json.loads(run.stdout)
    return [*(f"{second * 1000:.0f}" for second in seconds), chosen]
