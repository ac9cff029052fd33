"""The commands and configuration files of the processes that make the node: containers, kubelet, services, DNS."""

import json
import subprocess

from tests.cluster.single_node.layout import NODE, NODE_IP, PAUSE_IMAGE, POD_BRIDGE, POD_CIDR, REGISTRY, Layout
from tests.cluster.single_node.pause_image import write_pause_image


def containerd(layout: Layout) -> list[str]:
    state = layout.state
    # restrict_oom_score_adj: inside a container even root may not lower oom_score_adj, and without it no pod would start
    (state / "containerd.toml").write_text(f"""\
version = 2
root = "{state}/containerd"
state = "{state}/run"
[grpc]
  address = "{layout.containerd_socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
""")
    (state / "cni").mkdir()
    addresses = {
        "type": "host-local",
        "dataDir": f"{state}/ipam",
        "ranges": [[{"subnet": POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": POD_BRIDGE, "isGateway": True, "ipMasq": True, "hairpinMode": True}
    network = {"cniVersion": "0.4.0", "name": "pods", "plugins": [{**bridge, "ipam": addresses}]}
    (state / "cni/10-pods.conflist").write_text(json.dumps(network, indent=2))
    return ["containerd", "--config", f"{state}/containerd.toml"]


def import_pause_image(layout: Layout) -> None:
    archive = layout.state / "pause.tar"
    write_pause_image(layout.binaries / "pause", PAUSE_IMAGE, archive)
    subprocess.run(layout.ctr("images", "import", str(archive)), check=True, capture_output=True)


def kubelet(layout: Layout) -> list[str]:
    state = layout.state
    (state / "resolv.conf").write_text(f"nameserver {NODE_IP}\n")
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{layout.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",  # no systemd is asked for
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [NODE_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{state}/resolv.conf",
        # the machine is not the cluster's own: what else fills it must not evict pods
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "shutdownGracePeriod": "0s",
        "podLogsDir": f"{state}/pod-logs",
        "volumePluginDir": f"{state}/volume-plugins",
    }
    (state / "kubelet.json").write_text(json.dumps(configuration, indent=2))
    return [
        layout.binary("hyperkube"),
        "kubelet",
        f"--config={state}/kubelet.json",
        f"--kubeconfig={layout.kubeconfig('kubelet')}",
        f"--hostname-override={NODE}",
        f"--node-ip={NODE_IP}",
        f"--root-dir={state}/kubelet",
        f"--cert-dir={layout.pki}/kubelet",
    ]


def proxy(layout: Layout) -> list[str]:
    return [
        layout.binary("hyperkube"),
        "kube-proxy",
        f"--kubeconfig={layout.kubeconfig()}",
        f"--hostname-override={NODE}",
        f"--cluster-cidr={POD_CIDR}",
        "--conntrack-max-per-core=0",  # leaves the machine's limit alone
    ]


def dns(layout: Layout) -> list[str]:
    (layout.state / "Corefile").write_text(f"""\
cluster.local:53 in-addr.arpa:53 {{
  bind {NODE_IP}
  errors
  cache 5
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {layout.kubeconfig()}
  }}
}}
""")
    return [layout.binary("coredns"), "-conf", f"{layout.state}/Corefile"]


def registry(layout: Layout) -> list[str]:
    storage = {"filesystem": {"rootdirectory": f"{layout.state}/registry"}, "delete": {"enabled": True}}
    configuration = {"version": "0.1", "storage": storage, "http": {"addr": REGISTRY}, "log": {"level": "warn"}}
    file = layout.state / "registry.json"
    file.write_text(json.dumps(configuration, indent=2))
    return [layout.binary("registry"), "serve", str(file)]
