"""The configuration: precedence, origins, teaching errors, masking, and the example file that documents every key."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dispatch.config
from dispatch.config import (
    Config,
    LoadedConfig,
    example_toml,
    format_duration,
    format_size,
    load,
    mask_url,
    masked,
    parse_duration,
    parse_size,
    write_example,
)
from dispatch.errors import ConfigError
from dispatch.queues import QueueConfig

EXAMPLE = Path(dispatch.config.__file__).with_name("dispatch.toml.example")


def loaded(folder: Path, text: str = "", *, env: dict[str, str] | None = None, **options: Any) -> LoadedConfig:
    if text:
        (folder / "dispatch.toml").write_text(text)
    return load(cwd=folder, env=env or {}, **options)


def test_an_empty_folder_means_the_defaults(tmp_path: Path) -> None:
    result = loaded(tmp_path)
    assert result.config == Config.default().model_copy(update={"store": f"sqlite:///{tmp_path}/dispatch.db"})
    assert set(result.origins.values()) == {"default"}
    assert result.file is None
    assert result.warnings == []


def test_flag_wins_over_environment_over_profile_over_file_over_default(tmp_path: Path) -> None:
    text = "concurrency = 2\n[profiles.prod]\nconcurrency = 3\n"
    path = tmp_path / "dispatch.toml"
    env = {"DISPATCH_CONCURRENCY": "4"}
    steps = [
        (loaded(tmp_path), 10, "default"),
        (loaded(tmp_path, text), 2, f"file {path}"),
        (loaded(tmp_path, text, profile="prod"), 3, f"file {path} (profiles.prod)"),
        (loaded(tmp_path, text, profile="prod", env=env), 4, "env DISPATCH_CONCURRENCY"),
        (loaded(tmp_path, text, profile="prod", env=env, overrides={"concurrency": 5}), 5, "flag"),
    ]
    for result, value, origin in steps:
        assert (result.config.concurrency, result.origins["concurrency"]) == (value, origin)


def test_an_override_of_none_was_not_given(tmp_path: Path) -> None:
    result = loaded(tmp_path, "[log]\nlevel = 'debug'", overrides={"log": {"level": None, "format": "json"}})
    assert (result.config.log.level, result.config.log.format) == ("debug", "json")
    assert result.origins["log.level"] == f"file {tmp_path}/dispatch.toml (log)"
    assert result.origins["log.format"] == "flag"


def test_pyproject_serves_when_there_is_no_dispatch_toml(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[tool.dispatch]\nprocesses = 3\n[tool.dispatch.limits]\npayload = '1MB'\n"
    )
    result = loaded(tmp_path)
    assert result.config.processes == 3
    assert result.origins["limits.payload"] == f"file {tmp_path}/pyproject.toml (tool.dispatch.limits)"
    both = loaded(tmp_path, "processes = 4")
    assert both.config.processes == 4
    assert "[tool.dispatch]" in both.warnings[0]


def test_a_pyproject_without_our_table_is_not_our_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert loaded(tmp_path).file is None


def test_the_file_may_be_named_by_argument_or_by_variable(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("grace = 1")
    assert loaded(tmp_path, file="other.toml").config.grace == timedelta(seconds=1)
    assert loaded(tmp_path, env={"DISPATCH_CONFIG": "other.toml"}).file == tmp_path / "other.toml"
    with pytest.raises(ConfigError, match=r"missing\.toml does not exist"):
        loaded(tmp_path, file="missing.toml")


def test_profiles_may_be_protected_and_are_named_when_mistyped(tmp_path: Path) -> None:
    text = "[profiles.production]\nprotected = true\n[profiles.production.queue.mail]\nmax_concurrency = 2\n"
    result = loaded(tmp_path, text, env={"DISPATCH_PROFILE": "production"})
    assert (result.profile, result.protected) == ("production", True)
    assert result.config.queue["mail"].max_concurrency == 2
    assert not loaded(tmp_path, text).protected
    with pytest.raises(ConfigError, match="no profile 'produktion': did you mean 'production'"):
        loaded(tmp_path, text, profile="produktion")
    with pytest.raises(ConfigError, match=r"protected in .* must be true or false, not 'yes'"):
        loaded(tmp_path, "[profiles.p]\nprotected = 'yes'")


def test_a_profile_without_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="profile 'prod' was asked for, but there is no"):
        loaded(tmp_path, profile="prod")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("concurency = 3", r"unknown key 'concurency' \(file .*/dispatch.toml\): did you mean 'concurrency'"),
        ("[limits]\npaylod = 3", r"'limits.paylod' \(file .*/dispatch.toml \(limits\)\): did you mean 'payload'"),
        ("[queue.mail]\nmax_concurency = 3", r"\(queue.mail\)\): did you mean 'max_concurrency'"),
        ("[profiles.p]\ngrase = 3", r"unknown key 'grase' \(file .* \(profiles.p\)\): did you mean 'grace'"),
        ("[queues.mail]\nfair = true", r"queues = .*\[queue.NAME\]"),
        ("zzz = 1", "it may be one of store, namespace, migrate"),
        ("a = 1\nb = \n", r"dispatch.toml is not valid TOML: .*line 2"),
        ("concurrency = 0", r"concurrency = 0 \(file .*\): .*greater than or equal to 1"),
        ("lease = '20s'", r"lease = 20s \(file .*\) must be at least 5 × heartbeat_interval = 25s \(default\)"),
        ("grace = 'soon'", "grace = 'soon' .* is not a duration"),
        ("[queue.'a b']", "a name is 1 to 128 of"),
        ("[queue.mail]\nrate_limit = 1e-320", "greater than or equal to"),
        ("[queue.mail]\nrate_limit = 1e300", "less than or equal to"),
        ("[queue.mail]\nmax_concurrency = 2000000000", "less than or equal to"),
        ("[queue.mail]\nrate_burst = 3", "rate_burst does nothing without rate_limit"),
        ("profiles = 3", r"\[profiles.NAME\]"),
    ],
)
def test_a_mistake_in_the_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loaded(tmp_path, text)


def test_a_mistake_in_the_environment_or_a_flag_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"concurrency = 'many' \(env DISPATCH_CONCURRENCY\)"):
        loaded(tmp_path, env={"DISPATCH_CONCURRENCY": "many"})
    with pytest.raises(ConfigError, match=r"concurrency = 0 \(flag\)"):
        loaded(tmp_path, overrides={"concurrency": 0})
    with pytest.raises(ConfigError, match=r"unknown key 'shard' \(flag\)"):
        loaded(tmp_path, overrides={"shard": 0})


def test_a_lease_of_exactly_five_beats_is_allowed() -> None:
    assert Config(lease="2s", heartbeat_interval="0.4s").lease == timedelta(seconds=2)
    with pytest.raises(ConfigError, match="5 × heartbeat_interval"):
        Config(lease=timedelta(seconds=1.99), heartbeat_interval=0.4)


def test_variables_reach_tables_lists_and_names(tmp_path: Path) -> None:
    env = {
        "DISPATCH_QUEUES": "critical, default",
        "DISPATCH_PLUGINS": '["a", "b"]',
        "DISPATCH_LIMITS": '{"payload": "2KB", "result": "3KB"}',
        "DISPATCH_LIMITS__PAYLOAD": "1KB",
        "DISPATCH_QUEUE__MAIL__RATE_LIMIT": "2.5",
        "DISPATCH_PLUGIN__RELAY__ALLOW_HTTP": "true",
        "DISPATCH_PLUGIN__RELAY__URL": "x",
        "DISPATCH_AUTO_OPEN": "false",
        "DISPATCH_GRACE": "",
    }
    result = loaded(tmp_path, env=env)
    config = result.config
    assert (config.queues, config.plugins) == (["critical", "default"], ["a", "b"])
    assert (config.limits.payload, config.limits.result) == (1024, 3072)
    assert result.origins["limits.payload"] == "env DISPATCH_LIMITS__PAYLOAD"
    assert result.origins["limits.result"] == "env DISPATCH_LIMITS"
    assert config.queue["mail"].rate_limit == 2.5
    assert config.plugin == {"relay": {"allow_http": True, "url": "x"}}
    assert config.auto_open is False
    assert config.grace == Config.default().grace
    assert result.warnings == []


def test_unknown_variables_warn_and_test_variables_are_ignored(tmp_path: Path) -> None:
    env = {"DISPATCH_CONCURENCY": "3", "DISPATCH_LIMITS__PAYLOD": "3", "DISPATCH_TEST_REDIS_URL": "x", "OTHER": "x"}
    warnings = loaded(tmp_path, env=env).warnings
    assert len(warnings) == 2
    assert "DISPATCH_CONCURENCY is ignored" in warnings[0] and "'DISPATCH_CONCURRENCY'" in warnings[0]
    assert "'DISPATCH_LIMITS__PAYLOAD'" in warnings[1]


@pytest.mark.parametrize("name", ["DISPATCH_LIMITS", "DISPATCH_QUEUE", "DISPATCH_QUEUE__MAIL", "DISPATCH_PLUGIN__X"])
def test_a_variable_for_a_whole_table_must_be_a_json_object(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} stands for a table"):
        loaded(tmp_path, env={name: "3"})


def test_a_broken_json_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="DISPATCH_QUEUES is not a JSON list"):
        loaded(tmp_path, env={"DISPATCH_QUEUES": "[a"})


def test_secrets_come_from_a_variable_or_a_file(tmp_path: Path) -> None:
    text = "store = 'env:STORE'\n[plugin.relay]\nsecret = 'env:SECRET'\nlist = ['env:SECRET', 'x']\n"
    config = loaded(tmp_path, text, env={"STORE": "redis://h", "SECRET": "s3"}).config
    assert config.store == "redis://h"
    assert config.plugin["relay"] == {"secret": "s3", "list": ["s3", "x"]}
    with pytest.raises(ConfigError, match=r"store = 'env:STORE' \(file .*\): the variable STORE is not set"):
        loaded(tmp_path, text)
    (tmp_path / "url").write_text("memory://\n")
    result = loaded(tmp_path, "store = 'x://y'", env={"DISPATCH_STORE_FILE": "url"})
    assert (result.config.store, result.origins["store"]) == ("memory://", "env DISPATCH_STORE_FILE")


def test_a_store_file_must_be_readable_full_and_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for env, message in [
        ({"DISPATCH_STORE_FILE": "empty"}, "which is empty"),
        ({"DISPATCH_STORE_FILE": "missing"}, "cannot be read"),
        ({"DISPATCH_STORE_FILE": "empty", "DISPATCH_STORE": "memory://"}, "both set"),
    ]:
        with pytest.raises(ConfigError, match=message):
            loaded(tmp_path, env=env)


def test_a_relative_sqlite_path_belongs_to_the_file_that_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    file = folder / "dispatch.toml"
    file.write_text("store = 'sqlite:///data/a.db?x=1'")
    assert loaded(tmp_path, file=file).config.store == f"sqlite:///{folder}/data/a.db?x=1"
    assert (
        loaded(tmp_path, file=file, env={"DISPATCH_STORE": "sqlite:///b.db"}).config.store
        == f"sqlite:///{tmp_path}/b.db"
    )
    for url in ("sqlite:////abs/a.db", "sqlite:///:memory:", "sqlite://", "memory://", "postgresql://h/db"):
        assert loaded(tmp_path, overrides={"store": url}).config.store == url


def test_a_folder_with_odd_characters_stays_one_path_in_the_url(tmp_path: Path) -> None:
    folder = tmp_path / "a b%41?c"
    folder.mkdir()
    assert unquote(loaded(folder).config.store) == f"sqlite:///{folder}/dispatch.db"
    assert "?" not in loaded(folder).config.store


def test_masking_hides_what_must_not_be_shown() -> None:
    table = {
        "api_key": "k",
        "headers": {"Authorization": "Bearer x"},
        "url": "https://u:p@h/",
        "tokens_left": 3,
        "name": "n",
    }
    config = Config(store="postgresql://app:s3cret@db/app", plugin={"relay": {**table, "endpoints": [table]}})
    shown = masked(config)
    assert shown["store"] == "postgresql://app:***@db/app"
    assert shown["plugin"]["relay"]["headers"] == {"Authorization": "***"}
    assert shown["plugin"]["relay"]["endpoints"][0]["api_key"] == "***"
    assert shown["plugin"]["relay"]["url"] == "https://u:***@h/"
    assert shown["plugin"]["relay"]["name"] == "n"
    assert shown["lease"] == "30s"
    for text in (repr(config), str(config)):
        assert "s3cret" not in text and "Bearer" not in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@host:6379/0", "redis://:***@host:6379/0"),
        ("postgresql://u:p@ss/w?rd@host/db", "postgresql://u:***@host/db"),
        ("postgresql://host/db?user=u&password=pw&sslmode=on", "postgresql://host/db?user=u&password=***&sslmode=on"),
        ("https://host:8080/user@example", "https://host:8080/user@example"),
        ("sqlite:////home/a:b@c.db", "sqlite:////home/a:b@c.db"),
        ("postgresql://u@host/db", "postgresql://u@host/db"),
        ("not a url", "not a url"),
    ],
)
def test_passwords_in_urls_are_masked(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@pytest.mark.parametrize("text", ["[plugin]\npassword = 's3cret'", "concurrency = 'x://u:s3cret@h'"])
def test_errors_do_not_print_secrets(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"\*\*\*") as caught:
        loaded(tmp_path, text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        *[(30, 30), (0, 0), (0.4, 0.4), (timedelta(hours=1), 3600), ("12", 12), ("0.4s", 0.4), ("400ms", 0.4)],
        *[("30s", 30), ("5m", 300), ("2h", 7200), ("1.5h", 5400), ("1h30m", 5400), ("7d", 604800)],
    ],
)
def test_durations_are_read_as_people_write_them(written: Any, seconds: float) -> None:
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written", ["", "s", "1x", "-1s", "1s2", -1, True, None, [], float("nan"), float("inf"), 1e30, "999999d", "٣s"]
)
def test_what_is_no_duration_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("written", "size"), [(5, 5), ("256KB", 262144), ("1mb", 1048576), ("1 GiB", 2**30), ("1.5KB", 1536)]
)
def test_sizes_are_read_as_people_write_them(written: Any, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "KB", "1TB", "0.3B", -1, True, 1.5, None])
def test_what_is_no_size_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(written)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000)))
def test_a_duration_survives_being_written_and_read(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@given(st.integers(0, 2**50))
def test_a_size_survives_being_written_and_read(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_queue_tables_become_the_settings_that_stores_keep() -> None:
    config = Config(queue={"mail": {"max_concurrency": 2, "rate_limit": 5, "rate_burst": 7, "fair": True}})
    assert config.queue_configs() == [QueueConfig("mail", max_concurrency=2, rate_limit=5.0, rate_burst=7, fair=True)]


def test_the_example_file_of_the_project_is_the_one_that_the_package_carries() -> None:
    readable = (
        Path(__file__).parents[1] / "dispatch.toml.example"
    )  # on the web and in archives a link is a line of text
    assert not readable.is_symlink()
    assert readable.read_bytes() == EXAMPLE.read_bytes(), "run: cp dispatch.toml.example dispatch/config/"


def test_the_example_file_means_the_defaults() -> None:
    assert Config(**tomllib.loads(EXAMPLE.read_text())) == Config.default()


def test_the_example_file_shows_every_key_and_its_examples_load(tmp_path: Path) -> None:
    uncommented = re.sub(r"(?m)^# (?=\[|[a-z_]+ = )", "", EXAMPLE.read_text())
    tables = tomllib.loads(uncommented)
    assert set(tables) - {"profiles"} == set(Config.model_fields)
    assert tables["profiles"]["production"]["protected"] is True
    for name in ("limits", "log", "sqlite"):
        assert set(tables[name]) == set(type(getattr(Config.default(), name)).model_fields)
    assert set(tables["queue"]["mailers"]) == set(QueueConfig.__slots__) - {"name", "tenant_concurrency"}
    env = {"PRODUCTION_STORE": "memory://", "NAME_WEBHOOK_SECRET": "whsec_", "JOBS_API_KEY": "dk_"}
    result = loaded(tmp_path, uncommented, profile="production", env=env)
    assert (result.config.concurrency, result.config.store, result.config.app) == (50, "memory://", "myapp.tasks")


def test_a_new_file_holds_the_defaults_and_an_old_one_is_left_alone(tmp_path: Path) -> None:
    path = write_example(tmp_path / "dispatch.toml")
    assert Config(**tomllib.loads(path.read_text())) == Config.default()
    assert path.read_text() == example_toml()
    comments = [line for line in EXAMPLE.read_text().splitlines() if not line or line.startswith("#")]
    assert [line for line in path.read_text().splitlines() if not line or line.startswith("#")] == comments
    assert len(comments) > 100
    with pytest.raises(ConfigError, match="exists and is left alone"):
        write_example(path)
    with pytest.raises(ConfigError, match="cannot be written"):
        write_example(tmp_path / "nowhere" / "dispatch.toml")
