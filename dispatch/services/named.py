"""Builds the row of an enqueue by name, from what the definition's app announced."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from dispatch.cluster.model import Announcement
from dispatch.errors import InvalidArguments
from dispatch.jobs.base import NAME
from dispatch.jobs.model import NewJob
from dispatch.jobs.options import EnqueueOptions, build_job
from dispatch.rehearsal import non_finite
from dispatch.scope import Scope


def named_job(
    name: str,
    arguments: Any,
    options: EnqueueOptions,
    *,
    announced: Announcement | None,
    scope: Scope,
    idempotency_ttl: float,
) -> NewJob:
    """The NewJob of `name` with these arguments; InvalidArguments when they do not fit the announced schema."""
    if not NAME.fullmatch(name):
        raise InvalidArguments(f"{name!r} is no job name: 1 to 128 of letters, digits and _ . : -")
    payload = named_payload(name, arguments, announced.schema if announced else None)
    defaults = EnqueueOptions(**announced.options) if announced else EnqueueOptions()
    return build_job(
        name=name,
        payload=payload,
        options=options.over(defaults),
        row=options,
        scope=scope,
        idempotency_ttl=idempotency_ttl,
        default_queue=announced.queue if announced else "default",
    )


def named_payload(name: str, arguments: Any, schema: dict[str, Any] | None) -> bytes:
    """Arguments as outsiders write them, as JSON by parameter name; InvalidArguments unless they fit the schema."""
    document = _arrange(name, arguments, schema)
    if schema is not None:
        _check(name, document, schema)
    where = non_finite(document)
    if where is not None:
        raise InvalidArguments(f"{name}: {where or 'an argument'} is NaN or infinite, which JSON cannot hold")
    try:
        return to_json(document)
    except PydanticSerializationError as error:
        raise InvalidArguments(f"{name}: an argument cannot be stored as JSON: {error}") from None


def hint_of(name: str, known: Sequence[str]) -> str:
    """What to say of a job's name that nobody has announced, where others are; "": nothing."""
    near = difflib.get_close_matches(name, known, 1)
    told = f"; did you mean {near[0]!r}?" if near else "; it waits until a worker knows it"
    return f"no app has announced a job {name!r}{told}" if known else ""


def _arrange(name: str, arguments: Any, schema: dict[str, Any] | None) -> dict[str, Any]:
    names = list(schema.get("properties", {})) if schema else []
    if isinstance(arguments, list):
        if schema is None:
            raise InvalidArguments(f"{name}: no app has announced it yet, so arguments must be given by name")
        if len(arguments) > len(names):
            raise InvalidArguments(f"{name} takes {len(names)} arguments, {len(arguments)} were given")
        return dict(zip(names, arguments, strict=False))
    if not isinstance(arguments, dict):
        raise InvalidArguments(f"{name}: arguments are a JSON object or list, not {type(arguments).__name__}")
    if schema and not set(arguments) & set(names):
        required = schema.get("required", [])
        if len(required) == 1 and _is_model(schema["properties"][required[0]], schema):
            return {required[0]: arguments}
    return arguments


def _is_model(part: dict[str, Any], schema: dict[str, Any]) -> bool:
    target = schema.get("$defs", {}).get(str(part.get("$ref", "")).rpartition("/")[2], part)
    return target.get("type") == "object" and "properties" in target


def _check(name: str, document: dict[str, Any], schema: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator

    problems = []
    for error in Draft202012Validator(schema).iter_errors(document):
        path = ".".join(str(part) for part in error.absolute_path)
        if error.validator == "additionalProperties":
            names = list(error.schema.get("properties", {}))
            for unknown in sorted(set(error.instance) - set(names)):
                near = difflib.get_close_matches(unknown, names, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(names) or 'nothing'}"
                problems.append(f"{path}: no field {unknown!r}{hint}" if path else f"no parameter {unknown!r}{hint}")
        else:
            problems.append(f"{path}: {error.message}" if path else error.message)
    if problems:
        raise InvalidArguments(f"{name}: " + "; ".join(problems))
