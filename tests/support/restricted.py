"""The restricted Pod Security Standard, read from its text, and the little more that this project asks of a pod.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from typing import Any

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip


def violations(pod: dict[str, Any]) -> list[str]:
    """What of a pod's spec is not restricted, or is writable though it need not be."""
    context = pod.get("securityContext", {})
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    if context.get("runAsNonRoot") is not True or context.get("runAsUser") == 0:
        found.append("runAsNonRoot")
    if context.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        found.append("seccompProfile")
    found += [key for key in ("sysctls", "windowsOptions", "seLinuxOptions", "appArmorProfile") if key in context]
    for volume in pod.get("volumes", []):
        found += [f"volume {volume['name']}: {key}" for key in volume if key not in {"name", *VOLUMES}]
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        own, name = container.get("securityContext", {}), container["name"]
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            found.append(f"{name}: privileges")
        if own.get("capabilities") != {"drop": ["ALL"]}:
            found.append(f"{name}: capabilities")
        if own.get("readOnlyRootFilesystem") is not True:
            found.append(f"{name}: readOnlyRootFilesystem")
        if own.get("runAsUser") == 0 or own.get("runAsNonRoot") is False or "procMount" in own:
            found.append(f"{name}: weaker than its pod")
        if any("hostPort" in port for port in container.get("ports", [])):
            found.append(f"{name}: hostPort")
    return found
