"""Where one app's spans and measurements go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dispatch.telemetry.instruments import Instruments, instruments
from dispatch.telemetry.providers import global_meter_provider, global_tracer_provider

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from dispatch.telemetry.spans import Spans


class Telemetry:
    """The providers of one app: those it was given, else those that the process has set, by the time they are needed.

    Args:
        tracer_provider, meter_provider: None: the process's own, if it sets any.
        follow: work goes on in the trace of what asked for it; False gives each attempt a trace of its own, linked to
            that.
        enabled: False records nothing.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        follow: bool = True,
        enabled: bool = True,
    ) -> None:
        self._tracer_provider = tracer_provider
        self._meter_provider = meter_provider
        self._enabled = enabled
        self._spans: Spans | None = None
        self._instruments: Instruments | None = None
        self.follow = follow

    @property
    def tracer_provider(self) -> TracerProvider | None:
        """Where spans go; None: nowhere."""
        return self._tracer_provider or (global_tracer_provider() if self._enabled else None)

    @property
    def meter_provider(self) -> MeterProvider | None:
        """Where measurements go; None: nowhere."""
        return self._meter_provider or (global_meter_provider() if self._enabled else None)

    @property
    def spans(self) -> Spans | None:
        """What makes spans; None while they would go nowhere."""
        if self._spans is None:
            provider = self._tracer_provider or (global_tracer_provider() if self._enabled else None)
            if provider is not None:
                from dispatch.telemetry.spans import Spans

                self._spans = Spans(provider, follow=self.follow)
        return self._spans

    @property
    def instruments(self) -> Instruments | None:
        """What measures; None while measurements would go nowhere."""
        if self._instruments is None:
            provider = self.meter_provider
            if provider is not None:
                self._instruments = instruments(provider)
        return self._instruments

    def measure_with(self, provider: MeterProvider) -> None:
        """Measurements go there, unless the app was given a provider."""
        self._meter_provider = self._meter_provider or provider


OFF = Telemetry(enabled=False)
"""Records nothing."""
