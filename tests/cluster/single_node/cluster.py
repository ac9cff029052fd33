"""Starts and ends the cluster, part by part."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.cluster.single_node import certificates, control_plane, network, node, remains, volumes
from tests.cluster.single_node.layout import BINARIES, NODE, REGISTRY, Layout
from tests.cluster.single_node.processes import ClusterError, Processes
from tests.support.patience import poll

TOOLS = {
    "containerd": "containerd", "ctr": "containerd", "runc": "runc", "iptables": "iptables", "conntrack": "conntrack",
    "ip": "iproute2", "openssl": "openssl",
}  # fmt: skip
GPUS = 2
PROCESSES = ("etcd", "apiserver", "containerd", "controllers", "scheduler", "kubelet", "proxy", "dns", "registry")


class SingleNode:
    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._processes = Processes(layout.state)

    def obstacle(self) -> str | None:
        """Why the cluster cannot be started here; None where it can."""
        if sys.platform != "linux" or os.geteuid() != 0:
            return "a Kubernetes of plain binaries needs root on Linux"
        packages = {package for tool, package in TOOLS.items() if shutil.which(tool) is None}
        if not Path("/usr/lib/cni/bridge").exists():
            packages.add("containernetworking-plugins")
        if packages:
            return f"Debian's packages are missing: {' '.join(sorted(packages))}"
        absent = [name for name in BINARIES if not os.access(self.layout.binaries / name, os.X_OK)]
        if absent:
            return f"no {', '.join(absent)} in {self.layout.binaries}; tests/cluster/single_node/install.sh puts them there"
        return None

    @property
    def is_up(self) -> bool:
        return (self.layout.state / "ready").exists() and all(map(self._processes.runs, PROCESSES))

    def up(self) -> None:
        """Raises ClusterError with what is in the way."""
        if self.is_up:
            return
        if obstacle := self.obstacle():
            raise ClusterError(obstacle)
        layout, start, await_ = self.layout, self._processes.start, self._processes.await_
        self.down()  # what is left of one that was killed, or went with its machine
        if network.rules_of_kubernetes():
            raise ClusterError("another Kubernetes has its packet rules on this machine")
        layout.state.mkdir(mode=0o755, parents=True)
        network.connect(layout)
        certificates.make_all(layout)
        self._add_commands()
        start("etcd", control_plane.etcd(layout))
        start("apiserver", control_plane.api_server(layout))
        start("registry", node.registry(layout), OTEL_TRACES_EXPORTER="none")
        start("containerd", node.containerd(layout))
        await_("containerd", lambda: _succeeds(layout.ctr("version")), 30)
        node.import_pause_image(layout)
        await_("apiserver", self._api_answers, 300)
        start("controllers", control_plane.controllers(layout))
        start("scheduler", control_plane.scheduler(layout))
        start("proxy", node.proxy(layout))
        start("dns", node.dns(layout))
        self.start_kubelet()
        self._apply(volumes.manifests(layout.state / "volumes"))
        await_("controllers", self._has_default_account, 30)  # without it no pod can be created
        (layout.state / "ready").touch()

    def down(self) -> None:
        """Whatever state it is in, and done as well where there is none."""
        layout, stop = self.layout, self._processes.stop
        if not layout.state.exists() and not network.is_connected():
            return
        for name in ("controllers", "scheduler"):  # so that nothing makes pods anew
            stop(name)
        if self._processes.runs("kubelet") and self._api_answers():
            # the kubelet takes with each pod its network, its cgroups and its mounts
            self._kubectl("delete", "pods", "--all", "--all-namespaces", "--grace-period=1", "--wait=false")
            poll(lambda: not remains.tasks(layout) and not network.new_pod_namespaces(layout), 30)
        for name in ("kubelet", "proxy", "dns", "registry"):
            stop(name)
        remains.end_containers(layout)
        for name in ("containerd", "apiserver", "etcd"):
            stop(name)
        remains.end_shims(layout)
        remains.unmount(layout)
        network.disconnect(layout)
        remains.remove_cgroups()
        remains.remove_log_links(layout)
        shutil.rmtree(layout.state, ignore_errors=not layout.state.exists())

    def start_kubelet(self) -> None:
        """With it come the pretend GPUs: what asks for nvidia.com/gpu is scheduled as on a node that has them."""
        before = self._heartbeat()
        self._processes.start("kubelet", node.kubelet(self.layout))
        # a kubelet that registers sets what it does not know to zero, and sends its first heartbeat afterwards
        self._processes.await_("kubelet", lambda: self._heartbeat() not in (None, before), 300)
        patch = [{"op": "add", "path": "/status/capacity/nvidia.com~1gpu", "value": str(GPUS)}]
        self._kubectl("patch", "node", NODE, "--subresource=status", "--type=json", f"--patch={json.dumps(patch)}")

    def stop_kubelet(self) -> None:
        """Pods go on running; the control plane takes the node for lost after `control_plane.LOST_SECONDS`."""
        self._processes.stop("kubelet")

    def restart_api_server(self, seconds_down: float = 0) -> None:
        self._processes.stop("apiserver")
        time.sleep(seconds_down)
        self._processes.start("apiserver", control_plane.api_server(self.layout))
        self._processes.await_("apiserver", self._api_answers, 300)

    def environment(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.layout.kubeconfig()), "PATH": f"{self.layout.commands}:{os.environ['PATH']}"}

    def _add_commands(self) -> None:
        self.layout.commands.mkdir()
        kubectl = self.layout.commands / "kubectl"
        kubectl.write_text(f'#!/bin/sh\nexec {self.layout.binary("hyperkube")} kubectl "$@"\n')
        kubectl.chmod(0o755)
        (self.layout.commands / "helm").symlink_to(self.layout.binary("helm"))

    def _heartbeat(self) -> str | None:
        """When the node last said that it is ready; None when it has not."""
        found = self._kubectl("get", "nodes", "--output=json")
        for item in json.loads(found)["items"]:
            for condition in item["status"].get("conditions", ()):
                if condition["type"] == "Ready" and condition["status"] == "True":
                    heartbeat: str = condition["lastHeartbeatTime"]
                    return heartbeat
        return None

    def _api_answers(self) -> bool:
        return _succeeds([*self._kubectl_command, "get", "--raw=/readyz", "--request-timeout=2s"])

    def _has_default_account(self) -> bool:
        return _succeeds([*self._kubectl_command, "get", "serviceaccount", "default"])

    def _apply(self, objects: list[dict[str, Any]]) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": objects}
        self._kubectl("create", "--filename=-", standard_input=json.dumps(items))

    def _kubectl(self, *arguments: str, standard_input: str | None = None) -> str:
        done = subprocess.run(
            [*self._kubectl_command, *arguments], input=standard_input, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    @property
    def _kubectl_command(self) -> list[str]:
        cache = f"--cache-dir={self.layout.state}/kubectl"  # of a cluster that was here before, another would be wrong
        return [self.layout.binary("hyperkube"), "kubectl", f"--kubeconfig={self.layout.kubeconfig()}", cache]


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


__all__ = ["REGISTRY", "ClusterError", "Layout", "SingleNode"]
