"""The hubs that weights are published on, through their own libraries. Runs in a process of its own.

Each hub lists a repository's files with their hashes, and fetches one file into a staging folder, from where
an earlier attempt ended: the part that is there, `NAME.incomplete`, is kept whatever ends the process, and
may have been begun by another hub. When to give up is `sources`' business, what is right `fetching`'s.

From huggingface_hub the file is taken with its `http_get` and not with `hf_hub_download`, which (2.4.0)
throws a part away when it is interrupted. Plain HTTP, not Xet: mirrors have no Xet, and ranges resume.
No token is ever sent: the repositories are public, and mirrors are strangers.

Networks of hotels and trains answer every request with a page to log in. Each answer is looked at before a
library reads it: such a page would be taken for a broken list, or written over a file that has begun.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from i2v.core.model_spec import Repository
from i2v.weights.records import Expected, Listing

if TYPE_CHECKING:
    import httpx2
    import requests

CHUNK = 2**16  # bytes; a slow line is seen to move, and little is lost where it is cut


class CaptivePortal(Exception):
    """A web page came instead of a hub's answer. `page`: the host that it came from."""

    def __init__(self, page: str) -> None:
        self.page = page
        super().__init__(f"a web page of {page} came instead: the network may ask you to log in there")


class Hub(Protocol):
    def list_files(self, part: Repository, first: str) -> Listing:
        """List the repository's files, of which `first` must be one. Raises whatever the library raises."""
        ...

    def fetch(self, part: Repository, name: str, size: int, staging: Path) -> None:
        """Have the whole file at `staging / name` in the end. Raises whatever the library raises."""
        ...


def make_hub(source: str, seconds: float) -> Hub:
    """Return the hub called `source`, an address or "modelscope"; `seconds` it may take to list its files."""
    if source == "modelscope":
        return ModelScope()
    return HuggingFace(source, seconds)


class HuggingFace:
    """The Hugging Face hub at `endpoint`, or a mirror of it."""

    def __init__(self, endpoint: str, seconds: float) -> None:
        from huggingface_hub import HfApi, constants, set_client_factory

        set_client_factory(_watched_client)
        constants.DOWNLOAD_CHUNK_SIZE = CHUNK  # 10 MB: minutes without a sign of life on a slow line
        self.api = HfApi(endpoint=endpoint, token=False)
        self.endpoint = endpoint
        self.seconds = seconds

    def list_files(self, part: Repository, first: str) -> Listing:
        repo, revision = part.repo, part.revision
        info = self.api.model_info(repo, revision=revision, files_metadata=True, timeout=self.seconds)
        if info.sha != revision:
            raise ValueError(f"it has revision {info.sha}, not {revision}")
        files = {
            file.rfilename: Expected(
                file.size,
                sha256=file.lfs.sha256 if file.lfs else None,
                git_sha1=None if file.lfs else file.blob_id,
            )
            for file in info.siblings or ()
            if file.size is not None
        }
        return Listing(self.endpoint, revision, files, repo)

    def fetch(self, part: Repository, name: str, size: int, staging: Path) -> None:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get

        url = hf_hub_url(part.repo, name, revision=part.revision, endpoint=self.endpoint)
        headers = {"Accept-Encoding": "identity"}  # ranges of a packed file are of no use
        growing = part_file(staging, name)
        growing.parent.mkdir(parents=True, exist_ok=True)
        with growing.open("ab") as file:
            http_get(url, file, resume_size=file.tell(), headers=headers, expected_size=size)
            file.flush()
            os.fsync(file.fileno())
        growing.replace(staging / name)


class ModelScope:
    """ModelScope, at `$MODELSCOPE_ENDPOINT` if that is set, through modelscope-hub. Revision: "master"."""

    def __init__(self) -> None:
        from modelscope_hub import HubApi

        _watch_requests()
        self.api = HubApi(token="")
        self.ids: dict[str, str] = {}  # which of ModelScope's has a repository's files

    def list_files(self, part: Repository, first: str) -> Listing:
        reasons: list[str] = []
        for repo in part.modelscope:
            try:
                listed = self.api.list_repo_files(repo, "model")
            except Exception as error:  # whatever the library raises: the next id may be right
                if portal := next((c for c in causes(error) if isinstance(c, CaptivePortal)), None):
                    raise portal from error
                reasons.append(f"{repo}: {error}")
                continue
            files = {
                file.path: Expected(file.size, sha256=file.sha256 or None)
                for file in listed
                if not file.is_dir
            }
            if first in files:
                self.ids[part.repo] = repo
                return Listing("modelscope", "master", files, part.repo)
            reasons.append(f"{repo}: it has no {first}")
        raise ValueError("; ".join(reasons) or "no id is known there")

    def fetch(self, part: Repository, name: str, size: int, staging: Path) -> None:
        if part.repo not in self.ids:  # another process has listed the files
            self.list_files(part, name)
        self.api.download_file(self.ids[part.repo], "model", name, local_dir=staging, file_size=size)


def part_file(staging: Path, name: str) -> Path:
    """Return where a file grows: modelscope-hub's own name for it, which we take over for all."""
    return staging / f"{name}.incomplete"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it came of."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _refuse_portal(status: int, headers: Mapping[str, str], url: str) -> None:
    """Raise `CaptivePortal` where a page came with success, or status 511 says so (RFC 6585)."""
    is_page = headers.get("content-type", "").lower().startswith(("text/html", "application/xhtml"))
    if status == 511 or (200 <= status < 300 and is_page):
        raise CaptivePortal(urlsplit(url).netloc)


def _watched_client() -> httpx2.Client:
    """Return huggingface_hub's own client, with a look at each answer."""
    from huggingface_hub.utils._http import default_client_factory

    def look(response: httpx2.Response) -> None:
        _refuse_portal(response.status_code, response.headers, str(response.url))

    client = default_client_factory()
    hooks = client.event_hooks
    client.event_hooks = {**hooks, "response": [*hooks["response"], look]}
    return client


def _watch_requests() -> None:
    """Look at each answer that comes through requests: modelscope-hub takes no session of ours."""
    import requests
    from modelscope_hub.errors import HubError

    send = requests.Session.send

    def watched(
        session: requests.Session, request: requests.PreparedRequest, **options: object
    ) -> requests.Response:
        response = send(session, request, **options)
        try:
            _refuse_portal(response.status_code, response.headers, str(response.url))
        except CaptivePortal as portal:
            raise HubError(str(portal)) from portal  # which it does not take for a weak line
        return response

    requests.Session.send = watched  # type: ignore[method-assign, assignment]
