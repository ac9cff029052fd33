"""The commands of the processes that make the control plane."""

from tests.cluster.single_node.layout import NODE_IP, POD_CIDR, SERVICE_CIDR, Layout

LOST_SECONDS = 20  # without a heartbeat, of which there is one in ten seconds


def etcd(layout: Layout) -> list[str]:
    # a throwaway cluster has nothing to lose by not waiting for the disk
    return [layout.binary("etcd"), "--data-dir", f"{layout.state}/etcd", "--unsafe-no-fsync"]


def api_server(layout: Layout) -> list[str]:
    pki = layout.pki
    return [
        layout.binary("hyperkube"),
        "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        f"--bind-address={NODE_IP}",
        f"--advertise-address={NODE_IP}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-client-certificate={pki}/admin.crt",
        f"--kubelet-client-key={pki}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/service-accounts.key",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
    ]


def controllers(layout: Layout) -> list[str]:
    return [
        layout.binary("hyperkube"),
        "kube-controller-manager",
        f"--kubeconfig={layout.kubeconfig()}",
        "--leader-elect=false",
        f"--service-account-private-key-file={layout.pki}/service-accounts.key",
        f"--root-ca-file={layout.pki}/ca.crt",
        f"--cluster-cidr={POD_CIDR}",
        f"--node-monitor-grace-period={LOST_SECONDS}s",
    ]


def scheduler(layout: Layout) -> list[str]:
    return [layout.binary("hyperkube"), "kube-scheduler", f"--kubeconfig={layout.kubeconfig()}", "--leader-elect=false"]
