"""The registry that @job, @workflow, @cron and @lifespan fill."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from typing_extensions import Unpack

from dispatch.clock import Duration
from dispatch.crons.definition import CronCall, CronDefinition
from dispatch.crons.model import Misfire, Overlap
from dispatch.errors import DuplicateName, InvalidArguments, InvalidDefinition
from dispatch.jobs.base import Definition, runs_async
from dispatch.jobs.definition import AsyncJobDefinition, ExecutorName, JobDefinition, PlainJobDefinition
from dispatch.jobs.handler import Middleware
from dispatch.jobs.options import NOTHING, EnqueueOptions, OptionsDict
from dispatch.workflows.definition import WorkflowDefinition

if TYPE_CHECKING:
    from dispatch.discovery import Discovered
    from dispatch.workflows.context import WorkflowContext

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D", bound="JobDefinition[..., Any] | WorkflowDefinition[..., Any] | CronDefinition")
F = TypeVar("F", bound="Callable[..., Any]")
Lifespan = Callable[[], AsyncIterator[Any]]


class JobSettings(OptionsDict, total=False):
    """Everything `@job(...)` takes: a job's default options and what only its definition can say."""

    name: str
    executor: ExecutorName
    retry_on: tuple[type[BaseException], ...]
    fail_on: tuple[type[BaseException], ...]
    middleware: Sequence[Middleware]


class WorkflowSettings(OptionsDict, total=False):
    """Everything `@workflow(...)` takes: a run's default options and what only its definition can say."""

    name: str
    version: int
    retry_on: tuple[type[BaseException], ...]
    fail_on: tuple[type[BaseException], ...]


_DEFINITION_ONLY = ("name", "executor", "retry_on", "fail_on", "middleware")
_JOB_OPTIONS = frozenset((*OptionsDict.__annotations__, *_DEFINITION_ONLY))
_WORKFLOW_ONLY = ("name", "version", "retry_on", "fail_on")
_WORKFLOW_OPTIONS = frozenset((*OptionsDict.__annotations__, *_WORKFLOW_ONLY)) - {"keep_result", "unique_until"}


