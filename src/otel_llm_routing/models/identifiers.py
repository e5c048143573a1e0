"""Spellings: of a model's identifier, of a provider's name, and which host belongs to which provider."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

MAX_LENGTH = 256
"""Longer strings are no identifiers: they are compared as they are, and are of unknown kind."""

_CACHE_SIZE = 4096

# A model named by its place in a cloud: `projects/p/locations/l/publishers/google/models/x` (Vertex AI), and the
# Bedrock ARNs that spell out a model. Other Bedrock ARNs (prompt routers, application profiles) hide what is behind.
# Portkey: `@slug/model`, where the slug names an integration; `@cf/` and `@hf/` are part of Workers AI's own names.
_RESOURCE = re.compile(
    r"(?:(?:projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/models/"
    r"|arn:aws[a-z-]*:bedrock:[a-z0-9-]*:[0-9]*:(?:foundation-model|inference-profile)/"
    r"|@(?!(?:cf|hf)/)[a-z0-9][a-z0-9._-]*/)(?=.)"
)
# `4.6` and `4-6`: a dot between digits is the dash other APIs write.
_VERSION_DOT = re.compile(r"(?<=\d)\.(?=\d)")
# Vertex AI writes the date behind an `@` that Anthropic writes behind a dash, once with a redundant `-v2` before it.
_CLAUDE_AT = re.compile(r"(claude-.+?)(?:-v\d+)?@(\d{8})")
# Bedrock adds a revision, and sometimes a context size, to a Claude identifier that is complete without them. The
# `-v` must follow a digit, or `claude-v2:1` would lose its version.
_CLAUDE_REVISION = re.compile(r"(claude-.*\d)-v\d+(?::\d+k?)*")


@dataclass(frozen=True)
class _Providers:
    """``providers.json``, ready for use."""

    names: dict[str, str]
    """Every spelling of a provider's name -> its GenAI name."""
    hosts: tuple[tuple[re.Pattern[str], str], ...]
    ports: dict[str, str]
    prefix: re.Pattern[str]
    """What may stand before an identifier without being part of it."""


@lru_cache(maxsize=1)
def _providers() -> _Providers:
    data = json.loads(files(__package__).joinpath("providers.json").read_text("utf-8"))
    names: dict[str, str] = {}
    hosts: list[tuple[re.Pattern[str], str]] = []
    ports: dict[str, str] = {}
    prefixes: set[str] = set(data["prefixes"])
    for entry in data["providers"]:
        name = entry["name"]
        names.update(dict.fromkeys([name, *entry.get("aliases", ())], name))
        prefixes.update(entry.get("prefixes", ()))
        hosts.extend((_host_pattern(host), name) for host in entry["hosts"])
        ports.update(dict.fromkeys(map(str, entry.get("ports", ())), name))
    # Longest first: of `bedrock/converse/` and `bedrock/`, the first must win.
    slashed = "|".join(re.escape(prefix) for prefix in sorted(prefixes, key=len, reverse=True))
    regions = "|".join(map(re.escape, data["bedrock"]["regions"]))
    vendors = "|".join(map(re.escape, data["bedrock"]["vendors"]))
    return _Providers(
        names, tuple(hosts), ports, re.compile(rf"(?:{slashed}|(?:(?:{regions})\.)?(?:{vendors})\.)(?=.)")
    )


def _host_pattern(host: str) -> re.Pattern[str]:
    """Compile ``host`` to match itself and its subdomains; ``*`` stands for any part of one label."""
    return re.compile(r"(?:.*\.)?" + re.escape(host).replace(r"\*", "[^.]*"))


@lru_cache(maxsize=_CACHE_SIZE)
def canonical(model: str) -> str:
    """Return the one spelling that stands for every spelling of ``model``.

    Takes away what is only spelling: known provider prefixes, the region of a Bedrock inference profile, ``4.6``
    against ``4-6``, case. What names a version stays, so that an alias and a snapshot never become the same.
    """
    text = model.strip().lower()
    if len(text) > MAX_LENGTH:
        return text
    prefix = _providers().prefix
    while found := _RESOURCE.match(text) or prefix.match(text):
        text = text[found.end() :].strip()
    text = _VERSION_DOT.sub("-", text)
    if text.startswith("claude-"):
        while found := _CLAUDE_REVISION.fullmatch(text):
            text = found[1]
        if found := _CLAUDE_AT.fullmatch(text):
            text = f"{found[1]}-{found[2]}"
    elif text.startswith("gpt-35-turbo"):
        # Azure: a deployment's model could not be named with a dot.
        text = "gpt-3-5-turbo" + text[len("gpt-35-turbo") :]
    return text


def clean_model(value: object) -> str | None:
    """Return ``value`` if it can be the identifier of a model: a printable string, not empty, cut to 256 characters."""
    return _cleaned(value[:MAX_LENGTH]) if type(value) is str else None


@lru_cache(maxsize=_CACHE_SIZE)
def _cleaned(value: str) -> str | None:
    if not value.isprintable():
        value = "".join(c for c in value if c.isprintable())
    return value.strip() or None


def same_model(a: str, b: str) -> bool:
    """Return whether ``a`` and ``b`` are spellings of one identifier. An alias and its snapshot are not."""
    return a == b or canonical(a) == canonical(b)


def provider_name(provider: str | None) -> str | None:
    """Return the GenAI name of ``provider``: ``az.ai.openai`` is ``azure.ai.openai``. Other names stay as they are."""
    if not provider:
        return None
    name = provider.strip().lower()
    return _providers().names.get(name, name) or None


@lru_cache(maxsize=_CACHE_SIZE)
def provider_of_host(host: str) -> str | None:
    """Return the GenAI name of the provider that owns ``host``, or None.

    ``host`` is that of a base URL, with or without a port. Only whole labels count: ``evil-openai.com`` and
    ``api.openai.com.evil.net`` are nobody's. Of a host that is nobody's, the port may tell: 11434 is Ollama's.
    """
    name = host.strip().lower()
    port = ""
    if name.count(":") == 1:
        name, _, port = name.partition(":")
    name = name.removesuffix(".")
    if not name or len(name) > MAX_LENGTH:
        return None
    for pattern, provider in _providers().hosts:
        if pattern.fullmatch(name):
            return provider
    return _providers().ports.get(port)
