"""The page's function for programs, by Gradio's own client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from i2v.media.video import probe
from tests.web.house import House
from tests.web.pages import QUICK, page_house


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    with page_house(tmp_path_factory.mktemp("page"), picture) as started, started.executor.working():
        yield started


@pytest.fixture(scope="module")
def client(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(house.url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
    yield client
    client.close()


@pytest.fixture
def photo_file(tmp_path: Path, picture: bytes) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(picture)
    return path


def test_gradios_client_gets_a_video(client: Client, house: House, photo_file: Path) -> None:
    video = client.predict(handle_file(str(photo_file)), QUICK, seed=7, api_name="/generate")
    assert probe(Path(video)).num_frames == 8
    job = house.service.page().jobs[0]
    assert (job.generation.prompt, job.generation.seed) == (QUICK, 7)
    assert Path(video).read_bytes() == Path(job.output).read_bytes()


@pytest.mark.slow
def test_a_seed_of_minus_one_is_drawn(client: Client, house: House, photo_file: Path) -> None:
    client.predict(handle_file(str(photo_file)), QUICK, seed=-1, api_name="/generate")
    assert house.service.page().jobs[0].generation.seed >= 0


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("", "prompt"),
        ("condition: refuse", "unet.safetensors is missing"),
        pytest.param("condition: fail", "went wrong", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_done_is_reported(client: Client, photo_file: Path, prompt: str, said: str) -> None:
    with pytest.raises(AppError, match=said):
        client.predict(handle_file(str(photo_file)), prompt, api_name="/generate")


@pytest.mark.parametrize("as_file", [True, False])
def test_a_file_that_was_not_uploaded_is_not_read(client: Client, house: House, as_file: bool) -> None:
    """By hand, since Gradio's client would upload it first."""
    event = next(event for event in client.config["dependencies"] if event["api_name"] == "generate")
    path = str(house.settings.database)
    file = {"path": path, "meta": {"_type": "gradio.FileData"}} if as_file else path
    body = {"data": [file, QUICK, "standard", None, None], "fn_index": event["id"], "session_hash": "byhand"}
    assert house.session.post(f"{house.url}/gradio_api/queue/join", json=body, timeout=30).ok
    address = f"{house.url}/gradio_api/queue/data?session_hash=byhand"
    with house.session.get(address, stream=True, timeout=30) as stream:
        message = next(line for line in stream.iter_lines(decode_unicode=True) if "process_completed" in line)
    assert '"success":false' in message
    assert "readable picture" not in message  # which is what is said of a file that was read
    assert as_file or "an uploaded file" in message
