"""Registries: one name for one function, the same function again replaces itself, and timetables that make sense."""

from __future__ import annotations

import functools
import re
import typing
from collections.abc import AsyncIterator, Callable
from types import FunctionType
from typing import Annotated, Any, List, Optional, Protocol, TypeVar, get_type_hints  # noqa: UP035

import pytest

import dispatch
from dispatch.crons.definition import CronDefinition
from dispatch.errors import DuplicateName, InvalidDefinition
from dispatch.jobs.definition import AsyncJobDefinition
from dispatch.jobs.model import Job
from dispatch.registry import Registry, default_registry
from dispatch.workflows.context import WorkflowContext


def module(source: str, path: str) -> dict[str, Any]:
    """The names of a module of that source, as if it stood at `path`."""
    namespace: dict[str, Any] = {"__name__": "shop.tasks"}
    exec(compile(source, path, "exec"), namespace)
    return namespace


WORK = "async def work(): ...\n"


def test_two_functions_with_one_name_are_refused_and_both_places_named(registry: Registry) -> None:
    registry.job(module(WORK, "/a/tasks.py")["work"])
    with pytest.raises(DuplicateName, match=r"two jobs are called 'work': /a/tasks.py:1 and /b/tasks.py:3.*name="):
        registry.job(module("\n\n" + WORK, "/b/tasks.py")["work"])
    assert registry.jobs["work"].place == "/a/tasks.py:1"


def test_a_second_function_in_the_same_file_is_another_one(registry: Registry) -> None:
    names = module("def first(): ...\ndef second(): ...\n", "/a/tasks.py")
    registry.job(name="work")(names["first"])
    with pytest.raises(DuplicateName, match=r"/a/tasks.py:1 and /a/tasks.py:2"):
        registry.job(name="work")(names["second"])


def test_the_same_function_imported_again_replaces_itself(registry: Registry) -> None:
    old = registry.job(module(WORK, "/a/tasks.py")["work"])
    new = registry.job(queue="fast")(module("\n" + WORK, "/a/tasks.py")["work"])
    assert registry.jobs == {"work": new}
    assert new is not old
    assert list(registry.names()) == ["work"]


def test_another_name_makes_room(registry: Registry) -> None:
    registry.job(module(WORK, "/a/tasks.py")["work"])
    registry.job(name="work.b")(module(WORK, "/b/tasks.py")["work"])
    assert sorted(registry.jobs) == ["work", "work.b"]


def test_registries_keep_applications_apart(registry: Registry) -> None:
    registry.job(module(WORK, "/a/tasks.py")["work"])
    other = Registry()
    other.job(module(WORK, "/b/tasks.py")["work"])
    assert registry.jobs["work"] is not other.jobs["work"]
    assert "work" not in default_registry.jobs


def test_the_bare_decorators_fill_the_default_registry() -> None:
    assert dispatch.job.__self__ is default_registry  # type: ignore[attr-defined]
    assert dispatch.cron.__self__ is default_registry  # type: ignore[attr-defined]
    assert dispatch.lifespan.__self__ is default_registry  # type: ignore[attr-defined]


def test_only_definitions_are_added(registry: Registry) -> None:
    with pytest.raises(InvalidDefinition, match="is no definition; decorate a function with @job"):
        registry.add(lambda: None)  # type: ignore[type-var]


def test_a_mistake_in_the_annotations_is_told_at_import(registry: Registry) -> None:
    def work(opaque: re.Match[str]) -> None: ...

    with pytest.raises(InvalidDefinition, match="work: an argument's type cannot be stored"):
        registry.job(work)
    assert registry.jobs == {}


# workflows


async def checkout(ctx: Any, order: int) -> int:
    return order


def test_a_workflow_is_known_by_name_and_version(registry: Registry) -> None:
    first = registry.workflow(checkout)
    second = registry.workflow(version=2)(checkout)
    assert registry.workflows == {("checkout", 1): first, ("checkout", 2): second}


def test_a_workflow_is_async_and_takes_its_context(registry: Registry) -> None:
    def plain(ctx: Any) -> None: ...
    async def nothing() -> None: ...

    with pytest.raises(InvalidDefinition, match="a workflow is `async def`"):
        registry.workflow(plain)  # type: ignore[call-overload]
    with pytest.raises(InvalidDefinition, match="first parameter is its context"):
        registry.workflow(nothing)
    with pytest.raises(InvalidDefinition, match="version is 0; it starts at 1"):
        registry.workflow(version=0)(checkout)


async def by_name(order: str) -> None: ...
async def by_model(order: Job) -> None: ...
async def by_alias(lines: list[str]) -> None: ...
async def by_keyword(*, ctx: WorkflowContext) -> None: ...
async def by_union(order: str | None) -> None: ...
async def by_optional(order: Optional[int]) -> None: ...  # noqa: UP045
async def by_quoted_part(order: Optional["int"]) -> None: ...  # noqa: UP037, UP045
async def by_old_alias(lines: List[int]) -> None: ...  # noqa: UP006
async def by_dotted_alias(lines: typing.Dict[str, int]) -> None: ...  # noqa: UP006
async def by_extras(order: Annotated[int, "of the shop"]) -> None: ...
async def by_none(order: None) -> None: ...


