"""A Kubernetes of one node from plain binaries, for machines without Docker: root on Linux, nothing else.

    python -m tests.cluster.single_node up      # about ten seconds; needs the binaries that install.sh fetches or builds
    eval "$(python -m tests.cluster.single_node env)"
    kubectl get nodes
    python -m tests.cluster.single_node down    # no process, interface, mount or rule stays behind

It has DNS, services, RBAC, pod security, volumes, two pretend `nvidia.com/gpu` and a registry on 127.0.0.1:5000 that
the node pulls from (`python -m tests.cluster.images` puts this project's images there). Its network does not enforce
network policies.

Read `cluster.py` first: it starts the parts in order.
"""
