"""Discovery: what a target leads to, and what is said when it leads nowhere."""

from __future__ import annotations

import email
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatch.discovery import Discovered, discover
from dispatch.errors import DiscoveryError, DispatchError, DuplicateName
from dispatch.registry import default_registry

TASK = "from dispatch import job\n\n@job(name={name!r})\ndef work() -> None: ...\n"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Forgets what a test imported and declared."""
    modules, path, jobs = set(sys.modules), list(sys.path), dict(default_registry.jobs)
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    sys.path[:] = path
    default_registry.jobs.clear()
    default_registry.jobs.update(jobs)


def put(root: Path, files: dict[str, str]) -> Path:
    for name, source in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return root


def refusal(root: Path, *targets: str) -> str:
    with pytest.raises(DiscoveryError) as caught:
        discover(*targets, folder=root)
    return str(caught.value)


def test_a_module_is_imported_from_the_folder(tmp_path: Path) -> None:
    put(tmp_path, {"d1_tasks.py": TASK.format(name="d1")})
    assert discover("d1_tasks", folder=tmp_path) == Discovered(("d1_tasks",))
    assert "d1" in default_registry.jobs


def test_without_a_folder_the_current_one_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, {"d2_tasks.py": TASK.format(name="d2")})
    monkeypatch.chdir(tmp_path)
    discover("d2_tasks")
    discover("d2_tasks.py")
    assert "d2" in default_registry.jobs


def test_a_package_brings_all_its_modules_but_those_that_are_no_part_of_it(tmp_path: Path) -> None:
    bad = "raise RuntimeError('must not be imported')\n"
    put(
        tmp_path,
        {
            "d3/__init__.py": "",
            "d3/one.py": TASK.format(name="d3.one"),
            "d3/deep/__init__.py": "",
            "d3/deep/two.py": TASK.format(name="d3.two"),
            "d3/__main__.py": bad,
            "d3/conftest.py": bad,
            "d3/tests/__init__.py": bad,
            "d3/deep/migrations/__init__.py": bad,
        },
    )
    assert discover("d3", folder=tmp_path).modules == ("d3", "d3.deep", "d3.deep.two", "d3.one")
    assert {"d3.one", "d3.two"} <= set(default_registry.jobs)


def test_one_module_of_a_package_is_enough(tmp_path: Path) -> None:
    put(tmp_path, {"d4/__init__.py": "", "d4/a.py": TASK.format(name="d4.a"), "d4/b.py": "raise RuntimeError"})
    assert discover("d4.a", folder=tmp_path).modules == ("d4.a",)


def test_a_file_is_imported_by_its_path(tmp_path: Path) -> None:
    put(tmp_path, {"sub/d5_tasks.py": "import d5_helper\n" + TASK.format(name="d5"), "sub/d5_helper.py": ""})
    assert discover("sub/d5_tasks.py", folder=tmp_path).modules == ("d5_tasks",)
    assert discover(str(tmp_path / "sub" / "d5_tasks.py"), folder=tmp_path).modules == ("d5_tasks",)
    assert "d5" in default_registry.jobs


def test_a_file_of_a_package_is_the_package_s_module(tmp_path: Path) -> None:
    put(tmp_path, {"d6/__init__.py": "", "d6/tasks.py": "from .models import X\n", "d6/models.py": "X = 1\n"})
    assert discover("d6/tasks.py", "d6.tasks", folder=tmp_path).modules == ("d6.tasks",)


def test_a_file_does_not_take_the_place_of_a_library_module(tmp_path: Path) -> None:
    put(tmp_path, {"jobs/email.py": TASK.format(name="d7")})
    discover("jobs/email.py", folder=tmp_path)
    assert "d7" in default_registry.jobs
    assert sys.modules["email"] is email


def test_an_object_of_a_module_is_handed_over(tmp_path: Path) -> None:
    put(tmp_path, {"d8.py": "class holder:\n    application = 42\n"})
    assert discover("d8:holder.application", folder=tmp_path).objects == (42,)
    assert "'d8:holder.aplication': d8 has no 'aplication'; did you mean 'application'?" in refusal(
        tmp_path, "d8:holder.aplication"
    )


def test_a_target_twice_is_imported_once(tmp_path: Path) -> None:
    put(tmp_path, {"d9.py": TASK.format(name="d9")})
    assert discover("d9", "d9", "d9.py", folder=tmp_path).modules == ("d9",)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1\nraise ValueError('no key')\n", "b1.py:2: ValueError: no key"),
        ("x = 1\n\ndef (:\n", "b1.py:3: SyntaxError"),
        ("import no_such_package_x\n", "Install the package that provides 'no_such_package_x'"),
        ("from os import no_such_name\n", "b1.py:1: ImportError: cannot import name 'no_such_name'"),
        ("import sys\nsys.exit(3)\n", "The module ends the program when imported; guard that with `if __name__"),
        ("def f():\n    return 1 / 0\n\nf()\n", "b1.py:2: ZeroDivisionError"),
    ],
)
def test_an_import_that_fails_names_file_line_and_a_likely_fix(tmp_path: Path, source: str, expected: str) -> None:
    put(tmp_path, {"b1.py": source})
    for target in ("b1", "b1.py"):
        message = refusal(tmp_path, target)
        assert message.startswith("importing ")
        assert expected in message
        assert "b1" not in sys.modules


def test_a_module_that_does_not_exist_is_told_with_what_there_is(tmp_path: Path) -> None:
    put(tmp_path, {"shop/__init__.py": "", "shop/tasks.py": "", "shop/models.py": ""})
    assert "there is no module 'shopp' to import for 'shopp.tasks'; did you mean 'shop'?" in refusal(
        tmp_path, "shopp.tasks"
    )
    assert "no module 'shop.task' to import for 'shop.task'; 'shop' has models, tasks" in refusal(tmp_path, "shop.task")
    assert f"run this from your project's root folder; {tmp_path} has shop" in refusal(tmp_path, "zzz")


def test_an_empty_folder_has_no_modules(tmp_path: Path) -> None:
    assert f"{tmp_path} has no modules" in refusal(tmp_path, "zzz")


def test_a_missing_import_inside_the_target_is_not_mistaken_for_the_target(tmp_path: Path) -> None:
    put(tmp_path, {"b2.py": "import b2_helpers.deep\n"})
    message = refusal(tmp_path, "b2")
    assert "b2.py:1: ModuleNotFoundError: No module named 'b2_helpers'" in message


def test_a_file_that_does_not_exist_is_told(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path, "nowhere/tasks.py")


def test_a_definition_that_dispatch_refuses_is_told_with_the_users_own_line(tmp_path: Path) -> None:
    put(tmp_path, {"b3/__init__.py": "", "b3/a.py": TASK.format(name="b3"), "b3/b.py": TASK.format(name="b3")})
    with pytest.raises(DiscoveryError, match=r"failed at .*b3/b.py:\d+: .*b3/a.py:3 and .*b3/b.py:3") as raised:
        discover("b3", folder=tmp_path)
    assert isinstance(raised.value.__cause__, DuplicateName)


def test_what_the_store_or_the_configuration_says_passes_unchanged(tmp_path: Path) -> None:
    for number, kind in enumerate(("StoreUnreachable", "ConfigError")):
        put(tmp_path, {f"b9_{number}.py": f"from dispatch.errors import {kind}\nraise {kind}('told as it is')\n"})
        with pytest.raises(DispatchError, match=r"^told as it is$") as raised:
            discover(f"b9_{number}", folder=tmp_path)
        assert type(raised.value).__name__ == kind


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class Stop(BaseException): pass\nraise Stop('enough')", "Stop: enough"),
        (
            "class Mute(Exception):\n    def __str__(self): 1 / 0\nraise Mute",
            "Mute: its text cannot be had",
        ),
        ("raise MemoryError", ": MemoryError."),
    ],
)
def test_whatever_an_import_raises_is_an_import_error_with_its_place(tmp_path: Path, source: str, said: str) -> None:
    put(tmp_path, {"d_odd.py": source})
    for target in ("d_odd", "d_odd.py"):
        message = refusal(tmp_path, target)
        assert "d_odd.py:" in message
        assert said in message


@pytest.mark.parametrize("target", ["", ":app", ".", "..", "a..b", ".tasks"])
def test_what_cannot_be_a_module_is_said_to_be_none(tmp_path: Path, target: str) -> None:
    assert "names no module" in refusal(tmp_path, target)
