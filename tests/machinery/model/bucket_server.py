"""An S3 server of moto's in a process of its own, and a bucket in it."""

import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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
    """What the server answers, which asks for some signature and checks none.

    It fails now and then, with 500, while somebody else replaces what is read: it is asked again.
    """
    # Of the type that urllib gives content by itself, the server keeps none.
    headers = {"Authorization": "AWS any:any", "Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, content, headers, method=method)
    for _ in range(5):
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=30) as found:
            return bytes(found.read())
    with urllib.request.urlopen(request, timeout=30) as found:
        return bytes(found.read())


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
