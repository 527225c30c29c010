"""Real parts for the tests: sockets as the relay binds them, databases, a collector, the consumer itself."""

from __future__ import annotations

import gzip
import json
import os
import queue
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped,unused-ignore]
import psycopg
import pytest
import zmq
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped,unused-ignore]
from hypothesis import settings
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from atomwire import LEDGER_TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

settings.register_profile("any machine, however busy", deadline=None)
settings.load_profile("any machine, however busy")

DEADLINE = 20.0
"""Seconds after which a condition that should hold soon counts as failed."""

SESSION = "00112233445566778899aabbccddeeff"
RELAY = "0123456789abcdef"
OTHER_RELAY = "fedcba9876543210"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"


def update(relay_seq: int = 0, **changes: Any) -> dict[str, Any]:
    """Make a payload of `atom-updates`, with one number for both seq; a change to `...` leaves it out."""
    payload = {
        "key": "cart",
        "value": {"items": [relay_seq]},
        "traceparent": f"00-{TRACE_ID}-{PARENT_ID}-03",
        "session": SESSION,
        "seq": relay_seq,
        "time": "2026-11-21T02:30:44.123456Z",
        "relay": {"id": RELAY, "seq": relay_seq},
    } | changes
    return {name: value for name, value in payload.items() if value is not ...}


def ledger(relay_seq: int = 0, **members: Any) -> dict[str, Any]:
    return {"session": SESSION, **members, "relay": {"id": RELAY, "seq": relay_seq}}


def relay_end(relay_seq: int = 0, relay: str = RELAY, **topics: int) -> dict[str, Any]:
    """Make a relay's last message; an underscore in a topic's name stands for a hyphen."""
    published = {topic.replace("_", "-"): count for topic, count in topics.items()}
    return {"end": True, "topics": published, "relay": {"id": relay, "seq": relay_seq}}


def eventually(condition: Callable[[], Any]) -> Any:
    """Wait until the condition is true and return it."""
    deadline = time.monotonic() + DEADLINE
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)
    return result


