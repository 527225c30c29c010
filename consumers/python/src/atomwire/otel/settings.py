"""OpenTelemetry's own variables, as its specification has them.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
https://opentelemetry.io/docs/specs/otel/protocol/exporter/, 1.52.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

Protocol: TypeAlias = Literal["grpc", "http/protobuf"]

SERVICE_NAME = "atomwire-consumer"
DEFAULT_TIMEOUT = "10000"
"""Milliseconds."""

_DEFAULT_ENDPOINTS: dict[Protocol, str] = {
    "http/protobuf": "http://localhost:4318",  # first, the default: gRPC takes a package more
    "grpc": "http://localhost:4317",
}
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SAMPLERS = ("always_on", "always_off", "traceidratio")


@dataclass(frozen=True, slots=True)
class Sampler:
    """Which updates have spans."""

    parent_based: bool
    """The flag of the relay's span decides; there always is one."""
    ratio: float
    """Else the share of traces, from 0 to 1."""

    def takes(self, trace_id: bytes, flags: int) -> bool:
        """Whether spans are made for a trace, by its id and the trace flags of W3C."""
        if self.parent_based:
            return flags & 1 == 1
        return int.from_bytes(trace_id[8:], "big") < self.ratio * 2**64


@dataclass(frozen=True, slots=True)
class Otlp:
    """Where this process's own spans go, and how."""

    protocol: Protocol
    endpoint: str
    """The URL that is posted to, or a gRPC server's."""
    headers: tuple[tuple[str, str], ...]
    gzip: bool
    timeout: float
    """Seconds for one request."""
    certificate: str | None
    """A file of the authorities that https trusts; None: the system's."""
    resource: tuple[tuple[str, str], ...]
    sampler: Sampler


def read_otlp(environ: Mapping[str, str], problems: list[str]) -> Otlp | None:
    """Read the variables; None where spans go nowhere. What is wrong goes to `problems`, without values."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    exporter = environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter not in ("otlp", "none"):
        problems.append("OTEL_TRACES_EXPORTER: not one of otlp, none")
    if exporter == "none":
        return None
    sampler = _sampler(environ, problems)
    resource = _resource(environ, problems)
    variables = _Variables(environ, problems)
    protocol = cast("Protocol", variables.choice("PROTOCOL", *_DEFAULT_ENDPOINTS))
    if protocol == "grpc" and find_spec("grpc") is None:
        variables.wrong("PROTOCOL", "grpc needs grpcio: pip install 'atomwire[otlp]'")
    return Otlp(
        protocol,
        variables.endpoint(protocol),
        variables.headers(),
        variables.choice("COMPRESSION", "none", "gzip") == "gzip",
        variables.timeout(),
        variables.certificate(),
        resource,
        sampler,
    )


class _Variables:
    """Those of the exporter. The one for traces wins over the one for all signals; an empty one is unset."""

    def __init__(self, environ: Mapping[str, str], problems: list[str]) -> None:
        self._environ = environ
        self._problems = problems

    def choice(self, name: str, default: str, *others: str) -> str:
        text = self._get(name) or default
        if text not in (default, *others):
            self.wrong(name, f"not one of {', '.join((default, *others))}")
            return default
        return text

    def endpoint(self, protocol: Protocol) -> str:
        text = self._get("ENDPOINT") or _DEFAULT_ENDPOINTS[protocol]
        try:
            url = urlsplit(text)
            is_url = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:
            is_url = False
        if not is_url or not text.isascii() or not text.isprintable() or " " in text:
            self.wrong("ENDPOINT", "not http://host:port or https://host:port")
        if protocol == "grpc" or "_TRACES_" in self._variable("ENDPOINT"):
            return text
        return f"{text.rstrip('/')}/v1/traces"

    def headers(self) -> tuple[tuple[str, str], ...]:
        pairs = _pairs(self._get("HEADERS"))
        if pairs is None or not all(map(_is_header, pairs)):
            self.wrong("HEADERS", "not key=value,…, of what HTTP takes")
            return ()
        return tuple((key.lower(), value) for key, value in pairs)

    def timeout(self) -> float:
        text = self._get("TIMEOUT") or DEFAULT_TIMEOUT
        if re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII) is None:
            self.wrong("TIMEOUT", "not a number of milliseconds")
            return 0
        return int(text) / 1000

    def certificate(self) -> str | None:
        text = self._get("CERTIFICATE")
        if text and not Path(text).is_file():
            self.wrong("CERTIFICATE", "the file does not exist")
        return text or None

    def wrong(self, name: str, problem: str) -> None:
        self._problems.append(f"{self._variable(name)}: {problem}")

    def _get(self, name: str) -> str:
        return self._environ.get(self._variable(name), "")

    def _variable(self, name: str) -> str:
        for_traces = f"OTEL_EXPORTER_OTLP_TRACES_{name}"
        return for_traces if self._environ.get(for_traces) else f"OTEL_EXPORTER_OTLP_{name}"


def _is_header(pair: tuple[str, str]) -> bool:
    key, value = pair
    return _HEADER.fullmatch(key) is not None and value.isascii() and (value.isprintable() or not value)


def _sampler(environ: Mapping[str, str], problems: list[str]) -> Sampler:
    name = environ.get("OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    kind = name.removeprefix("parentbased_")
    if kind not in _SAMPLERS:
        problems.append(f"OTEL_TRACES_SAMPLER: not one of {', '.join(_SAMPLERS)}, nor parentbased_ before it")
    if kind != "traceidratio":
        return Sampler(name != kind, float(kind == "always_on"))
    try:
        ratio = float(environ.get("OTEL_TRACES_SAMPLER_ARG") or "1")
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        problems.append("OTEL_TRACES_SAMPLER_ARG: not a number from 0 to 1")
    return Sampler(name != kind, ratio)


def _resource(environ: Mapping[str, str], problems: list[str]) -> tuple[tuple[str, str], ...]:
    said = _pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    if said is None:
        problems.append("OTEL_RESOURCE_ATTRIBUTES: not key=value,…")
    named = {"service.name": name} if (name := environ.get("OTEL_SERVICE_NAME")) else {}
    own = version("atomwire")
    return tuple(
        {
            "service.name": SERVICE_NAME,
            "service.version": own,
            **dict(said or ()),
            **named,
            # "Telemetry SDK" in the resource conventions: these spans are encoded here.
            "telemetry.sdk.name": "atomwire",
            "telemetry.sdk.language": "python",
            "telemetry.sdk.version": own,
        }.items()
    )


def _pairs(text: str) -> list[tuple[str, str]] | None:
    """Read `key=value,key=value` with percent-encoded values, the form of W3C baggage; or None."""
    pairs: list[tuple[str, str]] = []
    for part in filter(None, map(str.strip, text.split(","))):
        key, equals, value = part.partition("=")
        if not key.strip() or not equals:
            return None
        pairs.append((key.strip(), unquote(value.strip())))
    return pairs
