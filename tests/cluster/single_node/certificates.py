"""The cluster's certificate authority, and a kubeconfig a client."""

import json
import subprocess
from pathlib import Path

from tests.cluster.single_node.layout import API_SERVER, API_SERVICE_IP, NODE, NODE_IP, Layout

DAYS = "30"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_all(layout: Layout) -> None:
    pki = layout.pki
    pki.mkdir(mode=0o700)
    _openssl(
        "req", "-x509", *NEW_KEY, "-days", DAYS, "-subj", "/CN=ca", "-keyout", pki / "ca.key", "-out", pki / "ca.crt"
    )
    _openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", pki / "service-accounts.key")
    names = (
        "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default",
        "DNS:kubernetes",
        f"IP:{NODE_IP}",
        f"IP:{API_SERVICE_IP}",
    )
    _certificate(pki, "apiserver", user="kube-apiserver", group="system:masters", names=",".join(names))
    _client(layout, "admin", user="admin", group="system:masters")
    _client(layout, "kubelet", user=f"system:node:{NODE}", group="system:nodes")


def _certificate(pki: Path, file: str, user: str, group: str, names: str = "DNS:localhost") -> None:
    key, request, extensions = pki / f"{file}.key", pki / f"{file}.csr", pki / f"{file}.ext"
    extensions.write_text(f"subjectAltName={names}")
    _openssl("req", *NEW_KEY, "-keyout", key, "-subj", f"/O={group}/CN={user}", "-out", request)
    _openssl(
        "x509", "-req", "-in", request, "-CA", pki / "ca.crt", "-CAkey", pki / "ca.key", "-CAcreateserial",
        "-days", DAYS, "-extfile", extensions, "-out", pki / f"{file}.crt",
    )  # fmt: skip


def _client(layout: Layout, name: str, user: str, group: str) -> None:
    pki = layout.pki
    _certificate(pki, name, user, group)
    cluster = {"server": API_SERVER, "certificate-authority": str(pki / "ca.crt")}
    credentials = {"client-certificate": str(pki / f"{name}.crt"), "client-key": str(pki / f"{name}.key")}
    file = layout.kubeconfig(name)
    file.touch(mode=0o600)
    # JSON is YAML too
    file.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "single-node", "cluster": cluster}],
                "users": [{"name": name, "user": credentials}],
                "contexts": [{"name": "single-node", "context": {"cluster": "single-node", "user": name}}],
                "current-context": "single-node",
            },
            indent=2,
        )
    )


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