class Bus:
    """An XPUB socket, as the relay's."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RCVTIMEO, int(DEADLINE * 1000))
        self._socket.set(zmq.XPUB_VERBOSE, 1)
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"

    def await_subscriber(self, *topics: str) -> None:
        awaited = {b"\x01" + topic.encode() for topic in topics or ("atom-updates",)}
        while awaited:
            awaited.discard(self._socket.recv())

    def publish(self, payload: dict[str, Any] | bytes, topic: str = "atom-updates") -> None:
        self.send(message(payload, topic))

    def send(self, frames: list[bytes]) -> None:
        self._socket.send_multipart(frames)

    def close(self) -> None:
        self._context.destroy()


class Relay:
    """A replay socket that answers as the protocol says, of the relay that was published for last."""

    def __init__(self, endpoint: str = "tcp://127.0.0.1:*") -> None:
        self.requests: list[dict[str, Any]] = []
        self.twist: Callable[[list[list[bytes]]], list[list[bytes]]]
        """Makes of an answer, head and messages, what is sent."""
        self.speak()
        self.answers = 0
        self.answer_bytes = 256 * 1024
        self._id = RELAY
        # By position; None where it was overwritten.
        self._window: list[list[bytes] | None] = []
        # In the order in which they came: from whom, what, and until when it may wait.
        self._waiting: list[tuple[bytes, dict[str, Any], float]] = []
        self._lock = threading.Lock()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.bind(endpoint)
        self.endpoint = self._socket.get_string(zmq.LAST_ENDPOINT)
        self._bell, self._ringer = socket.socketpair()
        self._closing = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def publish(self, payload: dict[str, Any] | bytes, topic: str = "atom-updates") -> None:
        self.publish_all([payload], topic)

    def publish_all(self, payloads: Iterable[dict[str, Any] | bytes], topic: str = "atom-updates") -> None:
        """Take messages into the window at once."""
        with self._lock:
            for payload in payloads:
                if isinstance(payload, dict) and payload["relay"]["id"] != self._id:
                    self._id = payload["relay"]["id"]
                    self._window.clear()
                self._window.append(message(payload, topic))
        self._ringer.send(b"\0")

    def forget(self, below: int) -> None:
        """Overwrite what is below a position, save for the ledger's, which is kept longer."""
        with self._lock:
            for position, kept in enumerate(self._window[:below]):
                if kept and kept[0] != LEDGER_TOPIC.encode():
                    self._window[position] = None

    def speak(self) -> None:
        self.twist = lambda answer: answer

    def be_silent(self) -> None:
        self.twist = lambda _: []

    def await_request(self, **members: Any) -> None:
        """Wait for a request with these members."""
        eventually(lambda: any(members.items() <= request.items() for request in self.requests))

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._ringer.send(b"\0")
            self._thread.join()
            self._context.destroy(0)
            self._bell.close()
            self._ringer.close()

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._bell, zmq.POLLIN)
        poller.register(self._socket, zmq.POLLIN)
        while not self._closing:
            ready = dict(poller.poll(50))
            if self._bell.fileno() in ready:
                self._bell.recv(4096)
            if self._socket in ready:
                identity, request = self._socket.recv_multipart()
                assert len(request) <= 16 * 1024
                self.requests.append(json.loads(request))
                self._waiting.append((identity, self.requests[-1], time.monotonic() + 1))
            self._waiting = [waiting for waiting in self._waiting if not self._settle(*waiting)]

    def _settle(self, identity: bytes, request: dict[str, Any], until: float) -> bool:
        """Answer a request, if there is anything to say or nothing more to wait for."""
        head, messages = self._answer(request)
        if not (messages or head["missed"]) and time.monotonic() < until:
            return False
        for frames in self.twist([[json.dumps(head).encode()], *messages]):
            self._socket.send_multipart([identity, *frames])
        self.answers += 1
        return True

    def _answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[list[bytes]]]:
        topics = tuple(topic.encode() for topic in request["topics"])
        with self._lock:
            kept = (position for position, frames in enumerate(self._window) if frames)
            first = at = next(kept, len(self._window))
            if request.get("relay") == self._id:
                first = at = min(request["from"], len(self._window))
            messages: list[list[bytes]] = []
            size = missed = 0
            for frames in self._window[first:]:
                if frames is None:
                    missed += 1
                elif frames[0].startswith(topics):
                    size += sum(map(len, frames))
                    if messages and size > self.answer_bytes:
                        break
                    messages.append(frames)
                at += 1
            head = {
                "relay": self._id,
                "from": first,
                "next": at,
                "end": len(self._window),
                "missed": missed,
                "messages": len(messages),
            }
            return head, messages


class Proxy:
    """A TCP path to somebody on this machine that can go dead without a word."""

    def __init__(self, endpoint: str) -> None:
        self._port = int(endpoint.rpartition(":")[2])
        self._server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._dead: set[socket.socket] = set()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def die(self) -> None:
        """Let nothing more through on the connections of now, and keep them open."""
        self._dead.update(self._sockets)

    def close(self) -> None:
        for each in (self._server, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in (self._server, *self._sockets):
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                relay = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, relay]
                for ends in ((client, relay), (relay, client)):
                    self._threads.append(threading.Thread(target=self._forward, args=ends))
                    self._threads[-1].start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if source not in self._dead:
                    sink.sendall(data)


def message(payload: dict[str, Any] | bytes, topic: str) -> list[bytes]:
    return [topic.encode(), payload if isinstance(payload, bytes) else json.dumps(payload).encode()]


def start(run: Callable[..., Process], relay: Relay, database: Database, **environ: str) -> Process:
    """Start a consumer, and wait until it reads."""
    process = run(
        "-m", "atomwire", **{"ATOMWIRE_REPLAY": relay.endpoint, "DATABASE_URL": database.url} | environ
    )
    process.await_log("reading")
    return process


def bus_lost(totals: dict[str, Any]) -> int:
    """Return how many messages never came that were owed."""
    return sum(count for reason, count in totals["gaps"].items() if reason != "before")


@pytest.fixture
def bus() -> Iterator[Bus]:
    bus = Bus()
    yield bus
    bus.close()


