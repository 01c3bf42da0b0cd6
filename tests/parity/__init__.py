"""Promised names and their uses; the uses are told of failing asserts as tests are."""

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.uses_{part}" for part in ("app", "parts", "tools", "workflows")))
