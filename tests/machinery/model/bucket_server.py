"""An S3 server of moto's in a process of its own, and a bucket in it."""

import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
URL = "s3://bucket/models"


def call(url: str, content: bytes | None = None, method: str = "GET") -> bytes:
    """What the server answers, which asks for some signature and checks none."""
    headers = {"Authorization": "AWS any:any"}
    request = urllib.request.Request(url, content, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return bytes(response.read())


@contextmanager
def bucket_server() -> Iterator[tuple[str, dict[str, str]]]:
    """Its address, and the environment by which URL is found in it; CLIENTS_PYTHON has moto."""
    process = subprocess.Popen(
        [os.environ["CLIENTS_PYTHON"], "-c", SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        while not (line := process.stdout.readline()).startswith("http"):
            assert line, "moto's server has ended"
        address = line.strip()
        call(f"{address}/bucket", method="PUT")
        yield (
            address,
            {
                "AWS_ENDPOINT_URL": address,
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "any",
                "AWS_SECRET_ACCESS_KEY": "secret-of-the-bucket",
                "AWS_REGION": "us-east-1",
            },
        )
    finally:
        process.kill()
        process.communicate()
