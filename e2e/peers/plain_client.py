"""A client of the plain contract: sends the JSON lines of its standard input, one text message each.

Written from the contract alone: a WebSocket without a subprotocol, `{"key", "value", "traceparent"}`.
"""

import sys

from websockets.sync.client import connect

with connect(sys.argv[1]) as socket:
    for line in sys.stdin:
        socket.send(line.strip())
