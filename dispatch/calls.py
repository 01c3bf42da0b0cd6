"""A function's signature as a contract for JSON: arguments in and out, the result, errors that name the field."""

from __future__ import annotations

import collections
import collections.abc
import difflib
import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import CoreConfig, PydanticSerializationError, SchemaSerializer, from_json, to_json
from typing_extensions import TypedDict

from dispatch.errors import InvalidArguments, InvalidDefinition
from dispatch.lazily import lazily
from dispatch.rehearsal import LONG_INTEGER, LONGEST_INTEGER, may_change, non_finite, same

_CONFIG = ConfigDict(extra="forbid", val_json_bytes="base64")
_WRITING = CoreConfig(ser_json_bytes="base64")
_RESULT = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_SUSPICIOUS = re.compile(rb"null|NaN|Infinity|None")
"""What a float that JSON cannot hold may have become in written JSON."""
_TOO_LONG = f"an integer of more than {LONGEST_INTEGER:,} digits, which JSON readers refuse"
_AWAITABLE_ORIGINS = (collections.abc.Coroutine, collections.abc.Awaitable)


class _Unresolved(InvalidDefinition):
    """An annotation cannot be evaluated, now at least: it may name what the module defines further down."""


class Signature:
    """What a function takes and returns, as JSON by parameter name.

    Adapters are built at first use, so that a definition may name models which its module defines further down. The
    fields of models are written under their Python names and read under those or their aliases. The first `skip`
    parameters are not the caller's to give.
    """

    def __init__(self, function: Callable[..., Any], *, name: str, skip: int = 0) -> None:
        self._function = function
        self._name = name
        parameters = list(inspect.signature(function).parameters.values())[skip:]
        self._parameters = parameters
        self._positional = [p.name for p in parameters if p.kind in _POSITIONAL]
        self._positional_only = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY]
        self._rest = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL), None)
        self._keywords = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD), None)
        self._by_keyword = {p.name for p in parameters if p.kind in _BY_KEYWORD}
        self.names = [p.name for p in parameters]
        self.required = [p.name for p in parameters if p.default is p.empty and p.kind in (*_POSITIONAL, *_BY_KEYWORD)]
        self.defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}

    # -- arguments -----------------------------------------------------------------------------------------------

    def validate(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by parameter name, validated; InvalidArguments names what does not fit."""
        document = self._by_name(args, kwargs)
        try:
            validated: dict[str, Any] = self.arguments.validator.validate_python(document, by_alias=True, by_name=True)
        except ValidationError as error:
            raise InvalidArguments(self._explain(error)) from None
        return validated

    def validate_document(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """As `validate`, for arguments from outside: a JSON object by parameter name, read as JSON is."""
        try:
            data = to_json(document, inf_nan_mode="constants", bytes_mode="base64")
        except PydanticSerializationError as error:
            raise InvalidArguments(f"{self._name}: an argument cannot be stored as JSON: {error}") from None
        return self._read(data)

    def dump(self, validated: Mapping[str, Any]) -> bytes:
        """Validated arguments as JSON bytes; InvalidArguments when JSON cannot hold one of them."""
        try:
            payload = self._writer.to_json(validated, warnings=self._mismatches, by_alias=False)
        except PydanticSerializationError as error:
            raise InvalidArguments(f"{self._name}: an argument cannot be stored as JSON: {error}") from None
        if _SUSPICIOUS.search(payload):
            where = non_finite(self._writer.to_python(validated, warnings=False))
            if where is not None:
                raise InvalidArguments(
                    f"{self._name}: {where or 'an argument'} is NaN or infinite, which JSON cannot hold"
                )
        if self._rehearsed:
            self._rehearse(validated, payload)
        if len(payload) > LONGEST_INTEGER and LONG_INTEGER.search(payload):
            raise InvalidArguments(f"{self._name}: an argument holds {_TOO_LONG}")
        return payload

    @lazily
    def _rehearsed(self) -> bool:
        """Whether what was written is read at once, to see that the worker will get what was given."""
        return may_change(self.arguments.core_schema)

    def _rehearse(self, validated: Mapping[str, Any], payload: bytes) -> None:
        try:
            again = self._writer.to_python(self._read(payload), warnings=False)
        except InvalidArguments as error:
            raise InvalidArguments(f"{error}. So it is stored as JSON, which the worker could not read again") from None
        given = self._writer.to_python(validated, warnings=False)
        for name, value in given.items():
            if not same(value, again.get(name)):
                raise InvalidArguments(
                    f"{self._name}: {name}: {_short(value)} would reach the worker as {_short(again.get(name))}: its "
                    "type, or a validator of it, does not read what it writes. Choose a type that JSON tells apart"
                )

    @lazily
    def _mismatches(self) -> Literal["error", False]:
        """Whether writing looks for values that no longer fit: only a model can change after its validation.

        False says what "none" says, and is understood ten times as fast.
        """
        return "error" if "$defs" in self.schema else False

    def load(self, payload: bytes) -> tuple[list[Any], dict[str, Any]]:
        """(args, kwargs) of a stored payload; InvalidArguments when it no longer fits."""
        return self.spread(self._read(payload))

    def spread(self, document: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """A validated document as the (args, kwargs) to call the function with."""
        if not self._positional_only and self._rest is None and self._keywords is None:
            return [], document
        document = dict(document)
        rest = document.pop(self._rest, ()) if self._rest else ()
        extra = document.pop(self._keywords, {}) if self._keywords else {}
        leading = self._positional if rest else self._positional_only
        last = len(leading) if rest else max((n for n, name in enumerate(leading, 1) if name in document), default=0)
        args = [document.pop(name) if name in document else self.defaults[name] for name in leading[:last]]
        return [*args, *rest], {**document, **extra}

    def arrange(self, value: Any) -> dict[str, Any]:
        """Arguments as outsiders write them, by parameter name: an object holds keyword arguments, a list positional
        ones; where the function has a single model parameter, the model's fields may stand directly."""
        if isinstance(value, Mapping):
            single = self._single_model
            if single and not set(value) & set(self.names):
                return {single: value}
            return dict(value)
        if isinstance(value, list):
            return self._by_name(value, {})
        raise InvalidArguments(f"{self._name}: arguments are a JSON object or list, not {type(value).__name__}")

    @lazily
    def arguments(self) -> TypeAdapter[Any]:
        """The adapter of all arguments together; InvalidDefinition when a type cannot be stored."""
        hints = self._hints
        fields: dict[str, Any] = {}
        for parameter in self._parameters:
            hint = hints.get(parameter.name, Any)
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                fields[parameter.name] = NotRequired[list[hint]]  # type: ignore[valid-type]
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                fields[parameter.name] = NotRequired[dict[str, hint]]  # type: ignore[valid-type]
            elif parameter.default is not inspect.Parameter.empty:
                fields[parameter.name] = NotRequired[hint]
            else:
                fields[parameter.name] = hint
        shape = TypedDict(self._name, fields)  # type: ignore[misc]
        shape.__pydantic_config__ = _CONFIG  # type: ignore[attr-defined]
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(shape)
            adapter.json_schema()
        except (PydanticUserError, TypeError) as error:
            raise InvalidDefinition(
                f"{self._name}: an argument's type cannot be stored as JSON: {_first_line(error)}. "
                "Use types that pydantic can read and write"
            ) from None
        lost = _Lossy(adapter.core_schema).find()
        if lost is not None:
            raise InvalidDefinition(f"{self._name}: {lost}")
        return adapter

    def check(self) -> None:
        """Builds the adapters now where the annotations are known already; InvalidDefinition as `arguments`."""
        try:
            _ = self.arguments
        except _Unresolved:
            return

    @lazily
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments, an object by parameter name."""
        return self.arguments.json_schema()

    # -- result --------------------------------------------------------------------------------------------------

    @lazily
    def _result(self) -> TypeAdapter[Any]:
        hint = self._hints.get("return", Any)
        if typing.get_origin(hint) in _AWAITABLE_ORIGINS:
            hint = typing.get_args(hint)[-1]
        for given in (_RESULT, None):  # a model brings a configuration of its own and refuses another
            try:
                return TypeAdapter(hint, config=given)
            except (PydanticUserError, TypeError):
                continue
        return TypeAdapter(Any, config=_RESULT)

    def dump_result(self, value: Any) -> bytes:
        """The result as JSON, also where it differs from the annotation; TypeError says why it cannot be stored."""
        if value is None and self._null_is_plain:
            return b"null"
        if inspect.iscoroutine(value):
            value.close()
            raise TypeError(
                f"{self._name} returned a coroutine that nobody awaited: make it, or the wrapper around it, `async def`"
            )
        try:
            data = self._result.serializer.to_json(value, warnings="error", by_alias=False)
        except PydanticSerializationError:
            try:
                data = to_json(value, inf_nan_mode="constants", bytes_mode="base64", by_alias=False)
            except (PydanticSerializationError, ValueError, RecursionError) as error:
                advice = "return plain values, a dataclass or a Pydantic model"
                raise self._refused(value, f"cannot be stored as JSON: {error}; {advice}") from None
        if _SUSPICIOUS.search(data) and non_finite(value) is not None:
            raise self._refused(value, "holds NaN or an infinity, which JSON cannot hold")
        if len(data) > LONGEST_INTEGER and LONG_INTEGER.search(data):
            raise self._refused(value, f"holds {_TOO_LONG}")
        return data

    @lazily
    def _null_is_plain(self) -> bool:
        """Whether None is written as null, as most results are, whatever else the annotation allows."""
        schema: Mapping[str, Any] = self._result.core_schema
        return schema["type"] in ("none", "any", "nullable") and "serialization" not in schema

    def _refused(self, value: Any, why: str) -> TypeError:
        return TypeError(f"the result of {self._name} ({type(value).__name__}) {why}")

    def load_result(self, data: bytes) -> Any:
        """A stored result as the annotated type; as plain JSON when it does not fit the annotation."""
        try:
            return self._result.validator.validate_json(data, by_alias=True, by_name=True)
        except ValidationError:
            return from_json(data)

    # -- inside --------------------------------------------------------------------------------------------------

    @lazily
    def _writer(self) -> SchemaSerializer:
        """The adapter's serializer with bytes as base64, which a TypedDict cannot ask for."""
        return SchemaSerializer(self.arguments.core_schema, _WRITING)

    @lazily
    def _hints(self) -> dict[str, Any]:
        function: Any = self._function
        while isinstance(function, functools.partial):
            function = function.func
        if not inspect.isroutine(function):
            function = type(function).__call__
        try:
            return typing.get_type_hints(function, include_extras=True)
        except NameError as error:
            raise _Unresolved(
                f"{self._name}: the annotation {error.name!r} is not defined in {function.__module__}; "
                "import it at run time (not only under TYPE_CHECKING), since arguments are validated by it"
            ) from None
        except (AttributeError, SyntaxError, TypeError) as error:
            raise _Unresolved(f"{self._name}: an annotation cannot be evaluated: {error}") from None

    @lazily
    def _single_model(self) -> str | None:
        required = [p for p in self._parameters if p.default is inspect.Parameter.empty and p.kind in _POSITIONAL]
        if len(required) != 1:
            return None
        hint = self._hints.get(required[0].name)
        return required[0].name if inspect.isclass(hint) and issubclass(hint, BaseModel) else None

    def _by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        names = self._positional
        document = dict(zip(names, args, strict=False)) if args else {}
        if len(args) > len(names):
            if self._rest is None:
                raise InvalidArguments(f"{self._name} takes {len(names)} positional arguments, {len(args)} were given")
            document[self._rest] = list(args[len(names) :])
        for name, value in kwargs.items():
            if name not in self._by_keyword and self._keywords:
                document.setdefault(self._keywords, {})[name] = value
            elif name not in self._by_keyword and name in self.names:
                raise InvalidArguments(f"{self._name}: {name!r} can only be given by position")
            elif name in document:
                raise InvalidArguments(f"{self._name} got {name!r} twice, by position and by name")
            else:
                document[name] = value
        return document

    def _read(self, data: bytes) -> dict[str, Any]:
        try:
            document: dict[str, Any] = self.arguments.validator.validate_json(data, by_alias=True, by_name=True)
        except ValidationError as error:
            raise InvalidArguments(self._explain(error)) from None
        except SystemExit as error:
            raise InvalidArguments(f"{self._name}: a validator of an argument raised SystemExit({error})") from None
        return document

    def _explain(self, error: ValidationError) -> str:
        problems = []
        for item in error.errors(include_url=False, include_context=False):
            path = ".".join(str(part) for part in item["loc"])
            if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
                near = difflib.get_close_matches(path, self.names, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(self.names) or 'nothing'}"
                problems.append(f"no parameter {path!r}{hint}")
            elif item["type"] == "missing":
                problems.append(f"{path}: missing")
            elif not path:
                problems.append(item["msg"])
            else:
                problems.append(f"{path}: {item['msg']} (got {_short(item['input'])})")
        return f"{self._name}: " + "; ".join(problems)


_NO_SCHEMA = frozenset({"definitions", "metadata", "ref", "serialization"})


class _Lossy:
    """Looks through a pydantic schema for what is not written as it is read."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._seen: set[str] = set()
        self._definitions = {d["ref"]: d for d in schema.get("definitions", ())}

    def find(self) -> str | None:
        """What would be lost, as a sentence; None when nothing."""
        return self._look(self._schema, "")

    def _look(self, schema: Any, path: str) -> str | None:
        if isinstance(schema, list | tuple):
            return next((found for part in schema if (found := self._look(part, path)) is not None), None)
        if not isinstance(schema, dict):
            return None
        writer = schema.get("serialization", {}).get("function")
        if getattr(writer, "__module__", "") == "pydantic.types" and "secret" in writer.__name__:
            return (
                f"{path or 'an argument'} is a secret type, which would be stored as '**********'. "
                "Pass the secret's name or id and look it up in the handler"
            )
        if schema.get("serialization", {}).get("type") == "function-plain":
            return None  # the user's own way of writing it
        if schema.get("serialization_exclude") is True and schema["schema"].get("type") != "default":
            return (
                f"{path} is required, but exclude=True keeps it from being stored. Give it a default, or drop exclude"
            )
        if schema.get("type") == "definition-ref":
            reference = schema["schema_ref"]
            if reference in self._seen:
                return None
            self._seen.add(reference)
            return self._look(self._definitions.get(reference), path)
        for word, inner in schema.items():
            if word in _NO_SCHEMA:
                continue
            fields = _fields(inner) if word == "fields" else [("", inner)]
            for name, field in fields:
                found = self._look(field, f"{path}.{name}".strip("."))
                if found is not None:
                    return found
        return None


def _fields(schema: Any) -> list[tuple[str, Any]]:
    """Names and schemas of the fields of a model (a mapping), a dataclass (a list), or anything else that has some."""
    if isinstance(schema, dict):
        return list(schema.items())
    return [(field["name"], field) for field in schema if isinstance(field, dict)]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= 60 else text[:57] + "..."
