"""Signatures: what a function takes, as JSON that comes back the same, and errors that name the field."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from calling import (
    Address,
    Asymmetric,
    Colour,
    Exact,
    Forgetful,
    HoldsSecret,
    Loose,
    Opaque,
    Order,
    Pair,
    Point,
    Renamed,
    Revealed,
    SecretTree,
    Strings,
    Tree,
    of,
    refusal,
    there_and_back,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, Secret, SecretStr

from dispatch.errors import InvalidArguments, InvalidDefinition
from dispatch.rehearsal import non_finite

# every kind of parameter


def every_kind(
    first: int, /, second: str, third: int = 3, *rest: int, named: bool, other: float = 0.5, **extra: str
) -> Any:
    return first, second, third, rest, named, other, extra


def test_every_kind_of_parameter_reaches_the_function_as_it_was_given() -> None:
    args, kwargs = there_and_back(every_kind, 1, "b", 9, 10, 11, named=True, colour="red")
    assert every_kind(*args, **kwargs) == (1, "b", 9, (10, 11), True, 0.5, {"colour": "red"})


def test_what_was_left_out_is_left_to_the_function_s_own_defaults() -> None:
    args, kwargs = there_and_back(every_kind, 1, second="b", named=False)
    assert (args, kwargs) == ([1], {"second": "b", "named": False})


def test_the_payload_is_an_object_by_parameter_name() -> None:
    signature = of(every_kind)
    payload = json.loads(signature.dump(signature.validate([1, "b", 2, 3], {"named": True, "z": "y"})))
    assert payload == {"first": 1, "second": "b", "third": 2, "rest": [3], "named": True, "extra": {"z": "y"}}


def test_more_positional_arguments_do_not_slide_into_a_default_that_was_left_out() -> None:
    args, kwargs = of(every_kind).load(b'{"first":1,"second":"b","rest":[7,8],"named":true}')
    assert every_kind(*args, **kwargs)[:4] == (1, "b", 3, (7, 8))


def test_a_later_positional_only_argument_keeps_its_place_when_an_earlier_one_is_left_out() -> None:
    def both(a: int = 1, b: int = 2, /) -> tuple[int, int]:
        return a, b

    args, kwargs = of(both).load(b'{"b":5}')
    assert both(*args, **kwargs) == (1, 5)


def test_keywords_may_repeat_the_name_of_a_positional_only_parameter_as_in_python() -> None:
    def odd(a: int, /, *args: int, **kw: int) -> Any:
        return a, args, kw

    args, kwargs = there_and_back(odd, 1, a=2, args=3, kw=4)
    assert odd(*args, **kwargs) == (1, (), {"a": 2, "args": 3, "kw": 4})


@given(st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
@settings(max_examples=30, deadline=None)
def test_star_arguments_are_passed_on_as_python_would(rest: list[int], extra: dict[str, str]) -> None:
    def takes(*args: int, **kw: str) -> Any:
        return args, kw

    args, kwargs = there_and_back(takes, *rest, **extra)
    assert takes(*args, **kwargs) == (tuple(rest), extra)


# types


def typed(
    *,
    order: Order,
    day: date,
    pause: timedelta,
    price: Decimal,
    key: UUID,
    blob: bytes,
    colour: Colour,
    where: Path,
    tags: set[str],
    point: Point,
    pair: Pair,
    mode: Literal["a", "b"],
    maybe: int | None,
    tree: Tree,
) -> None: ...


def test_the_usual_types_come_back_equal_and_as_themselves() -> None:
    given = {
        "order": Order(id=1, address=Address(street="x"), when=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
        "day": date(2026, 1, 2),
        "pause": timedelta(days=1, microseconds=5),
        "price": Decimal("12.3400"),
        "key": UUID(int=7),
        "blob": bytes(range(256)),
        "colour": Colour.RED,
        "where": Path("a/b"),
        "tags": {"x", "y"},
        "point": Point(1.5),
        "pair": Pair(1, "r"),
        "mode": "b",
        "maybe": None,
        "tree": Tree(name="root", children=[Tree(name="leaf")]),
    }
    args, kwargs = there_and_back(typed, **given)
    assert args == []
    assert kwargs == given
    assert {name: type(value) for name, value in kwargs.items()} == {n: type(v) for n, v in given.items()}


def test_models_come_back_whatever_their_aliases() -> None:
    def takes(renamed: Renamed, asymmetric: Asymmetric, count: Annotated[int, Field(alias="n", gt=0)]) -> None: ...

    given = (Renamed.model_validate({"from": "me"}), Asymmetric.model_validate({"in": 3}))
    _, kwargs = there_and_back(takes, *given, count=2)
    assert (kwargs["renamed"], kwargs["asymmetric"], kwargs["count"]) == (*given, 2)


def test_strict_models_are_read_from_json_again() -> None:
    def takes(exact: Exact) -> None: ...

    given = Exact(when=datetime(2026, 1, 1, tzinfo=UTC))
    assert there_and_back(takes, given)[1] == {"exact": given}


def test_arguments_from_outside_are_read_as_json_is() -> None:
    def takes(exact: Exact, blob: bytes) -> None: ...

    signature = of(takes)
    validated = signature.validate_document({"exact": {"when": "2026-01-01T00:00:00Z"}, "blob": "aGk="})
    assert validated == {"exact": Exact(when=datetime(2026, 1, 1, tzinfo=UTC)), "blob": b"hi"}


def test_unannotated_parameters_take_whatever_json_can_hold() -> None:
    def takes(anything) -> None: ...  # type: ignore[no-untyped-def]

    assert there_and_back(takes, {"a": [1, None, "x", 2**70]})[1] == {"anything": {"a": [1, None, "x", 2**70]}}


def test_a_partial_and_a_callable_object_have_signatures_too() -> None:
    class Adder:
        def __call__(self, a: int) -> int:
            return a + 1

    def add(a: int, b: int) -> int:
        return a + b

    assert there_and_back(functools.partial(add, 1), 2)[1] == {"b": 2}
    assert there_and_back(Adder(), "3")[1] == {"a": 3}


# messages


def notify(email: str, *, track: bool = False, copies: int = 1) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "notify: email: missing"),
        (("x",), {"trak": True}, "no parameter 'trak'; did you mean 'track'?"),
        (("x",), {"zzz": True}, "no parameter 'zzz'; it takes email, track, copies"),
        (("x",), {"copies": "many"}, "copies: Input should be a valid integer"),
        (("x",), {"copies": "many"}, "(got 'many')"),
        (("x", 1, 2), {}, "notify takes 1 positional arguments, 3 were given"),
        (("x",), {"email": "y"}, "notify got 'email' twice, by position and by name"),
        (("\ud800",), {}, "cannot be stored as JSON"),
    ],
)
def test_what_does_not_fit_is_named(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    assert message in refusal(notify, *args, **kwargs)


def test_a_field_inside_a_model_is_named_by_its_path() -> None:
    def takes(orders: list[Order]) -> None: ...

    bad = [{"id": 1, "address": {"street": 5}, "when": "2026-01-01T00:00:00Z"}]
    assert "orders.0.address.street: Input should be a valid string (got 5)" in refusal(takes, bad)


def test_long_values_are_cut_in_messages() -> None:
    assert len(refusal(notify, "x", copies="9" * 10_000 + "x")) < 300


def test_names_that_cannot_be_given_by_keyword_are_refused_as_python_does() -> None:
    def takes(a: int, /, *rest: int) -> None: ...

    assert "'a' can only be given by position" in refusal(takes, a=1)
    assert "'rest' can only be given by position" in refusal(takes, 1, rest=[2])


@pytest.mark.parametrize("payload", [b"", b"[1]", b"\xff", b"{", b'{"email":', b'"x"', b'{"email":1,"mail":2}'])
def test_a_stored_payload_that_does_not_fit_is_invalid_arguments(payload: bytes) -> None:
    with pytest.raises(InvalidArguments, match=r"^notify: "):
        of(notify).load(payload)


# NaN and infinities


def anything(value: Any, *, number: float | None = None) -> None: ...


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (math.nan, "value"),
        ([1, {"a": math.inf}], "value.1.a"),
        (Loose(value=math.nan), "value.value"),
        (Strings(value=-math.inf), "value.value"),
        (Point(1, math.nan), "value.y"),
        ({math.nan: 1}, "value.nan"),
        ({"s": {math.inf}}, "value.s.0"),
    ],
)
def test_nan_and_infinities_are_refused_wherever_they_hide(value: Any, where: str) -> None:
    assert f"{where} is NaN or infinite, which JSON cannot hold" in refusal(anything, value)


def test_nan_is_refused_behind_an_optional_annotation_where_null_would_be_valid() -> None:
    assert "number is NaN or infinite" in refusal(anything, 1, number=math.nan)


def test_nan_is_refused_inside_a_model_that_writes_it_as_a_word() -> None:
    def takes(loose: Loose | None = None, strings: Strings | None = None) -> None: ...

    assert "loose.value is NaN" in refusal(takes, Loose(value=math.nan))
    assert "strings.value is NaN" in refusal(takes, strings=Strings(value=math.inf))


def test_the_words_null_nan_and_none_are_ordinary_text() -> None:
    given = {"None": "null", "a": ["NaN", "Infinity", None]}
    assert there_and_back(anything, given)[1]["value"] == given


def test_nan_from_outside_is_refused_too() -> None:
    signature = of(anything)
    with pytest.raises(InvalidArguments, match="value is NaN"):
        signature.dump(signature.validate_document({"value": math.nan}))


def test_finite_numbers_have_no_place_that_is_not_finite() -> None:
    assert non_finite({"a": [1.0, (2.0, {3.0})], "b": Point(1.0), "c": Address(street="x")}) is None


# definitions that cannot work


def takes_secret(x: SecretStr) -> None: ...
def takes_nested_secret(x: dict[str, list[HoldsSecret | None]]) -> None: ...
def takes_recursive_secret(x: SecretTree) -> None: ...
def takes_generic_secret(x: Secret[int]) -> None: ...
def takes_callback(x: Callable[[], int]) -> None: ...
def takes_opaque(x: list[Opaque]) -> None: ...
def takes_forgetful(x: Forgetful) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (takes_secret, r"x is a secret type, which would be stored as '\*+'"),
        (takes_nested_secret, "x.password is a secret type"),
        (takes_recursive_secret, "x.key is a secret type"),
        (takes_generic_secret, "x is a secret type"),
        (takes_callback, "type cannot be stored as JSON"),
        (takes_opaque, "type cannot be stored as JSON.*Opaque"),
        (takes_forgetful, "x.lost is required, but exclude=True"),
    ],
)
def test_a_type_that_would_not_come_back_is_refused(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(InvalidDefinition, match=message):
        of(function).check()


def test_a_secret_that_its_model_writes_in_full_is_the_user_s_choice() -> None:
    def takes(x: Revealed) -> None: ...

    _, kwargs = there_and_back(takes, Revealed(password=SecretStr("open sesame")))
    assert kwargs["x"].password.get_secret_value() == "open sesame"


def test_annotations_may_name_what_the_module_defines_further_down() -> None:
    namespace: dict[str, Any] = {}
    exec("def takes(x: 'Later') -> 'Later': ...", namespace)
    signature = of(namespace["takes"])
    signature.check()
    with pytest.raises(InvalidDefinition, match=r"'Later' is not defined in .*import it at run time"):
        signature.validate([1], {})
    namespace["Later"] = Address
    assert signature.validate([{"street": "x"}], {}) == {"x": Address(street="x")}


@pytest.mark.parametrize("annotation", ["datetime.Nope", "list[int", "1 | None()"])
def test_an_annotation_that_cannot_be_evaluated_is_a_definition_error(annotation: str) -> None:
    def takes(x: Any) -> None: ...

    takes.__annotations__ = {"x": annotation}
    with pytest.raises(InvalidDefinition, match="annotation cannot be evaluated"):
        _ = of(takes).arguments


# what outsiders write


def test_an_object_holds_arguments_by_name_and_a_list_by_position() -> None:
    signature = of(notify)
    assert signature.arrange({"email": "x"}) == {"email": "x"}
    assert signature.arrange(["x"]) == {"email": "x"}
    with pytest.raises(InvalidArguments, match="a JSON object or list, not int"):
        signature.arrange(5)


def test_the_fields_of_a_single_model_may_stand_directly() -> None:
    def takes(order: Order, track: bool = False) -> None: ...

    signature = of(takes)
    assert signature.arrange({"id": 1}) == {"order": {"id": 1}}
    assert signature.arrange({"order": {"id": 1}}) == {"order": {"id": 1}}


def test_the_schema_describes_an_object_by_parameter_name() -> None:
    schema = of(notify).schema
    assert list(schema["properties"]) == ["email", "track", "copies"]
    assert schema["required"] == ["email"]
    assert schema["additionalProperties"] is False
