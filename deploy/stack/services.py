"""The services of the Compose file as commands of this machine: only addresses, and where files are, differ.

Each service gets a folder of its own that stands for its file system. Addresses become loopback addresses with free
ports, in commands, settings and files alike.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stack.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

DEPLOY = Path(__file__).parents[1]
ELSEWHERE = ("tempo", "grafana")
"""Services that need a container: they cannot be built here."""

_OWN = ("0.0.0.0", "127.0.0.1", "localhost")  # noqa: S104  (what a file says, replaced by loopback)
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


class StackError(Exception):
    """What keeps the stack from running, and what to do about it."""


@dataclass
class Service:
    """A service of the Compose file, to be run on this machine."""

    name: str
    command: list[str]
    environment: dict[str, str]
    health: list[str] | None
    """The command of its health check, if it has one."""
    files: dict[Path, str] = field(default_factory=dict)
    """The text of each file that it reads."""
    folders: list[Path] = field(default_factory=list)
    """Where it writes."""


class Addresses:
    """The loopback address that stands for each service's port; those that share a network share ports."""

    def __init__(self, compose: Mapping[str, Any]) -> None:
        self._network = {
            name: str(service.get("network_mode", f"service:{name}")).removeprefix("service:")
            for name, service in compose["services"].items()
        }
        self._ports: dict[tuple[str, str], int] = {}
        hosts = "|".join(re.escape(host) for host in (*_OWN, *self._network))
        self._address = re.compile(rf"(?<![\w.-])({hosts}):(\d+)\b")

    def of(self, service: str, port: int | str) -> str:
        """Return HOST:PORT of a port of a service."""
        key = (self._network[service], str(port))
        if key not in self._ports:
            self._ports[key] = free_port()
        return f"127.0.0.1:{self._ports[key]}"

    def port(self, service: str, port: int | str) -> str:
        """Return the port alone."""
        return self.of(service, port).rpartition(":")[2]

    def replace(self, text: str, service: str) -> str:
        """Return a text of a service with every address in it replaced."""
        text = self._address.sub(lambda m: self.of(service if m[1] in _OWN else m[1], m[2]), text)
        # A Collector's own metrics have host and port on two lines.
        text = re.sub(r"\bhost: 0\.0\.0\.0$", "host: 127.0.0.1", text, flags=re.MULTILINE)
        return re.sub(r"\bport: (\d+)$", lambda m: f"port: {self.port(service, m[1])}", text, flags=re.MULTILINE)

    def arguments(self, command: list[str], service: str) -> list[str]:
        """Return a command with every address in it replaced, also where host and port are two arguments."""
        made = []
        for before, word in zip(["", *command], command, strict=False):
            if before == "--host":
                made.append("127.0.0.1")
            elif before == "--port":
                made.append(self.port(service, word))
            else:
                made.append(self.replace(word, service))
        return made


def load(path: Path, variables: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the Compose file, with its variables replaced."""
    text = _VARIABLE.sub(lambda m: variables.get(m[1]) or m[2], path.read_text("utf-8"))
    return dict(yaml.safe_load(text))


def services(compose: Mapping[str, Any], folder: Path, addresses: Addresses, base: Path = DEPLOY) -> list[Service]:
    """Return the services that run on this machine, in the order of the file; their files go under ``folder``."""
    return [
        _service(name, service, compose["configs"], folder / name, addresses, base)
        for name, service in compose["services"].items()
        if name not in ELSEWHERE
    ]


def write(service: Service) -> None:
    """Write the files of a service, and make the folders that it writes to."""
    for path, text in service.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for path in service.folders:
        path.mkdir(parents=True, exist_ok=True)


def _service(
    name: str, said: Mapping[str, Any], configs: Mapping[str, Any], folder: Path, addresses: Addresses, base: Path
) -> Service:
    places: dict[str, Path] = {}
    made = Service(name, [], {}, None)
    for config in said.get("configs", ()):
        source = base / configs[config["source"]]["file"]
        places[config["target"]] = folder / config["target"].lstrip("/")
        made.files[places[config["target"]]] = addresses.replace(_read(source), name)
    for volume in said.get("volumes", ()):
        target = volume.split(":")[1]
        places[target] = folder / target.lstrip("/")
        made.folders.append(places[target])
    made.command = [_placed(word, places) for word in addresses.arguments(said["command"], name)]
    made.environment = {k: addresses.replace(v, name) for k, v in said.get("environment", {}).items()}
    if health := said.get("healthcheck"):
        made.health = addresses.arguments(health["test"][1:], name)
    return made


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise StackError(f"{path} cannot be read ({error.strerror}); --rules names the folder of your rules") from error


def _placed(word: str, places: Mapping[str, Path]) -> str:
    """Return an argument with the path in it, if any, as it is on this machine."""
    option, equals, value = word.rpartition("=")
    return f"{option}{equals}{places[value]}" if value in places else word
