"""What the cluster changes in the machine's network and kernel, and how that is undone."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

from tests.cluster.single_node.layout import NODE_BRIDGE, NODE_IP, POD_BRIDGE, Layout

# set by us (the first), by the proxy and by the kubelet
KERNEL_SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
RULES_OF_KUBERNETES = re.compile(r"\b(KUBE|CNI)-")
NAMESPACES = Path("/run/netns")


def connect(layout: Layout) -> None:
    """The node's address on a bridge of its own: not every kernel has dummy devices."""
    before = {name: _setting(name).read_text().strip() for name in KERNEL_SETTINGS if _setting(name).exists()}
    (layout.state / "before.json").write_text(json.dumps({"kernel": before, "namespaces": pod_namespaces()}))
    _ip("link", "add", NODE_BRIDGE, "type", "bridge")
    _ip("address", "add", f"{NODE_IP}/32", "dev", NODE_BRIDGE)
    _ip("link", "set", NODE_BRIDGE, "up")
    _setting("net/ipv4/ip_forward").write_text("1")


def is_connected() -> bool:
    return NODE_BRIDGE in _links()


def disconnect(layout: Layout) -> None:
    for namespace in new_pod_namespaces(layout):
        _ip("netns", "delete", namespace)
    links = _links()
    for bridge in (POD_BRIDGE, NODE_BRIDGE):
        if bridge in links:
            _ip("link", "delete", bridge)
    for family in ("iptables", "ip6tables"):
        _remove_rules(family)
    for name, value in _before(layout)["kernel"].items():
        if _setting(name).read_text().strip() != value:
            _setting(name).write_text(value)


def rules_of_kubernetes() -> bool:
    """Whether a Kubernetes, this one or another, has packet rules on this machine."""
    saved = subprocess.run(["iptables-save"], check=True, capture_output=True, text=True).stdout
    return any(RULES_OF_KUBERNETES.search(line) for line in saved.splitlines())


def pod_namespaces() -> list[str]:
    return [path.name for path in NAMESPACES.glob("cni-*")]


def new_pod_namespaces(layout: Layout) -> list[str]:
    """Those that were not there before the cluster."""
    return sorted(set(pod_namespaces()) - set(_before(layout)["namespaces"]))


def _links() -> list[str]:
    return [name for _index, name in socket.if_nameindex()]


def _remove_rules(family: str) -> None:
    saved = subprocess.run([f"{family}-save"], check=True, capture_output=True, text=True).stdout.splitlines(
        keepends=True
    )
    kept = [line for line in saved if not RULES_OF_KUBERNETES.search(line)]
    if kept != saved:
        subprocess.run([f"{family}-restore"], check=True, input="".join(kept), text=True)


def _before(layout: Layout) -> dict[str, Any]:
    """What was there; where nobody wrote it down, all that is there now."""
    file = layout.state / "before.json"
    return json.loads(file.read_text()) if file.exists() else {"kernel": {}, "namespaces": pod_namespaces()}


def _setting(name: str) -> Path:
    return Path("/proc/sys") / name


def _ip(*arguments: str | os.PathLike[str]) -> None:
    subprocess.run(["ip", *arguments], check=True)
