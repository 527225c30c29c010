"""What is sent to a collector, what is sent again, and what is counted as dropped."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from conftest import Answer, Collector, eventually

from atomwire.otel import otlp
from atomwire.otel.exporter import QUEUE_BYTES, QUEUE_SPANS, Exporter
from atomwire.otel.settings import read_otlp
from atomwire.otel.transport import ExportError, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from atomwire.otel.transport import Transport

RESOURCE = otlp.resource([("service.name", "a test")])
SPAN = otlp.span(b"\1" * 16, b"\2" * 8, b"\3" * 8, 4, 5, 6, otlp.shape("a span", otlp.CLIENT, {}))
REQUEST = otlp.request(RESOURCE, b"", [SPAN])

both_protocols = pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])


def open_to(endpoint: str, protocol: str = "http/protobuf", **variables: str) -> Transport:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol} | {
        f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()
    }
    problems: list[str] = []
    settings = read_otlp(environ, problems)
    assert settings is not None, problems
    assert not problems
    return open_transport(settings)


@pytest.fixture
def export(collector: Collector) -> Iterator[Callable[[str], Exporter]]:
    """Start an exporter to the collector by a protocol."""
    exporters: list[Exporter] = []

    def start(protocol: str) -> Exporter:
        transport = open_to(collector.endpoints[protocol], protocol)
        exporters.append(Exporter(transport, RESOURCE, timeout=10))
        return exporters[-1]

    yield start
    collector.open.set()
    for exporter in exporters:
        exporter.close()


@both_protocols
def test_spans_arrive_with_headers_and_compressed(protocol: str, collector: Collector) -> None:
    settings = {"HEADERS": "api-key=a%20key,Tenant=7", "COMPRESSION": "gzip"}
    with closing(open_to(collector.endpoints[protocol], protocol, **settings)) as transport:
        assert transport.send(REQUEST, 10) == 0
        assert transport.send(REQUEST, 10) == 0
    assert [span.name for span in collector.spans()] == ["a span", "a span"]
    assert collector.services() == {"a test"}
    for headers in collector.headers:
        assert (headers["api-key"], headers["tenant"]) == ("a key", "7")
        assert headers["user-agent"].startswith("atomwire/")
        assert protocol == "grpc" or headers["content-encoding"] == "gzip"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate for this machine, and its key."""
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    san = ["-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", *options.split(), *san, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@both_protocols
def test_https_trusts_whom_it_is_told_to(protocol: str, certificate: tuple[Path, Path]) -> None:
    with closing(Collector(*certificate)) as collector:
        endpoint = collector.endpoints[protocol]
        with closing(open_to(endpoint, protocol, CERTIFICATE=str(certificate[0]))) as transport:
            assert transport.send(REQUEST, 10) == 0
        with closing(open_to(endpoint, protocol)) as transport, pytest.raises(ExportError):
            transport.send(REQUEST, 10)
    assert [span.name for span in collector.spans()] == ["a span"]


@both_protocols
@pytest.mark.parametrize(
    ("answer", "is_final", "after"),
    [
        (Answer(503), False, 0),
        (Answer(429, retry_after=7), False, 7),
        (Answer(503, retry_after=10**9), False, 600),
        (Answer(400), True, 0),
    ],
)
def test_what_a_collector_does_not_take_is_told_apart(
    protocol: str, answer: Answer, is_final: bool, after: int, collector: Collector
) -> None:
    collector.answers.append(answer)
    with closing(open_to(collector.endpoints[protocol], protocol)) as transport:
        with pytest.raises(ExportError) as raised:
            transport.send(REQUEST, 10)
        assert (raised.value.is_final, raised.value.after) == (is_final, after)
        assert transport.send(REQUEST, 10) == 0


@both_protocols
def test_where_nobody_listens_an_export_may_be_tried_again(protocol: str) -> None:
    with closing(open_to("http://127.0.0.1:1", protocol)) as transport, pytest.raises(ExportError) as raised:
        transport.send(REQUEST, 10)
    assert not raised.value.is_final


@both_protocols
def test_an_export_waits_no_longer_than_it_may(protocol: str, collector: Collector) -> None:
    with closing(open_to(collector.endpoints[protocol], protocol)) as transport:
        assert transport.send(REQUEST, 60) == 0
        collector.open.clear()
        with pytest.raises(ExportError) as raised:
            transport.send(REQUEST, 0.1)
        collector.open.set()
    assert not raised.value.is_final


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 " + b"9" * 70_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_http_may_be_tried_again(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        with closing(open_to(endpoint)) as transport, pytest.raises(ExportError) as raised:
            transport.send(REQUEST, 10)
        thread.join()
    assert not raised.value.is_final


def test_a_date_says_when_to_try_again(collector: Collector) -> None:
    date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=60), usegmt=True)
    collector.answers.append(Answer(503, retry_after=date))
    collector.answers.append(Answer(503, retry_after="soon"))
    with closing(open_to(collector.endpoints["http/protobuf"])) as transport:
        with pytest.raises(ExportError) as raised:
            transport.send(REQUEST, 10)
        assert 0 < raised.value.after <= 60
        with pytest.raises(ExportError) as raised:
            transport.send(REQUEST, 10)
        assert raised.value.after == 0


