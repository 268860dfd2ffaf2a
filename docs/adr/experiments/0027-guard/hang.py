"""The model server is stopped for 7 of 14 s, while requests come at a constant rate."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

os.chdir(sys.argv[1])
rate = float(sys.argv[2])
folder = tempfile.mkdtemp()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
env = {
    **os.environ,
    "PORT": str(port),
    "MODEL_URL": f"http+unix://{folder}/model.sock",
    "MODEL_TOKENS": "x" * 43,
    "DATABASE_URL": f"sqlite:///{folder}/service.db",
    "WORKERS": "1",
    "THREADS": "16",
    "LOG_FORMAT": "json",
}
with open("contract/src/contract/examples.json") as file:
    body = json.dumps(json.load(file)[0])
subprocess.run(["service/.venv/bin/service", "migrate"], env=env, check=True)
model, service = (
    subprocess.Popen([f"{side}/.venv/bin/{side}", "serve"], env=env, stderr=subprocess.DEVNULL)
    for side in ("model", "service")
)
local, found = threading.local(), []


def place(at):
    try:
        connection = local.__dict__.setdefault("it", HTTPConnection("127.0.0.1", port, timeout=20))
        connection.request("POST", "/orders", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        served_by = answer["metadata"]["served_by"] if response.status == 201 else response.status
    except OSError as error:
        local.__dict__.pop("it", None)
        served_by = type(error).__name__
    found.append((at, time.monotonic() - at, served_by))


def signal_workers(number):
    with open(f"/proc/{model.pid}/task/{model.pid}/children") as children:
        for child in children.read().split():
            os.kill(int(child), number)


with ThreadPoolExecutor(150) as threads:
    while not found or found[-1][2] != "model":
        assert service.poll() is model.poll() is None
        place(time.monotonic())
        time.sleep(0.1)
    list(threads.map(place, [time.monotonic()] * 200))
    found.clear()
    start = time.monotonic()
    threading.Timer(3, signal_workers, [signal.SIGSTOP]).start()
    threading.Timer(10, signal_workers, [signal.SIGCONT]).start()
    for number in range(int(14 * rate)):
        time.sleep(max(0, start + number / rate - time.monotonic()))
        threads.submit(place, start + number / rate)
for name, begin, end in (("before", 0, 3), ("stopped", 3, 10), ("after", 10, 14)):
    part = [each for each in found if begin <= each[0] - start < end]
    times = sorted(each[1] * 1000 for each in part)
    shares = ", ".join(
        f"p{100 * q:g} {times[min(len(times) - 1, int(q * len(times)))]:.1f} ms"
        for q in (0.5, 0.99, 0.999, 1)
    )
    print(f"{name}: {len(part)}, {shares}, {dict(Counter(each[2] for each in part))}")
again = min(at + took for at, took, by in found if at + took >= start + 10 and by == "model")
print(f"by the model again after {again - start - 10:.2f} s")
for process in (service, model):
    process.terminate()
    process.wait()
