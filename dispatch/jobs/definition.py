"""The job definition: the decorated function with its verbs `enqueue`, `call`, `options` and `.sync`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, NoReturn, ParamSpec, TypeVar, cast, get_args

from typing_extensions import Unpack

from dispatch.current import AppPort, app_for_blocking, app_here, on_app
from dispatch.entity import shown
from dispatch.errors import InvalidArguments, InvalidDefinition
from dispatch.ids import JobID
from dispatch.jobs.handle import JobHandle, SyncJobHandle
from dispatch.jobs.handler import Middleware
from dispatch.jobs.model import NewJob
from dispatch.jobs.options import NOTHING, EnqueueOptions, OptionsDict, build_job
from dispatch.jobs.unique import Keyed
from dispatch.scope import Scope

P = ParamSpec("P")
R = TypeVar("R")
Handle = TypeVar("Handle", JobHandle[Any], SyncJobHandle[Any])

ExecutorName = Literal["async", "thread", "process"]
LARGEST_BATCH = 10_000
_OTHER_LIBRARIES = frozenset({"delay", "apply_async", "send", "send_with_options", "enqueue_call", "defer", "kiq"})


class CallOptions(OptionsDict, total=False):
    """The keyword arguments of `.options(...)`: the job's, and the connection whose transaction it is a part of."""

    connection: Any


