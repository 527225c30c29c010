"""One export, by HTTP or gRPC (https://opentelemetry.io/docs/specs/otlp/, 1.9)."""

from __future__ import annotations

import gzip
import ssl
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from atomwire.otel.otlp import rejected_spans, retry_delay

if TYPE_CHECKING:
    from atomwire.otel.settings import Otlp

ANSWER_BYTES = 64 * 1024
"""The largest answer that is read."""
MAX_DELAY = 600.0
"""Seconds. No collector is waited for longer, whatever it asks for."""

_OK = 200
_RETRYABLE_STATUS = (429, 502, 503, 504)
_RETRYABLE_CODES = ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS")
_USER_AGENT = f"atomwire/{version('atomwire')}"
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class ExportError(Exception):
    """An export that failed."""

    def __init__(self, reason: str, *, is_final: bool = False, after: float = 0) -> None:
        super().__init__(reason)
        self.is_final = is_final
        """Whether the same request would fail for ever."""
        self.after = min(max(after, 0), MAX_DELAY)
        """Seconds that the collector wants to be left alone."""


class Transport(Protocol):
    """A way to the collector."""

    def send(self, request: bytes, timeout: float) -> int:
        """Send an `ExportTraceServiceRequest`, in so many seconds, and return how many spans were refused.

        Raises `ExportError`, and nothing else.
        """
        ...

    def close(self) -> None:
        """Release the connection."""
        ...


def open_transport(otlp: Otlp) -> Transport:
    """Make a way to the collector, which is reached when something is sent."""
    return GrpcTransport(otlp) if otlp.protocol == "grpc" else HttpTransport(otlp)


class HttpTransport:
    """OTLP/HTTP with binary protobuf, on a connection that is kept."""

    def __init__(self, otlp: Otlp) -> None:
        url = urlsplit(otlp.endpoint)
        self._path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._gzip = otlp.gzip
        self._headers = {"content-type": "application/x-protobuf", "user-agent": _USER_AGENT}
        if otlp.gzip:
            self._headers["content-encoding"] = "gzip"
        self._headers |= dict(otlp.headers)
        host = url.hostname or ""
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=otlp.certificate)
            self._connection: HTTPConnection = HTTPSConnection(host, url.port, context=context)
        else:
            self._connection = HTTPConnection(host, url.port)

    def send(self, request: bytes, timeout: float) -> int:
        """See `Transport`."""
        body = gzip.compress(request, 1) if self._gzip else request
        was_open = self._connection.sock is not None
        try:
            try:
                return self._post(body, timeout)
            except (ConnectionError, HTTPException):
                if not was_open:
                    raise
                # The collector may have closed a connection that was idle.
                self.close()
                return self._post(body, timeout)
        except (OSError, HTTPException) as error:
            self.close()
            raise ExportError(f"{type(error).__name__}: {error}") from None

    def close(self) -> None:
        """See `Transport`."""
        self._connection.close()

    def _post(self, body: bytes, timeout: float) -> int:
        self._connection.timeout = timeout
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout)
        self._connection.request("POST", self._path, body, self._headers)
        with self._connection.getresponse() as response:
            answer = response.read(ANSWER_BYTES)
            if not response.isclosed():
                self.close()  # there is more, and the next answer would come after it
        if response.status == _OK:
            return rejected_spans(answer)
        raise ExportError(
            f"the collector answered {response.status}",
            is_final=response.status not in _RETRYABLE_STATUS,
            after=_retry_after(response.getheader("retry-after")),
        )


class GrpcTransport:
    """OTLP/gRPC."""

    def __init__(self, otlp: Otlp) -> None:
        # Only who asks for it needs it.
        import grpc  # type: ignore[import-untyped,unused-ignore] # noqa: PLC0415

        self._grpc: Any = grpc
        url = urlsplit(otlp.endpoint)
        # A channel waits up to two minutes before it connects again; the exporter has its own mind.
        options = [("grpc.primary_user_agent", _USER_AGENT), ("grpc.max_reconnect_backoff_ms", 1000)]
        compression = grpc.Compression.Gzip if otlp.gzip else grpc.Compression.NoCompression
        if url.scheme == "https":
            roots = Path(otlp.certificate).read_bytes() if otlp.certificate else None
            credentials = grpc.ssl_channel_credentials(roots)
            self._channel = grpc.secure_channel(url.netloc, credentials, options, compression)
        else:
            self._channel = grpc.insecure_channel(url.netloc, options, compression)
        self._export: Any = self._channel.unary_unary(_EXPORT)
        self._metadata = otlp.headers

    def send(self, request: bytes, timeout: float) -> int:
        """See `Transport`."""
        try:
            answer: bytes = self._export(request, timeout=timeout, metadata=self._metadata)
        except self._grpc.RpcError as error:
            code = error.code().name
            trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
            delay = retry_delay(trailers.get("grpc-status-details-bin", b""))
            # A collector that is exhausted recovers only where it says when.
            is_retryable = code in _RETRYABLE_CODES or (code == "RESOURCE_EXHAUSTED" and delay is not None)
            raise ExportError(
                f"the collector answered {code}", is_final=not is_retryable, after=delay or 0
            ) from None
        return rejected_spans(answer)

    def close(self) -> None:
        """See `Transport`."""
        self._channel.close()


def _retry_after(text: str | None) -> float:
    """Read seconds, or a date (RFC 9110, section 10.2.3); 0 where it is neither."""
    if text is None:
        return 0
    try:
        return float(int(text))
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except ValueError:
        return 0
