"""Leader election on a Kubernetes Lease: `plugins = ["k8s"]`, settings under [plugin.k8s]."""

from dispatch_k8s.elector import KubernetesLeaderElector
from dispatch_k8s.plugin import KubernetesPlugin

__all__ = ["KubernetesLeaderElector", "KubernetesPlugin"]