@pytest.mark.parametrize(
    "wrong",
    [
        *(by_name, by_model, by_alias, by_keyword, by_union, by_optional, by_quoted_part, by_old_alias),
        *(by_dotted_alias, by_extras, by_none),
    ],
)
@pytest.mark.parametrize("evaluated", [True, False])
def test_a_workflow_whose_first_parameter_cannot_be_the_context_is_refused(
    wrong: Any, evaluated: bool, registry: Registry
) -> None:
    if evaluated:
        wrong = annotated(wrong, **get_type_hints(wrong))
    with pytest.raises(InvalidDefinition, match=rf"async def {wrong.__name__}\(ctx: WorkflowContext, \.\.\.\)"):
        registry.workflow(wrong)


class Narrow(Protocol):
    """What one workflow needs of its context."""

    run_id: str


class Own(WorkflowContext):
    """A context with verbs of one's own."""


Context = WorkflowContext
Kind = TypeVar("Kind", bound=WorkflowContext)


class Bodies:
    """Workflows that are methods."""

    async def bound(self, ctx: WorkflowContext, order: int) -> None: ...

    @classmethod
    async def of_class(cls, ctx: WorkflowContext, order: int) -> None: ...

    @staticmethod
    async def static(ctx: WorkflowContext, order: int) -> None: ...


async def second(order: int, ctx: WorkflowContext) -> None: ...
async def rest(*args: Any) -> None: ...
async def positional(ctx: WorkflowContext, /, order: int) -> None: ...
async def defaulted(ctx: "WorkflowContext | None" = None) -> None: ...  # noqa: UP037


@functools.wraps(positional)
async def wrapped(*args: Any, **kwargs: Any) -> None: ...


@pytest.mark.parametrize(
    "body",
    [
        *(Bodies().bound, Bodies.of_class, Bodies.static, functools.partial(second, 3)),
        *(rest, positional, defaulted, wrapped),
    ],
    ids=["bound", "classmethod", "staticmethod", "partial", "rest", "positional", "defaulted", "wrapped"],
)
def test_a_first_parameter_that_is_the_context_is_accepted_whatever_holds_it(body: Any, registry: Registry) -> None:
    registry.workflow(name="flow")(body)
    assert ("flow", 1) in registry.workflows


@pytest.mark.parametrize(
    "hint",
    [
        *(WorkflowContext, Own, Narrow, Any, object, WorkflowContext | None, Annotated[WorkflowContext, 1]),
        *("WorkflowContext", "dispatch.WorkflowContext", "Annotated[WorkflowContext, 1]", "Later", "Any", "Narrow"),
        *("WorkflowContext | None", "Optional[WorkflowContext]", "int | Later", "int | Any", Context, "Context", Kind),
        *(Optional["Later"], Optional["WorkflowContext"], "no annotation", 5),  # noqa: F821
    ],
    ids=str,
)
def test_a_first_parameter_that_may_be_the_context_is_accepted(hint: Any, registry: Registry) -> None:
    async def body(ctx, order: int) -> None: ...  # type: ignore[no-untyped-def]

    registry.workflow(name="bare")(body)
    registry.workflow(name="annotated")(annotated(body, ctx=hint))
    assert {name for name, _ in registry.workflows} == {"bare", "annotated"}


def annotated(function: Any, **hints: Any) -> Any:
    """A twin of the function with other annotations."""
    twin = FunctionType(function.__code__, function.__globals__, function.__name__)
    twin.__kwdefaults__, twin.__annotations__ = function.__kwdefaults__, {**function.__annotations__, **hints}
    return twin


# crons


async def report() -> None: ...


@pytest.mark.parametrize(
    "schedule",
    [
        "0 3 * * *",
        "*/5 * * * *",
        "0 0 1 1 *",
        "*/10 * * * * *",
        "@daily",
        "@hourly",
        "@every 30s",
        "@every 1h30m",
        "0 9 * * mon-fri",
    ],
)
def test_a_timetable_is_five_or_six_fields_or_a_word(registry: Registry, schedule: str) -> None:
    registry.cron(schedule)(report)
    entry = registry.crons["report"]
    assert isinstance(entry, CronDefinition)
    assert (entry.schedule, entry.timezone, entry.overlap, entry.misfire) == (schedule, None, "skip", None)
    assert isinstance(registry.jobs["report"], AsyncJobDefinition)


