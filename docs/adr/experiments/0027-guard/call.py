"""CPU time of `predict()` against a server that always sends the same answer."""

import json
import os
import socket
import sys
import tempfile
import time

sys.path.insert(0, f"{sys.argv[1]}/service/tests")
from support import FakeModel, context_of  # noqa: E402

from contract import Features, golden  # noqa: E402
from service.predictors import Access, from_url  # noqa: E402
from service.predictors.breaker import Breaker  # noqa: E402
from service.predictors.guarded import Guarded  # noqa: E402

path = f"{tempfile.mkdtemp()}/model.sock"
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
if not os.fork():
    body = json.dumps(FakeModel().infer({"id": "r1"})).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: r1\r\n"
    head += b"date: Fri, 27 Nov 2026 11:00:00 GMT\r\ncontent-length: %d\r\n\r\n" % len(body)
    connection, _ = listener.accept()
    while connection.recv(65536):
        connection.sendall(head + body)
    os._exit(0)
row = Features.model_validate(golden()[-1].features[0])
bare = from_url(f"http+unix://{path}", access=Access(lambda: ["x" * 43]), connections=1)
guarded = Guarded(bare, Breaker(), limit=8, deadline=0.25, range_factor=1)
for name, predictor in (("bare", bare), ("guarded", guarded)):
    rounds = []
    for _ in range(8):
        begin = time.process_time()
        for _ in range(2_000):
            predictor.predict(row, context_of(seconds=1))
        rounds.append((time.process_time() - begin) / 2_000 * 1e6)
    print(name, "µs", sorted(round(each, 1) for each in rounds[1:]))
