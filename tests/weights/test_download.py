"""Downloads from hubs on this machine, through the real client libraries, with every fault of a slow line."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from i2v.core.errors import Cancelled, InvalidRequest, ModelUnavailable
from i2v.core.settings import ModelSettings
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.weights import fetching
from i2v.weights.download import Downloaded, download, plan_download
from i2v.weights.folders import locate, own_folder
from i2v.weights.progress import TransferProgress
from i2v.weights.records import read_listing
from tests import disks
from tests.weights.conftest import MakeHub, MakeModels
from tests.weights.hub import Fault, make_files, noise, wanted

UNET = "unet/diffusion_pytorch_model.fp16.safetensors"
VAE = "vae/diffusion_pytorch_model.fp16.safetensors"
STALL = 1.5  # seconds of silence after which a source is left, where there is one that falls silent


def fetch(
    models: ModelSettings, on_progress: Callable[[TransferProgress], None] = lambda message: None
) -> Downloaded:
    return download(I2VGEN_XL, models, on_progress)


def contents(models: ModelSettings) -> dict[str, bytes]:
    """Return what stands in our own folder, but for the records."""
    folder = own_folder(I2VGEN_XL, models)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".i2v" not in path.parts
    }


def staged(models: ModelSettings, name: str) -> Path:
    return own_folder(I2VGEN_XL, models) / ".i2v" / "fetching" / f"{name}.incomplete"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PAUSES", (0.02, 0.04))


# --- all is well


def test_only_what_the_engine_reads_is_fetched_and_each_file_is_held_to_its_hash(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    hub = make_hub()
    models = make_models(hub)
    reported: list[TransferProgress] = []
    done = fetch(models, reported.append)
    expected = wanted(hub.files)
    assert contents(models) == expected
    assert hub.names() == expected.keys(), "not the pickles, not the fp32 variants"
    assert done.fetched == sum(map(len, expected.values()))
    assert (done.notice.code, done.hash_source) == ("weights.checked", hub.address)
    assert done.folder == locate(I2VGEN_XL, models)
    assert done.folder.missing is None
    records = done.folder.path / ".i2v"
    assert not (records / "fetching").exists()
    rows = json.loads((records / "digests.json").read_text())
    row = rows[str(done.folder.path / UNET)]
    assert row["sha256"] == hashlib.sha256(expected[UNET]).hexdigest()
    assert (row["checked"], row["source"]) == ("sha256", hub.address)
    assert rows[str(done.folder.path / "unet/config.json")]["checked"] == "git-sha1"
    assert {"asking", "fetching", "checking"} <= {each.phase for each in reported}
    assert reported[-1].done == reported[-1].total == done.fetched

    assert hub.sent[-1].name == "model_index.json", "a folder is a model only when it is complete"
    hub.requests.clear()
    again = fetch(models)
    assert (again.fetched, again.notice.code) == (0, "weights.already_there")
    assert hub.requests == []


def test_the_plan_says_size_space_licence_and_origin_and_asks_nobody(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    hub = make_hub()
    models = make_models(hub)
    plan = plan_download(I2VGEN_XL, models)
    assert hub.requests == []
    assert plan.size == pytest.approx(4.97e9, rel=0.01)
    assert plan.licence == "MIT"
    assert plan.origin.endswith("/ali-vilab/i2vgen-xl/tree/39e1979ea27be737b0278c06755e321f2b4360d5")
    assert plan.free == pytest.approx(shutil.disk_usage(models.directory.parent).free, rel=0.1)
    assert plan.sources == (hub.address,)
    assert not models.directory.exists()


def test_the_embedded_model_is_not_downloaded(make_models: MakeModels) -> None:
    with pytest.raises(InvalidRequest) as caught:
        download(EMBEDDED, make_models())
    assert caught.value.code == "weights.not_published"


# --- a bad line


@pytest.mark.slow
def test_a_line_that_is_cut_again_and_again_gets_there_without_fetching_anything_twice(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    hub = make_hub(faults={UNET: Fault(cut=131_072)})
    models = make_models(hub)
    fetch(models)
    assert contents(models) == wanted(hub.files)
    starts = [sent.start for sent in hub.sent if sent.name == UNET]
    assert len(starts) > 2
    assert starts == sorted(set(starts))
    assert hub.bytes_of(UNET) < 1.5 * len(hub.files[UNET]), "what was on its way may be lost"


@pytest.mark.slow
def test_a_source_that_stalls_is_left_for_the_next_one_which_goes_on_with_the_file(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    first = make_hub(faults={UNET: Fault(stall=131_072)})
    second = make_hub()
    models = make_models(first, second, stall_seconds=STALL)
    done = fetch(models)
    assert contents(models) == wanted(first.files)
    assert [sent.start for sent in second.sent if sent.name == UNET] == [131_072]
    assert VAE not in first.names(), "from the next file on, the source that works"
    assert VAE in second.names()
    assert done.hash_source == first.address, "the mirror is held to what the hub told"


@pytest.mark.slow
def test_a_slow_line_is_not_taken_for_a_stall(make_hub: MakeHub, make_models: MakeModels) -> None:
    hub = make_hub(files=make_files(100_000), speed=80_000)
    models = make_models(hub, stall_seconds=1)
    reported: list[TransferProgress] = []
    start = time.monotonic()
    fetch(models, reported.append)
    assert time.monotonic() - start > 4
    assert [sent.start for sent in hub.sent] == [0] * len(hub.sent), "nothing was begun again"
    steps = [each for each in reported if each.phase == "fetching" and each.file == UNET and each.eta]
    assert any(20_000 < each.speed < 320_000 for each in steps)
    assert any(0 < each.file_bytes < each.file_size for each in steps), "the file is seen to grow"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(redirects=3), marks=pytest.mark.slow),
        Fault(ignores_ranges=True, cut=200_000, times=1),
    ],
)
def test_redirects_and_a_hub_that_ignores_ranges_do_no_harm(
    make_hub: MakeHub, make_models: MakeModels, fault: Fault
) -> None:
    hub = make_hub(faults={UNET: fault})
    models = make_models(hub)
    fetch(models)
    assert contents(models) == wanted(hub.files)


def test_a_source_that_refuses_a_file_is_left_for_the_next_one(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    first, second = make_hub(faults={UNET: Fault(status=404)}), make_hub()
    models = make_models(first, second)
    fetch(models)
    assert contents(models) == wanted(first.files)
    assert UNET in second.names()


def test_an_error_that_passes_is_waited_for(make_hub: MakeHub, make_models: MakeModels) -> None:
    hub = make_hub(faults={UNET: Fault(status=502, times=2)})
    models = make_models(hub)
    reported: list[TransferProgress] = []
    fetch(models, reported.append)
    assert contents(models) == wanted(hub.files)
    assert "pausing" in {each.phase for each in reported}


@pytest.mark.slow
def test_a_source_that_is_dead_or_silent_is_passed_over(make_hub: MakeHub, make_models: MakeModels) -> None:
    silent, alive = make_hub(is_silent=True), make_hub()
    models = make_models(
        silent, alive, sources=f"http://127.0.0.1:9,{silent.address},{alive.address}", probe_seconds=1
    )
    done = fetch(models)
    assert contents(models) == wanted(alive.files)
    assert done.hash_source == alive.address


@pytest.mark.slow
def test_where_no_source_has_it_each_ones_reason_is_reported(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    first = make_hub(faults={UNET: Fault(status=404)})
    second = make_hub(revision="0" * 40)
    models = make_models(first, second)
    with pytest.raises(ModelUnavailable) as caught:
        fetch(models)
    error = caught.value
    assert error.code == "weights.no_source"
    assert error.params["file"] == UNET
    assert f"{first.address}: HTTP 404" in error.message
    assert f"{second.address}: it has revision {'0' * 40}" in error.message
    assert locate(I2VGEN_XL, models).missing is not None


# --- wrong bytes


def test_a_damaged_file_is_fetched_again(make_hub: MakeHub, make_models: MakeModels) -> None:
    hub = make_hub(faults={UNET: Fault(damage=250_000, times=1)})
    models = make_models(hub)
    fetch(models)
    assert contents(models) == wanted(hub.files)
    assert [sent.start for sent in hub.sent if sent.name == UNET] == [0, 0]


def test_a_mirror_is_held_to_the_hubs_hashes(make_hub: MakeHub, make_models: MakeModels) -> None:
    """It lists and sends a file of its own: not one byte of that is fetched."""
    hub = make_hub(faults={UNET: Fault(status=500)})
    other = make_files()
    other[UNET] = noise("not the model", len(other[UNET]))
    liar = make_hub(files=other)
    models = make_models(hub, liar)
    with pytest.raises(ModelUnavailable, match="it has another file of that name"):
        fetch(models)
    assert UNET not in liar.names()
    assert UNET not in contents(models)


@pytest.mark.slow
def test_a_mirror_that_lists_right_and_sends_wrong_is_found_out(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    bad = make_hub(faults={UNET: Fault(damage=10), "unet/config.json": Fault(damage=3)})
    good = make_hub()
    models = make_models(bad, good)
    fetch(models)
    assert contents(models) == wanted(good.files)
    assert {UNET, "unet/config.json"} & good.names()


@pytest.mark.slow
def test_a_file_without_end_is_not_waited_for(make_hub: MakeHub, make_models: MakeModels) -> None:
    first = make_hub(faults={UNET: Fault(extra=20_000_000)}, speed=1_000_000)
    second = make_hub()
    models = make_models(first, second)
    fetch(models)
    assert contents(models) == wanted(first.files)
    assert first.bytes_of(UNET) < 5_000_000


@pytest.mark.slow
def test_a_beginning_that_was_bad_does_not_spoil_a_good_source(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    hub = make_hub()
    models = make_models(hub)
    part = staged(models, UNET)
    part.parent.mkdir(parents=True)
    part.write_bytes(noise("something else", 70_000))
    fetch(models)
    assert contents(models) == wanted(hub.files)
    assert [sent.start for sent in hub.sent if sent.name == UNET] == [70_000, 0]


def test_a_bad_file_in_the_folder_is_never_kept(make_hub: MakeHub, make_models: MakeModels) -> None:
    hub = make_hub()
    models = make_models(hub)
    fetch(models)
    folder = own_folder(I2VGEN_XL, models)
    data = bytearray((folder / UNET).read_bytes())
    data[-1] ^= 1
    (folder / UNET).write_bytes(data)
    (folder / "model_index.json").unlink()
    hub.sent.clear()
    fetch(models)
    assert contents(models) == wanted(hub.files)
    assert hub.names() == {UNET, "model_index.json"}


def test_a_file_that_a_person_has_put_there_is_not_lost(make_hub: MakeHub, make_models: MakeModels) -> None:
    hub = make_hub()
    models = make_models(hub)
    mine = own_folder(I2VGEN_XL, models) / UNET
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"my own training")
    fetch(models)
    assert contents(models) == {**wanted(hub.files), f"{UNET}.replaced": b"my own training"}


@pytest.mark.slow
def test_without_hashes_the_result_says_that_only_sizes_were_checked(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    hub = make_hub(tells_hashes=False)
    models = make_models(hub)
    assert fetch(models).notice.code == "weights.size_only"
    assert contents(models) == wanted(hub.files)


def test_without_hashes_a_file_that_is_no_safetensors_is_still_refused(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    files = make_files()
    files[UNET] = b"<html>" + noise("a page of a hotel's network", 300_000)
    models = make_models(make_hub(files=files, tells_hashes=False))
    with pytest.raises(ModelUnavailable, match="it is not a safetensors file"):
        fetch(models)
    assert UNET not in contents(models)


@pytest.mark.slow
def test_what_the_hub_told_once_holds_when_only_a_mirror_can_be_reached(
    make_hub: MakeHub, make_models: MakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_hub(faults={UNET: Fault(status=404)})
    monkeypatch.setattr(fetching, "HUB", hub.address)
    with pytest.raises(ModelUnavailable):
        fetch(make_models(hub))
    mirror = make_hub(tells_hashes=False)
    done = fetch(make_models(mirror))
    assert (done.hash_source, done.notice.code) == (hub.address, "weights.checked")
    assert read_listing(done.folder.path / ".i2v").hash_source == hub.address


@pytest.mark.slow
def test_the_hubs_word_is_asked_before_its_mirrors_and_the_chosen_mirror_sends(
    make_hub: MakeHub, make_models: MakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, mirror = make_hub(), make_hub()
    monkeypatch.setattr(fetching, "HUB", hub.address)
    done = fetch(make_models(hub, endpoint=mirror.address))
    assert done.hash_source == hub.address
    assert hub.sent == []
    assert mirror.names() == wanted(mirror.files).keys()


# --- stopping


def test_a_cancel_is_heard_while_nothing_comes_and_what_came_is_kept(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    hub = make_hub(faults={UNET: Fault(stall=131_072, times=1)})
    models = make_models(hub, stall_seconds=60)
    asked = threading.Event()

    def notice(message: TransferProgress) -> None:
        if message.file == UNET and message.file_bytes == 131_072:
            asked.set()

    with pytest.raises(Cancelled) as caught:
        download(I2VGEN_XL, models, notice, asked.is_set)
    assert caught.value.code == "weights.cancelled"
    assert staged(models, UNET).stat().st_size == 131_072
    fetch(models)
    assert [sent.start for sent in hub.sent if sent.name == UNET] == [0, 131_072]


# --- the disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    with disks.small_disk(tmp_path / "disk", "1m") as folder:
        yield folder


def test_too_small_a_disk_is_reported_before_anything_is_fetched(
    make_hub: MakeHub, make_models: MakeModels, small_disk: Path
) -> None:
    hub = make_hub()
    with pytest.raises(ModelUnavailable) as caught:
        fetch(make_models(hub, directory=small_disk / "models"))
    assert caught.value.code == "weights.disk_full"
    assert hub.sent == []


def test_a_disk_that_fills_up_stops_clearly_and_keeps_what_is_there(
    make_hub: MakeHub, make_models: MakeModels, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_hub(files=make_files(400_000))
    models = make_models(hub, directory=small_disk / "models")
    monkeypatch.setattr(fetching, "free_space", lambda folder: 10**12)  # somebody else fills it meanwhile
    with pytest.raises(ModelUnavailable) as caught:
        fetch(models)
    assert caught.value.code == "weights.disk_full"
    kept = contents(models)
    assert sum(map(len, kept.values())) > 300_000
    assert all(data == hub.files[name] for name, data in kept.items())
    hub.sent.clear()
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    fetch(models)
    assert contents(models) == wanted(hub.files)
    assert hub.names().isdisjoint(kept), "what was there is not fetched again"
    assert max(sent.start for sent in hub.sent) > 0, "and what was begun is gone on with"


def test_a_folder_that_cannot_be_written_is_named(
    make_hub: MakeHub, make_models: MakeModels, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelUnavailable) as caught:
        fetch(make_models(make_hub(), directory=tmp_path / "file" / "models"))
    assert caught.value.code == "weights.unwritable"
    assert "file/models" in caught.value.message


# --- other places


def test_a_folder_that_is_somewhere_already_is_taken_and_nothing_is_fetched(
    make_hub: MakeHub, make_models: MakeModels, tmp_path: Path
) -> None:
    hub = make_hub()
    fetch(make_models(hub, directory=tmp_path / "ComfyUI" / "models" / "diffusers"))
    hub.requests.clear()
    models = make_models(hub, search_paths=str(tmp_path / "ComfyUI"))
    done = fetch(models)
    assert (done.fetched, done.folder.origin) == (0, "found")
    assert hub.requests == []
    assert not models.directory.exists()


def test_offline_nothing_is_fetched(make_hub: MakeHub, make_models: MakeModels) -> None:
    hub = make_hub()
    with pytest.raises(ModelUnavailable) as caught:
        fetch(make_models(hub, offline=True))
    assert caught.value.code == "weights.offline"
    assert hub.requests == []


# --- other ways


@pytest.mark.slow
def test_modelscope_is_a_source_too_and_goes_on_with_what_another_began(
    make_hub: MakeHub, make_models: MakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("modelscope_hub")
    hub, scope = make_hub(faults={UNET: Fault(cut=131_072, times=1), VAE: Fault(status=404)}), make_hub()
    hub.faults[UNET] = Fault(stall=131_072)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", scope.address)
    models = make_models(hub, sources=f"{hub.address},modelscope", stall_seconds=STALL)
    done = fetch(models)
    assert contents(models) == wanted(hub.files)
    assert [sent.start for sent in scope.sent if sent.name == UNET] == [131_072]
    assert done.hash_source == hub.address


@pytest.mark.slow
def test_modelscope_alone_tells_its_own_hashes(
    make_hub: MakeHub, make_models: MakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("modelscope_hub")
    scope = make_hub(faults={UNET: Fault(stall=131_072, times=1)})
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", scope.address)
    models = make_models(sources="modelscope", stall_seconds=STALL)
    done = fetch(models)
    assert contents(models) == wanted(scope.files)
    assert (done.hash_source, done.notice.code) == ("modelscope", "weights.checked")


def test_a_proxy_of_the_environment_is_used(
    make_hub: MakeHub, make_models: MakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_hub()
    seen: list[str] = []
    direct = build_opener(ProxyHandler({}))

    class Proxy(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            seen.append(self.path)
            with direct.open(self.path.replace("http://hub.invalid", hub.address)) as answer:
                body = answer.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    try:
        models = make_models(sources="http://hub.invalid")
        fetch(models)
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
    assert contents(models) == wanted(hub.files)
    assert all(path.startswith("http://hub.invalid/") for path in seen)


@pytest.mark.slow
@pytest.mark.parametrize("portal", ["page", "redirect"])
def test_a_download_where_the_network_asks_to_log_in_says_so(
    make_hub: MakeHub, make_models: MakeModels, portal: str
) -> None:
    first, second = make_hub(portal=portal), make_hub(portal=portal)
    with pytest.raises(ModelUnavailable) as caught:
        fetch(make_models(first, second))
    assert caught.value.code == "weights.captive_portal"
    first.portal = ""  # one of them answers
    assert fetch(make_models(first, second)).folder.missing is None