class JobDecorator(Protocol):
    """What `@job(...)` with options is."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncJobDefinition[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> PlainJobDefinition[P, R]: ...


class WorkflowDecorator(Protocol):
    """What `@workflow(...)` with options is."""

    def __call__(
        self, function: Callable[Concatenate[WorkflowContext, P], Coroutine[Any, Any, R]], /
    ) -> WorkflowDefinition[P, R]: ...


class Registry:
    """Definitions by name. One a process by default; make your own to keep applications apart."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobDefinition[..., Any]] = {}
        self.workflows: dict[tuple[str, int], WorkflowDefinition[..., Any]] = {}
        self.crons: dict[str, CronDefinition] = {}
        self.lifespans: dict[tuple[str, str], Lifespan] = {}

    def add(self, definition: D) -> D:
        """Adds a definition. The same function again (reload, `__main__`) replaces itself.

        Raises DuplicateName when another function has that name; both places are named.
        """
        known = self._shelf(definition)
        key = definition.key if isinstance(definition, WorkflowDefinition) else definition.name
        present = known.get(key)
        stacked = isinstance(definition, CronDefinition) and present is not None and present.target is definition.target
        if present is not None and (present.origin != definition.origin or stacked):
            raise DuplicateName(
                f"two {definition.kind}s are called {definition.name!r}: {present.place} and {definition.place}. "
                f"Give one of them another name: @{definition.kind}(name=...)"
            )
        known[key] = definition
        return definition

    def discover(self, *targets: str, folder: Path | None = None) -> Discovered:
        """Imports modules, packages or files, whose decorators fill this registry; see `dispatch.discovery`.

        Raises DiscoveryError, which names the file, the line and a likely fix.
        """
        from dispatch.discovery import discover

        return discover(*targets, folder=folder)

    def names(self) -> Iterator[str]:
        """The names of the jobs a worker of this registry can run, those that drive its workflows among them."""
        yield from self.jobs
        yield from self.drivers

    @property
    def drivers(self) -> dict[str, WorkflowDefinition[..., Any]]:
        """Its workflows by the names of the jobs that drive their runs."""
        return {definition.driver: definition for definition in self.workflows.values()}

    def with_jobs(self, definitions: Sequence[JobDefinition[..., Any]]) -> Registry:
        """Its definitions, as they are now, and these: what a worker serves whose plugins bring jobs of their own.

        Raises DuplicateName.
        """
        if not definitions:
            return self
        joined = Registry()
        for shelf, own in vars(self).items():
            getattr(joined, shelf).update(own)
        for definition in definitions:
            joined.add(definition)
        return joined

    @property
    def queues(self) -> list[str]:
        """The queues that its definitions name."""
        definitions = [*self.jobs.values(), *self.workflows.values()]
        return list(dict.fromkeys(d.settings.queue for d in definitions if d.settings.queue))

    @overload
    def job(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncJobDefinition[P, R]: ...
    @overload
    def job(self, function: Callable[P, R], /) -> PlainJobDefinition[P, R]: ...
    @overload
    def job(self, function: None = None, /, **settings: Unpack[JobSettings]) -> JobDecorator: ...
    def job(self, function: Callable[..., Any] | None = None, /, **settings: Any) -> Any:
        """Makes a function a job: `@job`, or `@job(queue="mailers", max_retries=5, timeout="30s")`.

        Args:
            settings: the options of JobSettings; durations are seconds, timedelta or text such as "30s".

        Returns:
            The definition: still callable as before, with `enqueue`, `call`, `options` and `.sync`.

        Raises:
            InvalidDefinition: an argument's type cannot be stored, or an option makes no sense.
            DuplicateName: another function has that name.
        """
        if function is None:
            return lambda decorated: self.job(decorated, **settings)
        if isinstance(function, Definition | CronDefinition):
            raise InvalidDefinition(
                f"{function!r} is a {function.kind} already: @job stands once, directly above the function, and @cron "
                "above it"
            )
        own = {key: settings.pop(key) for key in _DEFINITION_ONLY if key in settings}
        options = _options(f"@job on {getattr(function, '__name__', repr(function))}", settings, _JOB_OPTIONS)
        kind = AsyncJobDefinition if runs_async(function) else PlainJobDefinition
        definition: JobDefinition[..., Any] = kind(function, settings=options, **own)
        definition.signature.check()
        return self.add(definition)

    @overload
    def workflow(
        self, function: Callable[Concatenate[WorkflowContext, P], Coroutine[Any, Any, R]], /
    ) -> WorkflowDefinition[P, R]: ...
    @overload
    def workflow(self, function: None = None, /, **settings: Unpack[WorkflowSettings]) -> WorkflowDecorator: ...
    def workflow(self, function: Callable[..., Any] | None = None, /, **settings: Any) -> Any:
        """Makes an `async def` a durable workflow: `@workflow`, or `@workflow(version=2, max_retries=5)`.

        Args:
            settings: `name`, `version` (from 1), `retry_on`, `fail_on`, and a job's options: queue, priority,
                max_retries (attempts without progress), timeout (of one activation, from wake-up to park), backoff,
                unique, tags …

        Returns:
            The definition, with `start`, `execute`, `call`, `options` and `.sync`.

        Raises:
            InvalidDefinition: it is not `async def`, takes no context, or an option makes no sense.
            DuplicateName: another function has that name and version.
        """
        if function is None:
            return lambda decorated: self.workflow(decorated, **settings)
        if isinstance(function, Definition | CronDefinition):
            raise InvalidDefinition(
                f"{function!r} is a {function.kind} already: @workflow stands once, directly above the function"
            )
        own = {key: settings.pop(key) for key in _WORKFLOW_ONLY if key in settings}
        options = _options(f"@workflow on {getattr(function, '__name__', repr(function))}", settings, _WORKFLOW_OPTIONS)
        definition: WorkflowDefinition[..., Any] = WorkflowDefinition(function, settings=options, **own)
        definition.signature.check()
        return self.add(definition)

    def cron(
        self,
        schedule: str,
        *,
        name: str | None = None,
        timezone: str | None = None,
        overlap: Overlap = "skip",
        misfire: Misfire | None = None,
        misfire_window: Duration | None = None,
        jitter: Duration | None = None,
        call: Callable[[], CronCall] | None = None,
    ) -> Callable[[F], F]:
        """Declares a timetable over a function, job or workflow; a plain function becomes a job as well.

        Args:
            schedule: five cron fields, six with the second first, a word such as "@daily", or "@every 30s".
            name: the entry's name (default: the target's).
            timezone: IANA name of the zone on whose wall clock the fields are read (default: `cron.timezone`, UTC).
            overlap: what a tick does while the job of an earlier one is not over: "skip" makes none, "allow" makes one
                all the same, "queue" lets at most one wait, "cancel_old" stops the old one and then starts. A workflow
                takes "skip" and "allow".
            misfire: what becomes of ticks that nobody could fire in time: "once" makes up for them with one job, "all"
                with one each (at most 100), "skip" with none (default: `cron.misfire`, "once").
            misfire_window: seconds after which a tick is no longer made up for (default: `cron.misfire_window`, 1 h).
            jitter: seconds; each tick's job waits for a part of it, always the same part for the same tick (default:
                `cron.jitter`, 0).
            call: makes the call, for targets that take arguments; called when a worker starts.
        """

        def decorate(target: F) -> F:
            definition: Any = target
            if not isinstance(target, Definition):
                definition = self.job(target)
            entry = CronDefinition(
                schedule,
                definition,
                name=name,
                timezone=timezone,
                overlap=overlap,
                misfire=misfire,
                misfire_window=misfire_window,
                jitter=jitter,
                call=call,
            )
            self.add(entry)
            return cast("F", definition)

        return decorate

    def lifespan(self, function: Callable[[], AsyncIterator[R]], /) -> Callable[[], AsyncIterator[R]]:
        """Declares an async generator that yields one resource (a pool, a client) once per worker process.

        Handlers get it by type: `current_job().resources(Mailer)`.
        """
        if not inspect.isasyncgenfunction(function):
            raise InvalidDefinition(
                f"@lifespan decorates an async generator that yields one resource, which {function!r} is not"
            )
        self.lifespans[(function.__module__, function.__qualname__)] = function
        return function

    def _shelf(self, definition: Any) -> dict[Any, Any]:
        if isinstance(definition, JobDefinition):
            return self.jobs
        if isinstance(definition, WorkflowDefinition):
            return self.workflows
        if isinstance(definition, CronDefinition):
            return self.crons
        raise InvalidDefinition(f"{definition!r} is no definition; decorate a function with @job, @workflow or @cron")


def _options(where: str, settings: dict[str, Any], known: frozenset[str]) -> EnqueueOptions:
    """The options given to a decorator; InvalidDefinition names the nearest one for a name that is none."""
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
            raise InvalidDefinition(f"{where}: there is no option {name!r}; {hint}")
    try:
        return EnqueueOptions(**settings) if settings else NOTHING
    except InvalidArguments as error:
        raise InvalidDefinition(f"{where}: {error}") from None


default_registry = Registry()
job = default_registry.job
workflow = default_registry.workflow
cron = default_registry.cron
lifespan = default_registry.lifespan