def test_a_connection_that_was_closed_meanwhile_is_made_anew(collector: Collector) -> None:
    collector.answers.append(Answer(hangs_up=True))
    with closing(open_to(collector.endpoints["http/protobuf"])) as transport:
        assert transport.send(REQUEST, 10) == 0
        time.sleep(0.05)  # no condition of this process shows that the other end is closed
        assert transport.send(REQUEST, 10) == 0


@both_protocols
def test_what_is_refused_for_now_is_sent_again(
    protocol: str, collector: Collector, export: Callable[[str], Exporter]
) -> None:
    collector.answers += [Answer(503), Answer(503)]
    exporter = export(protocol)
    exporter.add([SPAN] * 3)
    eventually(lambda: exporter.exported == 3)
    assert len(collector.sizes) == 3
    assert not exporter.dropped


@both_protocols
def test_what_is_refused_for_ever_is_counted(
    protocol: str, collector: Collector, export: Callable[[str], Exporter]
) -> None:
    collector.answers += [Answer(400), Answer(rejected=2), Answer(rejected=99)]
    exporter = export(protocol)
    for dropped, exported in ((5, 0), (7, 3), (12, 3)):
        exporter.add([SPAN] * 5)
        eventually(lambda: exporter.dropped["refused"] == dropped)  # noqa: B023 - it is called at once
        assert exporter.exported == exported
    assert exporter.dropped == {"refused": 12}


def test_requests_have_their_bounds(collector: Collector, export: Callable[[str], Exporter]) -> None:
    exporter = export("http/protobuf")
    large = otlp.span(b"\1" * 16, b"\2" * 8, b"\3" * 8, 4, 5, 6, otlp.attribute("key", "x" * 8_000))
    exporter.add([SPAN] * 2_500 + [large] * 700)
    exporter.close()
    assert exporter.exported == len(collector.spans()) == 3_200
    assert max(collector.sizes) <= 2 * 1024 * 1024
    assert max(len(request.resource_spans[0].scope_spans[0].spans) for request in collector.requests) == 1024
    assert max(collector.sizes) > 2 * 1024 * 1024 - 2 * len(large)


def test_a_queue_that_is_full_takes_no_more(collector: Collector, export: Callable[[str], Exporter]) -> None:
    collector.open.clear()
    exporter = export("http/protobuf")
    exporter.add([SPAN] * (2 * QUEUE_SPANS))
    assert exporter.dropped["queue_full"] == QUEUE_SPANS
    collector.open.set()
    exporter.close()
    assert exporter.exported == QUEUE_SPANS
    assert exporter.dropped == {"queue_full": QUEUE_SPANS}


def test_a_queue_is_full_by_bytes_too(collector: Collector, export: Callable[[str], Exporter]) -> None:
    collector.open.clear()
    exporter = export("http/protobuf")
    large = otlp.span(b"\1" * 16, b"\2" * 8, b"\3" * 8, 4, 5, 6, otlp.attribute("key", "x" * 100_000))
    exporter.add([large] * 200)
    assert exporter.dropped["queue_full"] == 200 - QUEUE_BYTES // len(large)
    collector.open.set()


@both_protocols
def test_the_last_spans_do_not_wait_for_a_collector_that_is_gone(
    protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = Exporter(open_to("http://127.0.0.1:1", protocol), RESOURCE, timeout=10)
    exporter.add([SPAN] * 3)
    exporter.close()
    assert (exporter.exported, exporter.dropped) == (0, {"export_failed": 3})
    assert "otlp" not in {thread.name for thread in threading.enumerate()}
    assert "spans dropped" in caplog.messages


def test_the_last_spans_wait_so_long_for_a_collector_that_says_nothing(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atomwire.otel.exporter.FLUSH_DEADLINE", 0.2)
    collector.open.clear()
    exporter = Exporter(open_to(collector.endpoints["http/protobuf"]), RESOURCE, timeout=60)
    exporter.add([SPAN] * 2_000)
    exporter.close()
    assert exporter.dropped == {"export_failed": 2_000}
    collector.open.set()