@pytest.fixture
def relay() -> Iterator[Relay]:
    relay = Relay()
    yield relay
    relay.close()


@pytest.fixture(scope="session")
def _span_exporter() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(_span_exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    """Collect the spans that this process ends."""
    _span_exporter.clear()
    return _span_exporter


class Process:
    """A process whose output lines can be awaited."""

    def __init__(self, arguments: list[str], environ: dict[str, str], directory: Path) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            env=inherited | {"OTEL_TRACES_EXPORTER": "none", "PYTHONUNBUFFERED": "1"} | environ,
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            for line in stdout:
                self.lines.append(line)
                self._queue.put(line)

    def await_line(self, part: str) -> str:
        try:
            while part not in (line := self._queue.get(timeout=DEADLINE)):
                pass
        except queue.Empty:
            pytest.fail(f"no line with {part!r} in {self.lines}")
        return line

    def await_log(self, message: str) -> dict[str, Any]:
        log: dict[str, Any] = json.loads(self.await_line(f'"message": "{message}"'))
        return log

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        status = self._process.wait(DEADLINE)
        self._reader.join()
        return status

    def stop(self) -> dict[str, Any]:
        """Stop a consumer, which must succeed, and return its last log line with the totals."""
        self.signal()
        assert self.wait() == 0, self.lines
        log: dict[str, Any] = json.loads(self.lines[-1])
        assert log["message"] == "stopped"
        return log

    def kill(self) -> None:
        self._process.kill()
        self.wait()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start Python processes, with arguments and variables, that end with the test at the latest."""
    processes: list[Process] = []

    def start(*arguments: str, **environ: str) -> Process:
        processes.append(Process([*arguments], environ, tmp_path))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


class Database:
    """A database as seen by somebody else than the consumer."""

    def __init__(self, url: str) -> None:
        self.url = url

    def connect(self) -> Any:
        """Return a connection of its driver's that begins transactions by itself no more."""
        path = self.url.removeprefix("sqlite:///")
        return sqlite3.connect(path, timeout=DEADLINE, isolation_level=None)

    def execute(self, statement: str) -> None:
        with closing(self.connect()) as connection:
            connection.execute(statement)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(self.connect()) as connection:
            rows: list[tuple[Any, ...]] = connection.execute(statement).fetchall()
            return rows

    def count(self, table: str = "atomwire_updates") -> int:
        count: int = self.rows(f"SELECT count(*) FROM {table}")[0][0]
        return count

    @contextmanager
    def away(self) -> Iterator[None]:
        """Make writing impossible for a while."""
        with closing(self.connect()) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield


class Cluster:
    """A PostgreSQL server of our own; it refuses to run as root, so root becomes nobody."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        root = os.geteuid() == 0
        # Root's own temporary folder may be closed to nobody.
        self._directory = Path(tempfile.mkdtemp(prefix="atomwire-postgresql-", dir="/tmp" if root else None))
        self._user: list[str] = []
        if root:
            shutil.chown(self._directory, "nobody")
            self._user = ["setpriv", "--reuid=nobody", "--clear-groups"]
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._call("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-p {self._port} -h 127.0.0.1 -k {self._directory} -F"
        self._call("pg_ctl", "start", "-w", "-l", f"{self._directory}/log", "-o", options)

    def stop(self) -> None:
        self._call("pg_ctl", "stop", "-w", "-m", "fast")

    def database(self, name: str, options: str = "") -> ClusterDatabase:
        server = f"postgresql://postgres:a-password@127.0.0.1:{self._port}"
        administration = ClusterDatabase(f"{server}/postgres", self)
        administration.execute(f"CREATE DATABASE {name} {options}")
        return ClusterDatabase(f"{server}/{name}", self)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._directory)

    def _call(self, program: str, *arguments: str) -> None:
        # Into a file: the server inherits the output, and would keep a pipe open for ever.
        with tempfile.TemporaryFile() as output:
            command = [
                *self._user,
                str(self._programs / program),
                "-D",
                f"{self._directory}/data",
                *arguments,
            ]
            status = subprocess.call(command, cwd="/", stdout=output, stderr=output)
            output.seek(0)
            assert status == 0, output.read().decode()


class ClusterDatabase(Database):
    def __init__(self, url: str, cluster: Cluster) -> None:
        super().__init__(url)
        self._cluster = cluster

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True)

    @contextmanager
    def away(self) -> Iterator[None]:
        self._cluster.stop()
        yield
        self._cluster.start()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server in /usr/lib/postgresql: apt-get install postgresql")
    cluster = Cluster(found[-1].parent)
    yield cluster
    cluster.remove()


@pytest.fixture
def sqlite(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path}/atomwire.sqlite")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Each kind of database in turn, empty."""
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path}/atomwire.sqlite")
    cluster: Cluster = request.getfixturevalue("cluster")
    return cluster.database(f"test_{time.monotonic_ns()}")


