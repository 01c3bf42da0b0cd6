"""A function's signature as a contract for JSON: arguments in and out, the result, errors that name the field."""

from __future__ import annotations

import collections.abc
import difflib
import inspect
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NotRequired

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import PydanticSerializationError, from_json, to_json
from typing_extensions import TypedDict

from dispatch.errors import InvalidArguments, InvalidDefinition

_CONFIG = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_AWAITABLE_ORIGINS = (collections.abc.Coroutine, collections.abc.Awaitable)


class Signature:
    """What a function takes and returns, as JSON by parameter name.

    Adapters are built at first use, so that a definition may name models which its module defines further down.
    """

    def __init__(self, function: Callable[..., Any], *, name: str) -> None:
        self._function = function
        self._name = name
        parameters = list(inspect.signature(function).parameters.values())
        self._parameters = parameters
        self._positional = [p.name for p in parameters if p.kind in _POSITIONAL]
        self._positional_only = [p.name for p in parameters if p.kind is inspect.Parameter.POSITIONAL_ONLY]
        self._rest = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL), None)
        self._keywords = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD), None)
        self.names = [p.name for p in parameters]
        self.defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}

    # -- arguments -----------------------------------------------------------------------------------------------

    def validate(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by parameter name, validated; InvalidArguments names what does not fit."""
        return self.validate_document(self._by_name(args, kwargs))

    def validate_document(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """As `validate`, for arguments that already are a mapping by parameter name."""
        try:
            return typing.cast("dict[str, Any]", self.arguments.validator.validate_python(document))
        except ValidationError as error:
            raise InvalidArguments(self._explain(error)) from None

    def dump(self, validated: Mapping[str, Any]) -> bytes:
        """Validated arguments as JSON bytes; InvalidArguments when JSON cannot hold one of them."""
        try:
            payload = self.arguments.serializer.to_json(validated, warnings="error")
        except PydanticSerializationError as error:
            raise InvalidArguments(f"{self._name}: an argument cannot be stored as JSON: {error}") from None
        if b"null" in payload:
            where = non_finite(self.arguments.serializer.to_python(validated, warnings=False))
            if where is not None:
                raise InvalidArguments(
                    f"{self._name}: {where or 'an argument'} is NaN or infinite, which JSON cannot hold"
                )
        return payload

    def load(self, payload: bytes) -> tuple[list[Any], dict[str, Any]]:
        """(args, kwargs) of a stored payload; InvalidArguments when it no longer fits."""
        try:
            document = self.arguments.validator.validate_json(payload)
        except ValidationError as error:
            raise InvalidArguments(self._explain(error)) from None
        return self.spread(document)

    def spread(self, document: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """A validated document as the (args, kwargs) to call the function with."""
        if not self._positional_only and self._rest is None and self._keywords is None:
            return [], document
        document = dict(document)
        args: list[Any] = []
        leading = self._positional if self._rest in document else self._positional_only
        for name in leading:
            if name not in document:
                break
            args.append(document.pop(name))
        args.extend(document.pop(self._rest, ()) if self._rest else ())
        extra = document.pop(self._keywords, {}) if self._keywords else {}
        return args, {**document, **extra}

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

    @cached_property
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
            schema = adapter.json_schema()
        except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
            raise InvalidDefinition(
                f"{self._name}: an argument's type cannot be stored as JSON: {_first_line(error)}. "
                "Use types that pydantic can read and write"
            ) from None
        masked = _masked_field(schema, schema)
        if masked is not None:
            raise InvalidDefinition(
                f"{self._name}: {masked or 'an argument'} is a secret type, which would be stored as '**********'. "
                "Pass the secret's name or id and look it up in the handler"
            )
        return adapter

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments, an object by parameter name."""
        return self.arguments.json_schema()

    # -- result --------------------------------------------------------------------------------------------------

    @cached_property
    def _result(self) -> TypeAdapter[Any]:
        hint = self._hints.get("return", Any)
        if typing.get_origin(hint) in _AWAITABLE_ORIGINS:
            hint = typing.get_args(hint)[-1]
        try:
            return TypeAdapter(hint)
        except (PydanticSchemaGenerationError, PydanticUserError):
            return TypeAdapter(Any)

    def dump_result(self, value: Any) -> bytes:
        """The result as JSON, also where it differs from the annotation; TypeError says why it cannot be stored."""
        try:
            data = self._result.serializer.to_json(value, warnings="error")
        except PydanticSerializationError:
            try:
                data = to_json(value, inf_nan_mode="constants")
            except (PydanticSerializationError, ValueError, RecursionError) as error:
                raise TypeError(
                    f"the result of {self._name} ({type(value).__name__}) cannot be stored as JSON: {error}"
                ) from None
        if (b"null" in data or b"NaN" in data or b"Infinity" in data) and non_finite(value) is not None:
            raise TypeError(f"the result of {self._name} holds NaN or an infinity, which JSON cannot hold")
        return data

    def load_result(self, data: bytes) -> Any:
        """A stored result as the annotated type; as plain JSON when it does not fit the annotation."""
        try:
            return self._result.validator.validate_json(data)
        except ValidationError:
            return from_json(data)

    # -- inside --------------------------------------------------------------------------------------------------

    @cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            return typing.get_type_hints(self._function, include_extras=True)
        except NameError as error:
            raise InvalidDefinition(
                f"{self._name}: the annotation {error.name!r} is not defined in {self._function.__module__}; "
                "import it at run time (not only under TYPE_CHECKING), since arguments are validated by it"
            ) from None

    @cached_property
    def _single_model(self) -> str | None:
        required = [p for p in self._parameters if p.default is inspect.Parameter.empty and p.kind in _POSITIONAL]
        if len(required) != 1:
            return None
        hint = self._hints.get(required[0].name)
        return required[0].name if inspect.isclass(hint) and issubclass(hint, BaseModel) else None

    def _by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        names = self._positional
        document = dict(zip(names, args, strict=False))
        if len(args) > len(names):
            if self._rest is None:
                raise InvalidArguments(f"{self._name} takes {len(names)} positional arguments, {len(args)} were given")
            document[self._rest] = list(args[len(names) :])
        for name, value in kwargs.items():
            if name in document:
                raise InvalidArguments(f"{self._name} got {name!r} twice, by position and by name")
            if self._keywords and (name not in self.names or name == self._keywords):
                document.setdefault(self._keywords, {})[name] = value
            else:
                document[name] = value
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


def non_finite(value: Any, path: str = "") -> str | None:
    """Where `value` holds NaN or an infinity (a dotted path, '' for the value itself); None when nowhere."""
    if isinstance(value, float):
        return path if not math.isfinite(value) else None
    if isinstance(value, BaseModel):
        value = value.__dict__
    if isinstance(value, Mapping):
        items: Any = value.items()
    elif isinstance(value, list | tuple | set | frozenset):
        items = enumerate(value)
    else:
        return None
    for key, item in items:
        found = non_finite(item, f"{path}.{key}" if path else str(key))
        if found is not None:
            return found
    return None


def _masked_field(schema: Any, root: dict[str, Any], path: str = "", seen: tuple[str, ...] = ()) -> str | None:
    if isinstance(schema, list):
        return next((f for s in schema if (f := _masked_field(s, root, path, seen)) is not None), None)
    if not isinstance(schema, dict):
        return None
    if schema.get("writeOnly") is True:
        return path
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        target = root.get("$defs", {}).get(reference.rpartition("/")[2])
        return _masked_field(target, root, path, (*seen, reference))
    for name, inner in schema.get("properties", {}).items():
        found = _masked_field(inner, root, f"{path}.{name}" if path else name, seen)
        if found is not None:
            return found
    for word in ("items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf"):
        found = _masked_field(schema.get(word), root, path, seen)
        if found is not None:
            return found
    return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
