"""A subscriber that keeps nothing: what matters is when it is stopped and does not read."""

import sys

import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1])
socket.subscribe("")
while True:
    socket.recv_multipart()
