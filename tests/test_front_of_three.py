"""One front before the model servers of three projects: a regression, a binary, a multi-class."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from math import isclose
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Stamp
from test_projects import KINDS, environment, write_history

THREE = ("default", "binary with missing values", "multi-class by one feature")
DATATYPES = {"float": "FP64", "int": "INT64", "bool": "BOOL", "category": "BYTES"}
BATCH = 1000


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints."""
    env = environment()
    return subprocess.check_output(command, cwd=cwd, env=env, text=True)


class Team:
    """One project with a model, and its model server."""

    def __init__(self, project: Path, stack: ExitStack, folder: Path) -> None:
        self.project, self.model = project, project / "model/.venv/bin/model"
        run("make", "--silent", "model/.venv/ready", cwd=project)
        subprocess.run([self.model, "train", "--force"], cwd=project, env=environment(), check=True)
        self.manifest = json.loads(run(self.model, "show", "--json", cwd=project))
        self.name: str = self.manifest["model"]
        self.token = secrets.token_urlsafe(32)
        self.tokens = folder / f"{self.name}.tokens"
        self.tokens.write_text(self.token)
        self.socket = folder / f"{self.name}.sock"
        settings = {"MODEL_URL": f"http+unix://{self.socket}", "MODEL_TOKENS": self.token}
        server = subprocess.Popen([self.model, "serve"], cwd=project, env=environment(**settings))
        stack.callback(server.wait, 30)
        stack.callback(server.terminate)
        run(self.model, "parity", folder / f"{self.name}.rows", cwd=project)
        lines = (folder / f"{self.name}.rows").read_text("utf-8").splitlines()
        self.rows = [json.loads(line) for line in lines]

    def requests(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """The parity rows in batches, each with what scikit-learn predicts."""
        for start in range(0, len(self.rows), BATCH):
            batch = self.rows[start : start + BATCH]
            inputs = [
                {
                    "name": name,
                    "datatype": DATATYPES[kind.rstrip("?")],
                    "shape": [len(batch)],
                    "data": [row["features"][name] for row in batch],
                }
                for name, kind in self.manifest["features"].items()
            ]
            yield {"inputs": inputs}, [row["expected"] for row in batch]

    def check(self, answer: dict[str, Any], expected: list[dict[str, Any]]) -> None:
        """Compare an answer with what scikit-learn predicts."""
        outputs = {each["name"]: each for each in answer["outputs"]}
        (target,) = self.manifest["target"]
        for position, row in enumerate(expected):
            value, shares = outputs[target]["data"][position], row.get("probabilities", {})
            if not shares:
                assert isclose(value, row[target], rel_tol=1e-5, abs_tol=1e-5)
                continue
            assert value == row[target]
            tensor = outputs["probabilities"]
            width = len(shares)
            found = tensor["data"][position * width : (position + 1) * width]
            for name, share in zip(tensor["parameters"]["classes"], found, strict=True):
                assert isclose(share, shares[name], rel_tol=1e-5, abs_tol=1e-5)


@pytest.mark.slow
def test_three_projects_behind_one_front(stamp: Stamp, tmp_path: Path) -> None:
    folder = Path(f"/tmp/front-{secrets.token_hex(4)}")
    folder.mkdir(mode=0o700)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        teams = []
        for kind in THREE:
            answers = dict(KINDS[kind])
            if not answers:
                answers["__dishes"] = "front"
            else:
                history = tmp_path / f"{kind.replace(' ', '-')}.csv"
                write_history(history, answers)
                answers["history"] = str(history)
            teams.append(Team(stamp(tmp_path / "out", **answers), stack, folder))
        dish = teams[0].project / "dishes/front"
        run("make", "--silent", ".venv/ready", cwd=dish)
        token = secrets.token_urlsafe(32)
        (folder / "callers").write_text(token)
        lines = ["max_body = '16MiB'", f"[callers.all]\ntokens_file = '{folder}/callers'"]
        for team in teams:
            lines += ["[[models]]", f"name = '{team.name}'", f"url = 'http+unix://{team.socket}'"]
            lines += [f"tokens_file = '{team.tokens}'", "timeout_ms = 20000"]
        (folder / "front.toml").write_text("\n".join(lines))
        command: list[str | Path] = [
            dish / ".venv/bin/uvicorn",
            "--factory",
            "front.app:create_app",
        ]
        front = subprocess.Popen(
            [*command, "--uds", folder / "front.sock", "--no-access-log"],
            cwd=dish,
            env={**os.environ, "FRONT_CONFIG": str(folder / "front.toml")},
        )
        stack.callback(front.wait, 30)
        stack.callback(front.terminate)
        headers = {"Authorization": f"Bearer {token}"}
        client = stack.enter_context(client_of(folder / "front.sock", headers))
        wait_until_ready(client, [team.name for team in teams], folder / "front.sock")
        for team in teams:
            headers = {"Authorization": f"Bearer {team.token}"}
            path = f"/v2/models/{team.name}/infer"
            with client_of(team.socket, headers) as direct:
                for request, expected in team.requests():
                    answer = client.post(path, json=request)
                    assert answer.status_code == 200, answer.text
                    assert answer.json() == direct.post(path, json=request).json()
                    assert answer.json()["model_version"] == team.manifest["version"]
                    team.check(answer.json(), expected)
        request, _ = next(teams[1].requests())
        wrong = client.post(f"/v2/models/{teams[0].name}/infer", json=request)
        assert wrong.status_code == 400, "another team's features were accepted"
        index = {each["name"]: each for each in client.post("/v2/repository/index").json()}
        assert index == {
            each.name: {"name": each.name, "version": each.manifest["version"], "state": "READY"}
            for each in teams
        }


def client_of(path: Path, headers: dict[str, str]) -> httpx.Client:
    """A client of a server at a socket."""
    transport = httpx.HTTPTransport(uds=str(path))
    return httpx.Client(transport=transport, base_url="http://x", headers=headers, timeout=60)


def wait_until_ready(client: httpx.Client, names: list[str], path: Path) -> None:
    """Return once all of these models answer at the front's socket."""
    deadline = time.monotonic() + 120
    wanted = [f"/v2/models/{name}/ready" for name in names]
    while not (listens(path) and all(client.get(each).status_code == 200 for each in wanted)):
        assert time.monotonic() < deadline, f"none of {names} is ready"
        time.sleep(0.1)


def listens(path: Path) -> bool:
    """Whether a server takes connections there."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
