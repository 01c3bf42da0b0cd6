"""`lazily`: an attribute computed when it is first asked for, and kept, without a lock that a fork could inherit.

Python 3.11's `functools.cached_property` holds one lock for all objects of a class while it computes: a process forked
meanwhile would wait for a thread that it does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class lazily(Generic[T]):
    """Turns a method into an attribute. Threads that ask at once may each compute it; all get what was stored first.

    Args:
        compute: what makes the value. An error of its own is the caller's, and the next one who asks computes again.

    >>> class Circle:
    ...     @lazily
    ...     def area(self) -> float:
    ...         print("computing")
    ...         return 3.14
    >>> circle = Circle()
    >>> circle.area, circle.area
    computing
    (3.14, 3.14)
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> T: ...
    def __get__(self, instance: object | None, owner: type[Any]) -> Self | T:
        if instance is None:
            return self
        value: T = instance.__dict__.setdefault(self._name, self._compute(instance))
        return value
