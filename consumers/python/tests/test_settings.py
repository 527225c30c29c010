"""OpenTelemetry's variables: what they say, and what is wrong with them."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest

from atomwire.otel.settings import Otlp, Sampler, read_otlp

if TYPE_CHECKING:
    from pathlib import Path

ANY = "OTEL_EXPORTER_OTLP_"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_"


def read(**environ: str) -> Otlp:
    problems: list[str] = []
    settings = read_otlp(environ, problems)
    assert not problems
    assert settings is not None
    return settings


def test_what_nobody_says_is_as_the_specification_has_it() -> None:
    own = version("atomwire")
    assert read() == Otlp(
        protocol="http/protobuf",
        endpoint="http://localhost:4318/v1/traces",
        headers=(),
        gzip=False,
        timeout=10.0,
        certificate=None,
        resource=(
            ("service.name", "atomwire-consumer"),
            ("service.version", own),
            ("telemetry.sdk.name", "atomwire"),
            ("telemetry.sdk.language", "python"),
            ("telemetry.sdk.version", own),
        ),
        sampler=Sampler(parent_based=True, ratio=1.0),
    )
    # An empty variable is none.
    names = ("PROTOCOL", "ENDPOINT", "HEADERS", "COMPRESSION", "TIMEOUT", "CERTIFICATE")
    empty = {f"{prefix}{name}": "" for prefix in (ANY, TRACES) for name in names}
    others = ("OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES")
    assert read(**empty, **dict.fromkeys(others, "")) == read()


@pytest.mark.parametrize("environ", [{"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "True"}])
def test_spans_may_go_nowhere(environ: dict[str, str]) -> None:
    problems: list[str] = []
    assert read_otlp(environ | {f"{ANY}PROTOCOL": "carrier pigeon"}, problems) is None
    assert not problems


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({f"{ANY}ENDPOINT": "http://a:1"}, "http://a:1/v1/traces"),
        ({f"{ANY}ENDPOINT": "https://a/otel/"}, "https://a/otel/v1/traces"),
        ({f"{TRACES}ENDPOINT": "http://b:2"}, "http://b:2"),
        ({f"{ANY}ENDPOINT": "http://a:1", f"{TRACES}ENDPOINT": "http://b:2/t?x=1"}, "http://b:2/t?x=1"),
        ({f"{ANY}PROTOCOL": "grpc"}, "http://localhost:4317"),
        ({f"{TRACES}PROTOCOL": "grpc", f"{ANY}ENDPOINT": "http://[::1]:1"}, "http://[::1]:1"),
    ],
)
def test_where_spans_go(environ: dict[str, str], endpoint: str) -> None:
    assert read(**environ).endpoint == endpoint


def test_how_spans_go(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.touch()
    settings = read(
        **{
            f"{ANY}HEADERS": "Authorization=Basic%20abc%3D, x-tenant = 7 ,",
            f"{ANY}COMPRESSION": "gzip",
            f"{ANY}TIMEOUT": "1500",
            f"{TRACES}TIMEOUT": "2500",
            f"{ANY}CERTIFICATE": str(certificate),
        }
    )
    assert settings.headers == (("authorization", "Basic abc="), ("x-tenant", "7"))
    assert (settings.gzip, settings.timeout, settings.certificate) == (True, 2.5, str(certificate))


def test_what_spans_come_from() -> None:
    attributes = "service.name=other,service.version=9,place=T%C5%8Dky%C5%8D"
    said = dict(read(OTEL_RESOURCE_ATTRIBUTES=attributes).resource)
    assert (said["service.name"], said["service.version"], said["place"]) == ("other", "9", "Tōkyō")
    named = dict(read(OTEL_RESOURCE_ATTRIBUTES=attributes, OTEL_SERVICE_NAME="orders").resource)
    assert named["service.name"] == "orders"


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ({"OTEL_TRACES_SAMPLER": "always_on"}, Sampler(parent_based=False, ratio=1)),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, Sampler(parent_based=False, ratio=0)),
        ({"OTEL_TRACES_SAMPLER": "traceidratio"}, Sampler(parent_based=False, ratio=1)),
        (
            {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"},
            Sampler(parent_based=True, ratio=0.5),
        ),
    ],
)
def test_which_spans_go(sampler: dict[str, str], expected: Sampler) -> None:
    assert read(**sampler).sampler == expected


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "not one of otlp, none"),
        (f"{ANY}PROTOCOL", "http/json", "not one of http/protobuf, grpc"),
        (f"{ANY}ENDPOINT", "collector:4318", "not http://host:port or https://host:port"),
        (f"{ANY}ENDPOINT", "http://", "not http://host:port or https://host:port"),
        (f"{TRACES}ENDPOINT", "http://a:99999", "not http://host:port or https://host:port"),
        (f"{ANY}ENDPOINT", "http://[::1", "not http://host:port or https://host:port"),
        (f"{ANY}ENDPOINT", "http://a/b c", "not http://host:port or https://host:port"),
        (f"{ANY}HEADERS", "a", "not key=value,…, of what HTTP takes"),
        (f"{ANY}HEADERS", "a b=c", "not key=value,…, of what HTTP takes"),
        (f"{TRACES}HEADERS", "a=b%0d%0ac: d", "not key=value,…, of what HTTP takes"),
        (f"{ANY}HEADERS", "a=%C3%A9", "not key=value,…, of what HTTP takes"),
        (f"{ANY}COMPRESSION", "zstd", "not one of none, gzip"),
        (f"{ANY}TIMEOUT", "10s", "not a number of milliseconds"),
        (f"{ANY}TIMEOUT", "0", "not a number of milliseconds"),
        (f"{ANY}CERTIFICATE", "/no/such/file", "the file does not exist"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c", "not key=value,…"),
        (
            "OTEL_TRACES_SAMPLER",
            "jaeger_remote",
            "not one of always_on, always_off, traceidratio, nor parentbased_ before it",
        ),
    ],
)
def test_what_is_wrong_is_named_without_its_value(name: str, text: str, problem: str) -> None:
    problems: list[str] = []
    read_otlp({name: text}, problems)
    assert problems == [f"{name}: {problem}"]


@pytest.mark.parametrize("text", ["2", "-0.1", "half", "nan"])
def test_a_ratio_that_is_none_is_named(text: str) -> None:
    problems: list[str] = []
    environ = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": text}
    read_otlp(environ, problems)
    assert problems == ["OTEL_TRACES_SAMPLER_ARG: not a number from 0 to 1"]


def test_grpc_asks_for_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(_name: str) -> Any:
        return None

    monkeypatch.setattr("atomwire.otel.settings.find_spec", find_nothing)
    problems: list[str] = []
    read_otlp({f"{ANY}PROTOCOL": "grpc"}, problems)
    assert problems == [f"{ANY}PROTOCOL: grpc needs grpcio: pip install 'atomwire[otlp]'"]
