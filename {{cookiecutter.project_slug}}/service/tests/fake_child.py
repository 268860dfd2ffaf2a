"""The process of a model server: passes on to a path whatever connection it is handed."""

import os
import socket
import sys

control = socket.socket(fileno=int(os.environ["MODEL_URL"].removeprefix("fd://")))
while (handed := socket.recv_fds(control, 1, 1))[0]:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(fileno=handed[1][0]) as connection:
        if server.connect_ex(sys.argv[1]):
            sys.exit(1)
        socket.send_fds(server, [b"%d" % os.getpid()], [connection.fileno()])
