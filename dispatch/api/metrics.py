"""The measurements of one app as Prometheus reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatch.errors import MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class PrometheusText:
    """A meter provider of its own, `provider`, to be given to an app; `text()` is what it has measured so far.

    Raises:
        MissingExtra: the exporter is not installed.
    """

    def __init__(self) -> None:
        try:
            from opentelemetry.exporter.prometheus import PrometheusMetricReader
            from opentelemetry.sdk.metrics import MeterProvider
            from prometheus_client import CollectorRegistry
        except ImportError as error:
            raise MissingExtra(
                f"/metrics needs {error.name}, which is not installed: pip install 'dispatch-tasks[prometheus]'"
            ) from None
        self._registry = CollectorRegistry()
        reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=self._registry)
        self.provider: MeterProvider = MeterProvider([reader])

    def text(self) -> bytes:
        """All measurements, in the text format 0.0.4."""
        from prometheus_client import generate_latest

        found: bytes = generate_latest(self._registry)
        return found
