"""Answers a shell that asks for completions, without parsing values: typer's own way takes a third of a second."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from dispatch_cli.settings import NAMES, Settings

ASKED = "_DISPATCH_COMPLETE"
"""The variable by which a shell asks: its value is the shell's name."""
_BREAKS = ":="
"""What bash takes for the end of a word besides blanks."""

SCRIPTS = {
    "bash": """\
_dispatch() {
  local IFS=$'\\n'
  COMPREPLY=($(_DISPATCH_COMPLETE=bash COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" "$1" 2>/dev/null))
}
complete -o default -F _dispatch dispatch
""",
    "zsh": """\
#compdef dispatch
_dispatch() {
  local -a found
  found=(${(f)"$(_DISPATCH_COMPLETE=zsh COMP_LINE="${(j: :)${(@q)words[1,CURRENT]}}" dispatch 2>/dev/null)"})
  if (( $#found )); then compadd -- $found; else _files; fi
}
compdef _dispatch dispatch
""",
    "fish": """\
function __dispatch_complete
  set -l found (env _DISPATCH_COMPLETE=fish COMP_LINE=(commandline -cp | string collect) dispatch 2>/dev/null)
  if test (count $found) -gt 0
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete --command dispatch --no-files --arguments '(__dispatch_complete)'
""",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A command line as far as it has been typed: whole words, then the one at the cursor."""

    words: list[str]
    last: str


def answer(root: Any, env: Mapping[str, str] = os.environ) -> int:
    """Writes what may stand at the cursor, a line each."""
    line = read(env)
    found = candidates(root, line)
    if env.get(ASKED) == "bash":
        cut = max((line.last.rfind(mark) + 1 for mark in _BREAKS), default=0)
        found = [text[cut:] for text in found]
    sys.stdout.write("".join(f"{text}\n" for text in found))
    return 0


def read(env: Mapping[str, str]) -> Line:
    """The words up to the cursor; the command's own name is left out."""
    text = env.get("COMP_LINE", "")
    point = env.get("COMP_POINT", "")
    text = text[: int(point)] if point.isdigit() else text
    words: list[str] = []
    for closing in ("", '"', "'", "\\ "):
        try:
            words = shlex.split(text + closing)
            break
        except ValueError:
            continue
    within = bool(words) and not text[-1:].isspace()
    return Line(words[1:-1] if within else words[1:], words[-1] if within else "")


def candidates(root: Any, line: Line) -> list[str]:
    """Commands, options or values that begin with what was typed."""
    command, given, positional, waiting = _walk(root, line.words)
    context = SimpleNamespace(obj=Settings(**given))
    if waiting is not None:
        return _values(waiting, context, line.last)
    if line.last.startswith("-"):
        name, separator, typed = line.last.partition("=")
        param = _options(command).get(name)
        if separator and param is not None:
            return [f"{name}={value}" for value in _values(param, context, typed)]
        return [option for option in _options(command) if option.startswith(line.last) and option.startswith("--")]
    if hasattr(command, "list_commands"):
        return [name for name in command.list_commands(None) if name.startswith(line.last)]
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    if not arguments:
        return []
    place = min(positional, len(arguments) - 1)
    if positional > place and arguments[place].nargs != -1:
        return []
    return _values(arguments[place], context, line.last)


def _walk(command: Any, words: list[str]) -> tuple[Any, dict[str, Any], int, Any]:
    """The command that the words lead to, the global options among them, how many arguments it has got, and the option
    that waits for its value."""
    given: dict[str, Any] = {}
    positional = 0
    waiting: Any = None
    for word in words:
        if waiting is not None:
            _note(given, waiting, word)
            waiting = None
        elif word.startswith("-") and word != "-":
            name, separator, value = word.partition("=")
            param = _options(command).get(name)
            if param is not None and separator:
                _note(given, param, value)
            elif param is not None and not param.is_flag:
                waiting = param
        elif hasattr(command, "list_commands"):
            inner = command.get_command(None, word)
            if inner is None:
                break
            command = inner
        else:
            positional += 1
    return command, given, positional, waiting


def _note(given: dict[str, Any], param: Any, value: str) -> None:
    if param.name in NAMES:
        given[param.name] = value


def _options(command: Any) -> dict[str, Any]:
    """Every way to write an option, and the option."""
    options = [param for param in command.params if param.param_type_name == "option" and not param.hidden]
    return {text: param for param in options for text in (*param.opts, *param.secondary_opts)} | _HELP


_HELP = {"--help": SimpleNamespace(is_flag=True, name="help", shell_complete=lambda context, typed: [])}


def _values(param: Any, context: Any, typed: str) -> list[str]:
    return [item.value for item in param.shell_complete(context, typed)]
