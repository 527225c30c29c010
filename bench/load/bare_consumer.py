"""The peer that bounds what a Python consumer can do: a message, a row, a commit; no trace, gaps or retry.

`bare_consumer.py BUS DATABASE`
"""

import json
import sqlite3
import sys

import zmq

connection = sqlite3.connect(sys.argv[2], isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("PRAGMA synchronous=NORMAL")
connection.execute(
    "CREATE TABLE atomwire_updates (session TEXT, seq INTEGER, key TEXT, value TEXT, PRIMARY KEY (session, seq))"
)
socket = zmq.Context().socket(zmq.SUB)
socket.set(zmq.RCVHWM, 10_000)
socket.set(zmq.SUBSCRIBE, b"atom-updates")
socket.connect(sys.argv[1])
while True:
    _, payload = socket.recv_multipart()
    update = json.loads(payload)
    row = (update["session"], update["seq"], update["key"], json.dumps(update["value"]))
    connection.execute("INSERT INTO atomwire_updates VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row)