@pytest.mark.parametrize(
    ("schedule", "settings", "message"),
    [
        ("61 * * * *", {}, "the minute '61' (column 1)"),
        ("* * *", {}, "has 3 fields"),
        ("", {}, "has 0 fields"),
        ("every day", {}, "has 2 fields"),
        ("0 0 31 2 *", {}, "a date that never comes"),
        ("@every", {}, "is no schedule"),
        ("@every soon", {}, "'soon' is not a duration"),
        ("@every 0s", {}, "the period is less than a second"),
        ("@daily", {"timezone": "Mars/Olympus"}, "no IANA time zone"),
        ("@daily", {"timezone": "../etc/passwd"}, "no IANA time zone"),
        ("@daily", {"overlap": "maybe"}, "overlap is 'maybe'; it is one of allow, skip, queue, cancel_old"),
        ("@daily", {"misfire": "never"}, "misfire is 'never'; it is one of skip, once, all"),
        ("@daily", {"jitter": "much"}, "jitter: 'much' is not a duration"),
        ("@daily", {"jitter": -1}, "jitter is -1"),
        ("@daily", {"name": "two words"}, "cannot be a cron entry's name"),
    ],
)
def test_a_timetable_that_makes_no_sense_is_refused_at_import(
    registry: Registry, schedule: str, settings: Any, message: str
) -> None:
    with pytest.raises(InvalidDefinition, match=re.escape(message)):
        registry.cron(schedule, **settings)(report)
    assert registry.crons == {}


def test_a_cron_stands_above_a_job_and_leaves_it_a_job(registry: Registry) -> None:
    @registry.cron("@every 30s", name="eu", call=lambda: sync.call("eu"))
    @registry.job(queue="sync")
    async def sync(region: str) -> None: ...

    entry = registry.crons["eu"]
    assert entry.target is sync is registry.jobs["sync"]
    assert entry.make_call is not None
    assert entry.make_call().payload == b'{"region":"eu"}'
    assert entry.place.startswith(__file__)


def test_a_job_may_stand_on_several_timetables(registry: Registry) -> None:
    registry.cron("@daily", name="a")(registry.cron("@hourly", name="b")(report))
    assert sorted(registry.crons) == ["a", "b"]
    assert len(registry.jobs) == 1


def test_two_timetables_of_one_job_need_two_names(registry: Registry) -> None:
    with pytest.raises(DuplicateName, match=r"two crons are called 'report'.*@cron"):
        registry.cron("0 9 * * *")(registry.cron("0 3 * * *")(report))
    assert registry.crons["report"].schedule == "0 3 * * *"
    registry.cron("0 5 * * *")(report)
    assert registry.crons["report"].schedule == "0 5 * * *"


def test_a_workflow_s_context_is_no_argument_of_its_timetable(registry: Registry) -> None:
    async def nightly(ctx: Any) -> None: ...

    registry.cron("@daily")(registry.workflow(nightly))
    assert "nightly" in registry.crons
    with pytest.raises(InvalidDefinition, match=r"checkout needs arguments \(order\)"):
        registry.cron("@daily")(registry.workflow(checkout))


def test_a_cron_without_arguments_for_its_target_is_refused(registry: Registry) -> None:
    async def sync(region: str, fast: bool = False) -> None: ...

    with pytest.raises(
        InvalidDefinition, match=r"sync needs arguments \(region\); give them as call=lambda: sync.call"
    ):
        registry.cron("@daily")(sync)


def test_star_arguments_need_not_be_given(registry: Registry) -> None:
    async def sync(*regions: str, **more: str) -> None: ...

    registry.cron("@daily")(sync)
    assert "sync" in registry.crons


def test_the_wrong_order_of_decorators_is_explained(registry: Registry) -> None:
    with pytest.raises(InvalidDefinition, match="directly above the function, and @cron above it"):
        registry.job(queue="x")(registry.cron("@daily")(report))


# lifespans


def test_a_lifespan_is_kept_once_and_stays_a_function(registry: Registry) -> None:
    async def pool() -> AsyncIterator[int]:
        yield 1

    assert registry.lifespan(pool) is pool
    registry.lifespan(pool)
    assert list(registry.lifespans.values()) == [pool]


async def not_a_generator() -> int:
    return 1


@pytest.mark.parametrize("function", [not_a_generator, lambda: iter([1])])
def test_a_lifespan_that_yields_nothing_asynchronously_is_refused(
    registry: Registry, function: Callable[..., Any]
) -> None:
    with pytest.raises(InvalidDefinition, match="@lifespan decorates an async generator"):
        registry.lifespan(function)


async def test_an_object_whose_call_is_async_is_an_async_job(registry: Registry) -> None:
    class Work:
        async def __call__(self, x: int) -> int:
            return x

    definition: Any = registry.job(name="work")(Work())
    assert isinstance(definition, AsyncJobDefinition)
    assert definition.executor == "async"
    assert await definition(3) == 3


def test_what_does_not_tell_its_arguments_is_no_job(registry: Registry) -> None:
    with pytest.raises(InvalidDefinition, match="int: its arguments are not known"):
        registry.job(int)
