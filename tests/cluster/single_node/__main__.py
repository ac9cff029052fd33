"""The command line of the cluster without Docker; the package's text says what it is."""

import argparse
import sys
from collections.abc import Sequence

from tests.cluster.single_node.cluster import ClusterError, SingleNode
from tests.cluster.single_node.layout import Layout


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.single_node", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the cluster, unless it runs")
    commands.add_parser("down", help="end it, and remove all that it has made")
    commands.add_parser("env", help="print what `eval` needs so that kubectl and helm find it")
    kubelet = commands.add_parser("kubelet", help="stop or start the kubelet: the node is lost, and comes back")
    kubelet.add_argument("action", choices=["stop", "start"])
    api_server = commands.add_parser("apiserver", help="restart the API server")
    api_server.add_argument("action", choices=["restart"])
    options = parser.parse_args(arguments)
    cluster = SingleNode(Layout.from_environment())
    try:
        match options.command:
            case "up":
                cluster.up()
                print("the cluster is up; the environment for kubectl and helm:", file=sys.stderr)
                _print_environment(cluster)
            case "down":
                cluster.down()
            case "env":
                _print_environment(cluster)
            case "kubelet":
                cluster.stop_kubelet() if options.action == "stop" else cluster.start_kubelet()
            case "apiserver":
                cluster.restart_api_server()
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _print_environment(cluster: SingleNode) -> None:
    print(f"export KUBECONFIG={cluster.layout.kubeconfig()}")
    print(f"export PATH={cluster.layout.commands}:$PATH")


if __name__ == "__main__":
    sys.exit(main())
