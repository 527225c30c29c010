"""A program's settings: of each its flag, its variable, its key in a file, or its default; the first wins."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

_T = TypeVar("_T")


class ConfigError(Exception):
    """Every problem of the configuration, none of which quotes a value: one might be a password."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Setting(Generic[_T]):
    """One setting."""

    name: str
    """With hyphens that of the flag, with underscores that of the file's key."""
    variable: str
    metavar: str
    help: str
    default: str
    """As a flag would have it; empty for none."""
    read: Callable[[str], _T]
    """Makes the value of its text, or raises `ValueError` with what is wrong with it."""

    @property
    def key(self) -> str:
        """Its name in the file, and in what `argparse` gives."""
        return self.name.replace("-", "_")

    @property
    def names(self) -> str:
        """What a problem calls it."""
        return f"--{self.name} ({self.variable})"

    def add_to(self, parser: ArgumentParser) -> None:
        """Give a command this flag."""
        default = f"; default {self.default}" if self.default else ""
        parser.add_argument(
            f"--{self.name}", metavar=self.metavar, help=f"{self.help} [env {self.variable}{default}]"
        )


class Source:
    """Where settings are looked for, and all that was found wrong."""

    def __init__(self, flags: Namespace, environ: Mapping[str, str], unknown: Iterable[str]) -> None:
        """`unknown` are arguments that nobody knows."""
        self._flags = vars(flags)
        self._environ = environ
        self._file: dict[str, Any] = {}
        # Without what follows a =, where a misspelt --database-url has its password.
        self.problems = [f"unknown argument {argument.partition('=')[0]}" for argument in unknown]

    def open(self, path: Path, known: Iterable[Setting[Any]]) -> None:
        """Read a TOML file of these settings."""
        try:
            self._file = tomllib.loads(path.read_text())
        except OSError as error:
            self.problems.append(f"--config: {error.strerror}")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            # Their text quotes the file.
            self.problems.append("--config: not TOML")
        keys = {setting.key for setting in known}
        self.problems += [f"--config: unknown key {key}" for key in self._file if key not in keys]

    def take(self, setting: Setting[_T]) -> _T | None:
        """Return a setting's value; None where it has none, or a problem."""
        text = self._flags.get(setting.key)
        if text is None:
            # An empty variable counts as unset, as OpenTelemetry's do.
            text = self._environ.get(setting.variable) or self._file.get(setting.key, setting.default)
            if not text:
                return None
        if not isinstance(text, str):
            self.problems.append(f"{setting.names}: not a string")
            return None
        try:
            return setting.read(text)
        except ValueError as error:
            self.problems.append(f"{setting.names}: {error}")
            return None
