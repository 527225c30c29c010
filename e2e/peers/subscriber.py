"""A subscriber that keeps nothing, and reads as fast as it can, or so many messages a second."""

import sys
import time

import zmq

socket = zmq.Context().socket(zmq.SUB)
# What it does not read is the relay's matter.
socket.set(zmq.RCVHWM, 100)
endpoint, *rate = sys.argv[1:]
socket.connect(endpoint)
socket.subscribe("")
pause = 1 / float(rate[0]) if rate else 0
while True:
    socket.recv_multipart()
    time.sleep(pause)