@dataclass(frozen=True)
class Answer:
    """What a collector says to one request."""

    status: int = 200
    """The same by gRPC: see `CODES`."""
    rejected: int = 0
    retry_after: int | str | None = None
    hangs_up: bool = False


CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


class Collector:
    """Receives OTLP, by gRPC and by HTTP; by TLS where it has a certificate."""

    def __init__(self, certificate: Path | None = None, key: Path | None = None) -> None:
        self.requests: list[trace_service_pb2.ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.sizes: list[int] = []
        self.answers: deque[Answer] = deque()
        """What is said to the next requests, before all is well."""
        self.open = threading.Event()
        """While it is not set, nobody is answered."""
        self.open.set()
        self._grpc = grpc.server(ThreadPoolExecutor(1))
        add_servicer: Callable[..., None] = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        add_servicer(_Servicer(self), self._grpc)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: _Handler(self, *args))
        if certificate is None or key is None:
            port = self._grpc.add_insecure_port("127.0.0.1:0")
            base = "http://127.0.0.1"
        else:
            pair = (key.read_bytes(), certificate.read_bytes())
            port = self._grpc.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate, key)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
            base = "https://localhost"
        self.endpoints = {"grpc": f"{base}:{port}", "http/protobuf": f"{base}:{self._http.server_port}"}
        self._grpc.start()
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def services(self) -> set[str]:
        return {
            attribute.value.string_value
            for request in self.requests
            for resource in request.resource_spans
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }

    def answer(self, body: bytes, headers: dict[str, str]) -> Answer:
        """Take a request, and say what is to be said to it."""
        self.open.wait(DEADLINE)
        self.headers.append(headers)
        self.sizes.append(len(body))
        answer = self.answers.popleft() if self.answers else Answer()
        if answer.status == 200:
            self.requests.append(trace_service_pb2.ExportTraceServiceRequest.FromString(body))
        return answer

    def close(self) -> None:
        self.open.set()
        self._grpc.stop(None).wait()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


class _Servicer(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(  # noqa: N802 - gRPC's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        answer = self._collector.answer(request.SerializeToString(), metadata)
        if answer.status != 200:
            if answer.retry_after is not None:
                retry_info = error_details_pb2.RetryInfo()
                retry_info.retry_delay.seconds = int(answer.retry_after)
                status = status_pb2.Status(code=8)
                status.details.add().Pack(retry_info)
                context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
            context.abort(CODES[answer.status], "as the test wants")
        return _response(answer)


def _response(answer: Answer) -> trace_service_pb2.ExportTraceServiceResponse:
    partial_success = trace_service_pb2.ExportTracePartialSuccess(rejected_spans=answer.rejected)
    return trace_service_pb2.ExportTraceServiceResponse(partial_success=partial_success)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, collector: Collector, *args: Any) -> None:
        self._collector = collector
        super().__init__(*args)

    def handle(self) -> None:
        with suppress(ConnectionError):  # who asked may have given up
            super().handle()

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        answer = self._collector.answer(body, {key.lower(): value for key, value in self.headers.items()})
        response = _response(answer).SerializeToString() if answer.status == 200 else b"as the test wants"
        self.send_response(answer.status)
        if answer.retry_after is not None:
            self.send_header("Retry-After", str(answer.retry_after))
        self.send_header("Content-Length", str(len(response)))
        self.end_headers()
        self.wfile.write(response)
        self.close_connection = answer.hangs_up

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()