class Call(Generic[R]):
    """One validated call of a definition: what `enqueue` sends, as a value."""

    __slots__ = ("arguments", "definition", "effective", "options", "payload")

    def __init__(
        self,
        definition: JobDefinition[..., R],
        arguments: dict[str, Any],
        options: EnqueueOptions,
        effective: EnqueueOptions | None = None,
    ) -> None:
        self.definition = definition
        self.arguments = arguments
        self.options = options
        self.effective = options.over(definition.settings) if effective is None else effective
        """The options of this call over those of its definition; who makes many calls finds them once."""
        self.payload = definition.signature.dump(arguments)

    def new_job(self, *, scope: Scope, idempotency_ttl: float, metadata: Mapping[str, Any] | None = None) -> NewJob:
        """The row this call asks for."""
        definition = self.definition
        options = self.effective
        if options is NOTHING and not metadata:
            return NewJob(JobID.new(), definition.name, self.payload, scope=scope)
        return build_job(
            name=definition.name,
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
        return f"<Call {self.definition.name}>"


class _Door(Generic[P, R]):
    """The verbs, over a definition and the options chosen so far."""

    _definition: JobDefinition[..., R]
    _chosen: EnqueueOptions
    _connection: object | None = None

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """The call as a value: validated now, sent by `enqueue_many`. Raises InvalidArguments."""
        if self._connection is not None:
            raise InvalidArguments(
                f"a call is a value and keeps no connection; give it to the enqueue: "
                f"{self._definition.name}.options(connection=…).enqueue_many([{self._definition.name}.call(…)])"
            )
        return self._call(args, kwargs)

    def _call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call[R]:
        definition = self._definition
        return Call(definition, definition.signature.validate(args, kwargs), self._chosen)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobHandle[R]:
        """Queues one call, durably, and returns its handle.

        Raises InvalidArguments, PayloadTooLarge, DuplicateJob, IdempotencyMismatch, NoOpenApp, StoreError, and
        NotTransactional for a `connection` that cannot carry the job.
        """
        handle: JobHandle[R] = (await self._send([self._call(args, kwargs)]))[0]
        return handle

    async def enqueue_many(
        self, calls: Iterable[Call[R] | tuple[Sequence[Any], Mapping[str, Any]]]
    ) -> list[JobHandle[R]]:
        """Queues up to 10,000 calls in one transaction, all or none; those skipped by on_conflict="skip" are left out.

        Raises as `enqueue`.
        """
        batch = self._calls(calls)
        return _without_skipped(batch, await self._send(batch))

    async def _send(self, calls: Sequence[Call[R]]) -> list[JobHandle[Any]]:
        connection = self._connection
        if connection is None:
            return await on_app(lambda app: app.enqueue_calls(calls))
        # on this loop, not the app's: the connection belongs to it
        return await (await app_here()).enqueue_inside(calls, connection)

    @property
    def sync(self) -> SyncDoor[P, R]:
        """The same verbs for synchronous code."""
        return SyncDoor(self)

    def _calls(self, calls: Iterable[Call[R] | tuple[Sequence[Any], Mapping[str, Any]]]) -> list[Call[R]]:
        definition, chosen = self._definition, self._chosen
        validate, effective = definition.signature.validate, chosen.over(definition.settings)
        batch: list[Call[R]] = []
        for item in calls:
            if isinstance(item, Call):
                batch.append(item)
                continue
            args, kwargs = _taken_apart(item, definition.name)
            batch.append(Call(definition, validate(args, kwargs), chosen, effective))
        if len(batch) > LARGEST_BATCH:
            raise InvalidArguments(
                f"{len(batch)} calls in one enqueue_many; at most {LARGEST_BATCH} fit one transaction"
            )
        return batch


class BoundJob(_Door[P, R]):
    """A definition with options for the calls made through it."""

    def __init__(
        self, definition: JobDefinition[P, R], chosen: EnqueueOptions, connection: object | None = None
    ) -> None:
        self._definition = definition
        self._chosen = chosen
        self._connection = connection

    def options(self, **options: Unpack[CallOptions]) -> BoundJob[P, R]:
        """The same with more options."""
        connection = _taken_connection(options) or self._connection
        chosen = EnqueueOptions.of(options).over(self._chosen)
        return BoundJob(cast("JobDefinition[P, R]", self._definition), chosen, connection)


class SyncDoor(Generic[P, R]):
    """`enqueue` and `enqueue_many` for code that runs on no event loop; SyncInAsync where one is running."""

    def __init__(self, bound: _Door[P, R]) -> None:
        self._bound = bound

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> SyncJobHandle[R]:
        """As JobDefinition.enqueue, blocking."""
        handle: SyncJobHandle[R] = self._send([self._bound._call(args, kwargs)])[0]
        return handle

    def enqueue_many(
        self, calls: Iterable[Call[R] | tuple[Sequence[Any], Mapping[str, Any]]]
    ) -> list[SyncJobHandle[R]]:
        """As JobDefinition.enqueue_many, blocking."""
        batch = self._bound._calls(calls)
        return _without_skipped(batch, self._send(batch))

    def _send(self, calls: Sequence[Call[R]]) -> list[SyncJobHandle[Any]]:
        app: AppPort = app_for_blocking()
        connection = self._bound._connection
        return app.enqueue_blocking(calls) if connection is None else app.enqueue_inside_blocking(calls, connection)


def _taken_apart(item: object, name: str) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The positional and the named arguments of one call of enqueue_many."""
    if isinstance(item, tuple | list) and len(item) == 2:
        args, kwargs = item
        if type(args) is tuple and type(kwargs) is dict:  # the usual ones: asking the abstract classes takes a while
            return args, kwargs
        if isinstance(args, Sequence) and not isinstance(args, str | bytes) and isinstance(kwargs, Mapping):
            return args, kwargs
    raise InvalidArguments(
        f"enqueue_many got {shown(item)}, which is no call: give {name}.call(...), or a pair of positional and named "
        "arguments such as ((1, 2), {'name': 3})"
    )


def _taken_connection(options: CallOptions) -> object | None:
    """Takes the connection out of the options: it is none of the job's."""
    connection: object | None = options.pop("connection", None)
    return connection


def _without_skipped(calls: Sequence[Call[R]], handles: Sequence[Handle]) -> list[Handle]:
    return [
        handle
        for call, handle in zip(calls, handles, strict=True)
        if handle.created or call.effective.on_conflict != "skip"
    ]


class JobDefinition(Keyed, _Door[P, R]):
    """A function that is a job: called, it runs here and now; `enqueue` queues it."""

    kind = "job"

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        settings: EnqueueOptions = NOTHING,
        executor: ExecutorName | None = None,
        retry_on: tuple[type[BaseException], ...] | None = None,
        fail_on: tuple[type[BaseException], ...] = (),
        middleware: Sequence[Middleware] = (),
    ) -> None:
        super().__init__(function, name=name)
        if executor is not None and executor not in get_args(ExecutorName):
            raise InvalidDefinition(
                f"{self.name}: executor is {executor!r}; it is one of {', '.join(get_args(ExecutorName))}"
            )
        if executor == "thread" and self.is_async:
            raise InvalidDefinition(f"{self.name} is `async def`, which runs on the event loop; drop executor='thread'")
        if executor == "async" and not self.is_async:
            raise InvalidDefinition(
                f"{self.name} is a plain function, which would block the event loop; drop executor='async'"
            )
        self.settings = settings
        self.executor: ExecutorName = executor or ("async" if self.is_async else "thread")
        self.retry_on = retry_on
        self.fail_on = fail_on
        self.middleware = tuple(middleware)
        self._definition = self
        self._chosen = NOTHING
        self._learn(settings)

    def options(self, **options: Unpack[CallOptions]) -> BoundJob[P, R]:
        """This job with options for the calls made through the result; they never mix with the function's arguments.

        With `connection` (a connection or session to the database that holds the store) the job becomes a part of that
        connection's transaction: it exists if and only if the caller commits.

        >>> await send_email.options(queue="critical", delay=600).enqueue(Email(...))  # doctest: +SKIP
        >>> await send_email.options(connection=session).enqueue(Email(...))  # doctest: +SKIP
        """
        connection = _taken_connection(options)
        return BoundJob(self, EnqueueOptions.of(options), connection)

    def __getattr__(self, name: str) -> NoReturn:
        if name in _OTHER_LIBRARIES:
            raise AttributeError(
                f"{self.name}.{name}: use `await {self.name}.enqueue(...)`, or {self.name}.sync.enqueue(...)"
            )
        raise AttributeError(f"the job {self.__dict__.get('name', '?')} has no attribute {name!r}")


class AsyncJobDefinition(JobDefinition[P, R]):
    """A job written as `async def`."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Runs the function here and now; nothing is queued."""
        return cast("Coroutine[Any, Any, R]", self.function(*args, **kwargs))


class PlainJobDefinition(JobDefinition[P, R]):
    """A job written as a plain function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the function here and now; nothing is queued."""
        return cast("R", self.function(*args, **kwargs))
