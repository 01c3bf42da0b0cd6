"""The election itself: one Lease object, changed only by whoever read its latest version."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dispatch.clock import boot_seconds, utc_now
from dispatch.cluster import Leadership
from dispatch.errors import MissingExtra, StoreUnreachable
from dispatch.ids import WorkerID

if TYPE_CHECKING:
    from lightkube import AsyncClient
    from lightkube.resources.coordination_v1 import Lease

_GONE, _CONFLICT = 404, 409
_ATTEMPTS = 5
"""How often a resignation that meets a renewal is written anew."""


@dataclass(frozen=True, slots=True)
class _Record:
    """What of a Lease tells whether its holder lives."""

    holder: str
    renewed: datetime | None
    transitions: int


class KubernetesLeaderElector:
    """A LeaderElector on a Lease, by the rules of client-go.

    A holder counts as lost when its record has not changed for a lease by this machine's own clock since it was first
    seen here: the clocks of the machines need not agree. A write that meets a newer version (409) has lost.

    Args:
        name: of the Lease. namespace: where it lives (default: the pod's own). server: the API's URL (default: the
            pod's service account, else the kubeconfig).
        lease: seconds; use the worker's `leader_lease`.

    Raises:
        MissingExtra: lightkube is not installed. ConfigError of lightkube: there is no cluster to talk to.
    """

    def __init__(
        self,
        name: str = "dispatch",
        *,
        namespace: str | None = None,
        server: str | None = None,
        lease: float = 15.0,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self._name = name
        self._namespace = namespace
        self._server = server
        self._lease = lease
        self._clock = clock
        self._client: AsyncClient | None = None
        self._seen: _Record | None = None
        self._seen_at = 0.0
        self._held = False

    async def campaign(self, worker_id: WorkerID) -> int | None:
        """Renews, takes over a Lease that is free or lapsed, or answers None. StoreUnreachable when the API is not.

        Who has lost the Lease lets others go first: it may have been told to resign.
        """
        with self._telling():
            term = await self._campaign(worker_id)
            self._held = term is not None
            return term

    async def _campaign(self, worker_id: WorkerID) -> int | None:
        lease = await self._read()
        if lease is None:
            return await self._create(worker_id)
        record = _record_of(lease)
        if record != self._seen:
            self._seen, self._seen_at = record, self._clock()
        if record.holder == worker_id:
            return await self._write(lease, worker_id, record.transitions)
        lives = record.holder and self._clock() - self._seen_at < self._duration(lease)
        if lives or self._held:
            return None
        return await self._write(lease, worker_id, record.transitions + 1)

    async def leadership(self) -> Leadership | None:
        """Who holds the Lease, in which term, and until when by the holder's clock; None when nobody does."""
        with self._telling():
            lease = await self._read()
        if lease is None:
            return None
        record = _record_of(lease)
        if not record.holder or record.renewed is None:
            return None
        until = record.renewed + timedelta(seconds=self._duration(lease))
        return None if until < utc_now() else Leadership(WorkerID(record.holder), record.transitions, until)

    async def resign(self, worker_id: WorkerID) -> None:
        """Empties the Lease if this worker holds it, so that the next one need not wait."""
        self._held = False
        with self._telling():
            for _ in range(_ATTEMPTS):
                lease = await self._read()
                if lease is None or _record_of(lease).holder != worker_id:
                    return
                if await self._write(lease, "", _record_of(lease).transitions) is not None:
                    return

    async def close(self) -> None:
        """Closes the connections to the API; the next campaign opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _duration(self, lease: Lease) -> float:
        theirs = lease.spec.leaseDurationSeconds if lease.spec else None
        return max(self._lease, float(theirs or 0))

    async def _read(self) -> Lease | None:
        from lightkube import ApiError
        from lightkube.resources.coordination_v1 import Lease

        try:
            return await self._api().get(Lease, self._name)
        except ApiError as error:
            if error.status.code == _GONE:
                return None
            raise

    async def _create(self, worker_id: WorkerID) -> int | None:
        from lightkube import ApiError
        from lightkube.models.coordination_v1 import LeaseSpec
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.coordination_v1 import Lease

        now = utc_now()
        spec = LeaseSpec(
            holderIdentity=str(worker_id),
            leaseDurationSeconds=math.ceil(self._lease),
            acquireTime=now,
            renewTime=now,
            leaseTransitions=1,
        )
        try:
            await self._api().create(Lease(metadata=ObjectMeta(name=self._name), spec=spec))
        except ApiError as error:
            if error.status.code == _CONFLICT:
                return None
            raise
        return 1

    async def _write(self, lease: Lease, holder: str, transitions: int) -> int | None:
        """Writes over the very version that was read; None when somebody else wrote first."""
        from lightkube import ApiError
        from lightkube.models.coordination_v1 import LeaseSpec

        now = utc_now()
        before = lease.spec or LeaseSpec()
        lease.spec = LeaseSpec(
            holderIdentity=str(holder),
            leaseDurationSeconds=math.ceil(self._lease),
            acquireTime=before.acquireTime if transitions == before.leaseTransitions else now,
            renewTime=now,
            leaseTransitions=transitions,
        )
        try:
            await self._api().replace(lease)
        except ApiError as error:
            if error.status.code in (_CONFLICT, _GONE):
                return None
            raise
        return transitions

    def _api(self) -> AsyncClient:
        if self._client is None:
            try:
                from lightkube import AsyncClient, KubeConfig
                from lightkube.config import models
            except ImportError:
                raise MissingExtra(
                    'the Kubernetes elector needs lightkube: pip install "dispatch-tasks[k8s]"'
                ) from None
            if self._server:
                config = KubeConfig.from_one(cluster=models.Cluster(server=self._server), user=models.User())
            else:
                config = KubeConfig.from_env()
            timeout: Any = max(1.0, self._lease / 3)
            self._client = AsyncClient(config, namespace=self._namespace, timeout=timeout)
        return self._client

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What the API or the way to it has against a request, as an error that the worker waits out."""
        import httpx2
        from lightkube import ApiError

        try:
            yield
        except (ApiError, httpx2.HTTPError, OSError) as error:
            text = str(error) or type(error).__name__
            where = f"the Lease {self._name!r} of Kubernetes"
            raise StoreUnreachable(f"{where} cannot be read or written from {socket.gethostname()}: {text}") from error


def _record_of(lease: Lease) -> _Record:
    spec = lease.spec
    if spec is None:
        return _Record("", None, 0)
    return _Record(spec.holderIdentity or "", spec.renewTime, spec.leaseTransitions or 0)
