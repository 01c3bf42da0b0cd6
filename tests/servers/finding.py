"""What servers for tests are found and placed by."""

from __future__ import annotations

import os
import socket
from typing import NoReturn

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def missing(what: str, advice: str) -> NoReturn:
    """Skips the test, or fails it where DISPATCH_TEST_REQUIRE names what is missing."""
    message = f"{what} is not there: {advice}"
    if what in os.environ.get("DISPATCH_TEST_REQUIRE", "").split(","):
        pytest.fail(message)
    pytest.skip(message)
