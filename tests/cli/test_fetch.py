from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rfsn_core.cli import main
from rfsn_core.testing.engine import Send, StandIn, answer
from rfsn_core.testing.wires import Body

CONTENT = bytes(range(256)) * 4000


class Files(StandIn):
    """Serves one file, with ranges if asked, and breaks the connection `cuts` times."""

    cuts = 0
    ranges = True
    status = 200
    asked: list[int]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Note where it is asked to begin."""
        wanted = dict(scope["headers"]).get(b"range", b"bytes=0-").decode()
        self.begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
        await super().__call__(scope, receive, send)

    async def other(self, method: str, path: str, body: Body, send: Send) -> bool:
        """The file."""
        if path != "/model.onnx":
            return False
        self.asked = [*getattr(self, "asked", []), self.begin]
        if self.status != 200:
            await answer(send, self.status, "no")
            return True
        begin = self.begin if self.ranges else 0
        if begin >= len(CONTENT):
            await answer(send, 416, "")
            return True
        rest = CONTENT[begin:]
        headers = [(b"content-length", str(len(rest)).encode())]
        await send({"type": "http.response.start", "status": 206 if begin else 200, "headers": headers})
        if self.cuts:
            self.cuts -= 1
            await send({"type": "http.response.body", "body": rest[: len(rest) // 2], "more_body": True})
            raise ConnectionError("cut, as told to")
        await send({"type": "http.response.body", "body": rest})
        return True


@pytest.fixture
def files() -> Iterator[Files]:
    with Files() as running:
        yield running


def fetch(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["fetch", *map(str, arguments)])


def test_a_file_is_fetched_whole_and_checked(files: Files, tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    done = fetch(f"{files.url}/model.onnx", tmp_path / "models" / "m.onnx", "--sha256", digest.upper())
    assert done.exit_code == 0, done.output
    assert (tmp_path / "models" / "m.onnx").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["m.onnx"]
    assert "exists already" in fetch(f"{files.url}/model.onnx", tmp_path / "models" / "m.onnx").output
    assert fetch(f"{files.url}/model.onnx", tmp_path).exit_code == 0
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_continues(files: Files, tmp_path: Path, ranges: bool) -> None:
    files.cuts, files.ranges = 3, ranges
    done = fetch(f"{files.url}/model.onnx", tmp_path / "m.onnx")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "m.onnx").read_bytes() == CONTENT
    assert files.asked[0] == 0
    assert len(files.asked) == 4
    assert files.asked == sorted(files.asked)


def test_the_part_of_an_earlier_run_is_used(files: Files, tmp_path: Path) -> None:
    (tmp_path / "m.onnx.part").write_bytes(CONTENT[:1000])
    assert fetch(f"{files.url}/model.onnx", tmp_path / "m.onnx").exit_code == 0
    assert (tmp_path / "m.onnx").read_bytes() == CONTENT
    assert files.asked == [1000]
    (tmp_path / "n.onnx.part").write_bytes(CONTENT)
    assert fetch(f"{files.url}/model.onnx", tmp_path / "n.onnx").exit_code == 0
    assert (tmp_path / "n.onnx").read_bytes() == CONTENT


def test_a_file_with_the_wrong_digest_is_not_put_in_place(files: Files, tmp_path: Path) -> None:
    done = fetch(f"{files.url}/model.onnx", tmp_path / "m.onnx", "--sha256", "0" * 64)
    assert done.exit_code == 2
    assert "its SHA-256 is" in done.output
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_servers_refusal_is_reported(files: Files, tmp_path: Path, status: int) -> None:
    files.status = status
    done = fetch(f"{files.url}/model.onnx", tmp_path / "m.onnx")
    assert done.exit_code == 2
    assert str(status) in done.output
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/x", "http://127.0.0.1:9/", "http://127.0.0.1:9/x"])
def test_an_unusable_address_is_reported(tmp_path: Path, url: str) -> None:
    done = fetch(url, tmp_path / "m.onnx")
    assert done.exit_code == 2
    assert url in done.output
