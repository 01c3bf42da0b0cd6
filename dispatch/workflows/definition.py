"""The workflow definition: the decorated function with its verbs `start`, `execute`, `call`, `options` and `.sync`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from typing_extensions import Unpack

from dispatch.clock import Duration
from dispatch.current import app_for_blocking, on_app
from dispatch.errors import InvalidArguments, InvalidDefinition
from dispatch.ids import RunID
from dispatch.jobs.options import NOTHING, EnqueueOptions, OptionsDict, build_job
from dispatch.jobs.unique import Keyed
from dispatch.portal import run_sync
from dispatch.scope import Scope
from dispatch.workflows.first_parameter import takes_context
from dispatch.workflows.handle import RunHandle, SyncRunHandle, sync_run_handle
from dispatch.workflows.model import NewRun, driver_id, driver_name

if TYPE_CHECKING:
    from dispatch.workflows.context import WorkflowContext

P = ParamSpec("P")
R = TypeVar("R")


class WorkflowCall(Generic[R]):
    """One validated call of a workflow: what `start` sends, as a value."""

    __slots__ = ("arguments", "definition", "options", "payload")

    def __init__(
        self, definition: WorkflowDefinition[..., R], arguments: dict[str, Any], options: EnqueueOptions
    ) -> None:
        self.definition = definition
        self.arguments = arguments
        self.options = options
        self.payload = definition.signature.dump(arguments)

    @property
    def effective(self) -> EnqueueOptions:
        """The options of this call over those of its definition."""
        settings = self.definition.settings
        return settings if self.options is NOTHING else self.options.over(settings)

    def new_run(self, *, scope: Scope, idempotency_ttl: float, metadata: Mapping[str, Any] | None = None) -> NewRun:
        """The run this call asks for, with its driver."""
        definition, options = self.definition, self.effective
        return build_run(
            name=definition.name,
            version=definition.version,
            payload=self.payload,
            options=options,
            row=self.options,
            scope=scope,
            idempotency_ttl=idempotency_ttl,
            unique_value=definition.unique_value(options, self.arguments),
            concurrency_value=definition.concurrency_value(options, self.arguments),
            metadata=metadata,
        )

    def __repr__(self) -> str:
        return f"<WorkflowCall {self.definition.name}>"


def build_run(
    *,
    name: str,
    version: int,
    payload: bytes,
    options: EnqueueOptions,
    row: EnqueueOptions,
    scope: Scope,
    idempotency_ttl: float,
    unique_value: object = None,
    concurrency_value: object = None,
    default_queue: str = "default",
    metadata: Mapping[str, Any] | None = None,
) -> NewRun:
    """The NewRun of a call: as `build_job`, whose keys are made different from those of jobs."""
    refused = _refused(options)
    if refused:
        raise InvalidArguments(f"{name}: {refused}")
    job = build_job(
        name=name,
        payload=payload,
        options=options,
        row=row,
        scope=scope,
        idempotency_ttl=idempotency_ttl,
        unique_value=unique_value,
        concurrency_value=concurrency_value,
        default_queue=default_queue,
        metadata=metadata,
    )
    run_id = RunID.new()
    driver = replace(
        job,
        id=driver_id(run_id),
        name=driver_name(name, version),
        kind="workflow",
        run_id=run_id,
        concurrency_key=job.concurrency_key and f"@{job.concurrency_key}",
        unique=job.unique and replace(job.unique, key=f"@{job.unique.key}"),
        idempotency=job.idempotency and replace(job.idempotency, fingerprint=f"@{job.idempotency.fingerprint}"),
    )
    return NewRun(run_id, name, version, driver)


def _refused(options: EnqueueOptions) -> str:
    """Why these options do not fit a workflow; '' when they do."""
    if options.on_conflict == "replace":
        return 'on_conflict="replace" is for jobs; a run that holds the unique key is answered, or "raise" refuses'
    if options.unique_until == "start":
        return 'unique_until="start" is for jobs; a run holds its unique key until it ends'
    if options.keep_result is not None:
        return "keep_result is for jobs; a run keeps its result as long as its row"
    return ""


class _Door(Generic[P, R]):
    """The verbs, over a definition and the options chosen so far."""

    _definition: WorkflowDefinition[..., R]
    _chosen: EnqueueOptions

    def call(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowCall[R]:
        """The call as a value, validated now. Raises InvalidArguments."""
        definition = self._definition
        return WorkflowCall(definition, definition.signature.validate(args, kwargs), self._chosen)

    async def start(self, *args: P.args, **kwargs: P.kwargs) -> RunHandle[R]:
        """Starts a run, durably, and returns its handle; the work happens on the workers.

        Raises InvalidArguments, PayloadTooLarge, DuplicateJob, IdempotencyMismatch, NoOpenApp, StoreError.
        """
        call = self.call(*args, **kwargs)
        return cast("RunHandle[R]", (await on_app(lambda app: app.start_runs([call])))[0])

    @overload
    async def execute(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def execute(self, *args: Any, timeout: Duration, **kwargs: Any) -> R: ...
    async def execute(self, *args: Any, **kwargs: Any) -> R:
        """Starts a run and waits for its result, at most `timeout` (seconds, timedelta or "30s"; left out: for ever).

        A workflow that has a parameter `timeout` of its own gets it; bound the wait with `start(...)` and
        `result(timeout=...)` then. Raises as `start` and `RunHandle.result`.
        """
        limit = _own(kwargs, "timeout", self._definition)
        return await (await self.start(*args, **kwargs)).result(limit)

    @property
    def sync(self) -> SyncWorkflowDoor[P, R]:
        """The same verbs for synchronous code."""
        return SyncWorkflowDoor(self._definition, self._chosen)


class BoundWorkflow(_Door[P, R]):
    """A definition with options for the calls made through it."""

    def __init__(self, definition: WorkflowDefinition[P, R], chosen: EnqueueOptions) -> None:
        refused = _refused(chosen)
        if refused:
            raise InvalidArguments(f"{definition.name}: {refused}")
        self._definition = definition
        self._chosen = chosen

    def options(self, **options: Unpack[OptionsDict]) -> BoundWorkflow[P, R]:
        """The same with more options."""
        chosen = EnqueueOptions.of(options).over(self._chosen)
        return BoundWorkflow(cast("WorkflowDefinition[P, R]", self._definition), chosen)


class SyncWorkflowDoor(Generic[P, R]):
    """`start` and `execute` for code that runs on no event loop; SyncInAsync where one is running."""

    def __init__(self, definition: WorkflowDefinition[..., R], chosen: EnqueueOptions) -> None:
        self._bound: BoundWorkflow[P, R] = BoundWorkflow(cast("WorkflowDefinition[P, R]", definition), chosen)

    def start(self, *args: P.args, **kwargs: P.kwargs) -> SyncRunHandle[R]:
        """As WorkflowDefinition.start, blocking."""
        call = self._bound.call(*args, **kwargs)
        app = app_for_blocking()
        return sync_run_handle(cast("RunHandle[R]", run_sync(app.loop, lambda: app.start_runs([call]))[0]))

    @overload
    def execute(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def execute(self, *args: Any, timeout: Duration, **kwargs: Any) -> R: ...
    def execute(self, *args: Any, **kwargs: Any) -> R:
        """As WorkflowDefinition.execute, blocking."""
        limit = _own(kwargs, "timeout", self._bound._definition)
        return self.start(*args, **kwargs).result(limit)


def _own(kwargs: dict[str, Any], word: str, definition: WorkflowDefinition[..., Any]) -> Any:
    """Takes a word of ours out of the keyword arguments, unless the workflow has a parameter of that name."""
    return None if word in definition.signature.names else kwargs.pop(word, None)


class WorkflowDefinition(Keyed, _Door[P, R]):
    """A durable workflow, identified by name and version; its first parameter is the WorkflowContext.

    Called with a context it runs its body, which only a worker can give it: `start` it.
    """

    kind = "workflow"
    own_parameters = 1

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        version: int = 1,
        settings: EnqueueOptions = NOTHING,
        retry_on: tuple[type[BaseException], ...] | None = None,
        fail_on: tuple[type[BaseException], ...] = (),
    ) -> None:
        super().__init__(function, name=name)
        if version < 1:
            raise InvalidDefinition(f"{self.name}: version is {version}; it starts at 1")
        if not self.is_async:
            raise InvalidDefinition(f"{self.name}: a workflow is `async def`; put blocking work into its steps")
        if not takes_context(function):
            raise InvalidDefinition(
                f"{self.name}: a workflow's first parameter is its context: "
                f"async def {self.name}(ctx: WorkflowContext, ...)"
            )
        refused = _refused(settings)
        if refused:
            raise InvalidDefinition(f"{self.name}: {refused}")
        self.version = version
        self.settings = settings
        self.retry_on = retry_on
        self.fail_on = fail_on
        self._definition = self
        self._chosen = NOTHING
        self._learn(settings)

    @property
    def key(self) -> tuple[object, ...]:
        return (self.name, self.version)

    @property
    def driver(self) -> str:
        """The name of the jobs that drive its runs."""
        return driver_name(self.name, self.version)

    def options(self, **options: Unpack[OptionsDict]) -> BoundWorkflow[P, R]:
        """This workflow with options for the runs started through the result.

        >>> await checkout.options(unique=order.id).start(order)  # doctest: +SKIP
        """
        return BoundWorkflow(self, EnqueueOptions.of(options))

    def __call__(self, ctx: WorkflowContext, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """The body itself; workers call it."""
        return cast("Coroutine[Any, Any, R]", self.function(ctx, *args, **kwargs))
