"""Answers from the cache: the same ones, of the version that is served, and never a failure."""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import Fake, Front, Process, asking, wait_until

PATH = "/v2/models/sizes/infer"


@pytest.fixture
def cache(folder: Path) -> dict[str, Any]:
    return {"redis": f"unix://{folder}/redis.sock", "seconds": 600}


def hits(front: Front, request: dict[str, Any], path: str = PATH) -> bool:
    """Whether an answer comes from the cache."""
    answer = front.client.post(path, json=request)
    assert answer.status_code == 200, answer.text
    return answer.headers["X-Cache"] == "hit"


def test_the_same_question_is_asked_once(
    fake: Callable[..., Fake], front: Callable[..., Front], redis: Process, cache: dict[str, Any]
) -> None:
    server = fake("sizes")
    behind = front([server.section(cache=cache)])
    first = behind.client.post(PATH, json=asking(1.5, id="one")).json()
    answers = []

    def is_kept() -> bool:
        answers.append(behind.client.post(PATH, json=asking(1.5, id="two")))
        return answers[-1].headers["X-Cache"] == "hit"

    wait_until(is_kept, "not kept")
    assert all(each.json() == first | {"id": "two"} for each in answers)
    assert len(server.seen()) == len(answers)  # the first time, and until it was kept
    assert "id" not in behind.kept("sizes", asking(1.5)).json()
    for other in (
        asking(1.6),
        asking(1.5, 1.5),
        asking(1.5, parameters={"a": 1}),
        asking(1.5, outputs=[{"name": "y"}]),
    ):
        assert not hits(behind, other)
        behind.kept("sizes", other)


def test_models_do_not_share_answers(
    fake: Callable[..., Fake], front: Callable[..., Front], redis: Process, cache: dict[str, Any]
) -> None:
    sections = [fake(name).section(cache=cache) for name in ("sizes", "others")]
    behind = front(sections)
    assert not hits(behind, asking(1))
    assert not hits(behind, asking(1), "/v2/models/others/infer")


def test_an_answer_is_of_the_version_that_is_served_now(
    fake: Callable[..., Fake], front: Callable[..., Front], redis: Process, cache: dict[str, Any]
) -> None:
    server = fake("sizes")
    behind = front([server.section(cache=cache)])
    assert not hits(behind, asking(1))
    behind.kept("sizes", asking(1))
    server.tell(version="2")
    # An answer to any other question tells it at once, before the metadata is looked at again.
    assert behind.infer("sizes", 2).json()["model_version"] == "2"
    answer = behind.infer("sizes", 1)
    assert (answer.headers["X-Cache"], answer.json()["model_version"]) == ("miss", "2")
    # Without one, the metadata does.
    server.tell(version="3")
    metadata = "/v2/models/sizes"
    wait_until(lambda: behind.client.get(metadata).json()["versions"] == ["3"], "not looked at")
    answer = behind.infer("sizes", 1)
    assert (answer.headers["X-Cache"], answer.json()["model_version"]) == ("miss", "3")
    server.tell(version="2")
    wait_until(lambda: behind.client.get(metadata).json()["versions"] == ["2"], "not looked at")
    assert behind.kept("sizes", asking(1)).json()["model_version"] == "2"


def test_a_late_answer_of_the_version_before_does_not_bring_it_back(
    fake: Callable[..., Fake], front: Callable[..., Front], redis: Process, cache: dict[str, Any]
) -> None:
    server = fake("sizes")
    behind = front([server.section(cache=cache)])
    assert not hits(behind, asking(1))
    server.tell(seconds=0.8)  # within which the metadata is looked at
    with ThreadPoolExecutor() as pool:
        late = pool.submit(behind.infer, "sizes", 2)
        wait_until(lambda: len(server.seen()) == 2, "the question has not come")
        server.tell(seconds=0.0, version="2")
        metadata = "/v2/models/sizes"
        wait_until(lambda: behind.client.get(metadata).json()["versions"] == ["2"], "not seen")
        assert late.result().json()["model_version"] == "1"
    answer = behind.infer("sizes", 1)
    assert (answer.headers["X-Cache"], answer.json()["model_version"]) == ("miss", "2")


def test_a_server_that_is_gone_is_not_answered_for(
    fake: Callable[..., Fake], front: Callable[..., Front], redis: Process, cache: dict[str, Any]
) -> None:
    server = fake("sizes")
    behind = front([server.section(cache=cache)])
    assert not hits(behind, asking(1))
    server.process.kill()
    ready = "/v2/models/sizes/ready"
    wait_until(lambda: behind.client.get(ready).status_code == 503, "still ready")
    assert behind.infer("sizes", 1).status_code == 503
    server.process.start()
    behind.wait("sizes")
    behind.kept("sizes", asking(1))


def test_errors_and_answers_without_a_version_are_not_kept(
    fake: Callable[..., Fake], front: Callable[..., Front], redis: Process, cache: dict[str, Any]
) -> None:
    server = fake("sizes", status=400)
    behind = front([server.section(cache=cache)])
    assert behind.infer("sizes", 1).json() == {"error": "sizes: as told"}
    server.tell(status=200, version="")
    assert not hits(behind, asking(1))
    assert not hits(behind, asking(1))


def test_redis_may_come_and_go(
    fake: Callable[..., Fake], front: Callable[..., Front], redis: Process, cache: dict[str, Any]
) -> None:
    server = fake("sizes")
    behind = front([server.section(cache=cache)])

    behind.kept("sizes", asking(1))
    for number in (signal.SIGSTOP, signal.SIGKILL):
        redis.send(number)
        wait_until(lambda: not hits(behind, asking(1)), "a cache that is gone has an answer")
        for value in range(20):
            assert behind.infer("sizes", value).status_code == 200
        if number == signal.SIGSTOP:
            redis.send(signal.SIGCONT)
        else:
            redis.kill()
            (behind.folder / "redis.sock").unlink()
            redis.start()
        behind.kept("sizes", asking(1))


def test_without_redis_the_front_starts_and_answers(
    fake: Callable[..., Fake], front: Callable[..., Front], cache: dict[str, Any]
) -> None:
    behind = front([fake("sizes").section(cache=cache)])
    assert not hits(behind, asking(1))
    assert not hits(behind, asking(1))
