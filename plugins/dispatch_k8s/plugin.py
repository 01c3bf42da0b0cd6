"""The plugin: gives the worker's elections to the cluster that it runs in."""

from __future__ import annotations

from dispatch import hookimpl
from dispatch_k8s.elector import KubernetesLeaderElector


class KubernetesPlugin:
    """Elects the leader with a coordination.k8s.io/v1 Lease instead of the store.

    Args:
        name: of the Lease; one for each application. namespace: where it lives (default: the pod's own).
        server: the API's URL, where neither the pod's service account nor a kubeconfig tells it.
    """

    def __init__(self, name: str = "dispatch", namespace: str | None = None, server: str | None = None) -> None:
        self._name = name
        self._namespace = namespace
        self._server = server
        self._elector: KubernetesLeaderElector | None = None

    @hookimpl
    def register_leader_elector(self, lease: float) -> KubernetesLeaderElector:
        """The elector, holding its Lease for `lease` seconds."""
        self._elector = KubernetesLeaderElector(self._name, namespace=self._namespace, server=self._server, lease=lease)
        return self._elector

    @hookimpl
    async def shutdown(self) -> None:
        """Closes the way to the API."""
        if self._elector is not None:
            await self._elector.close()
