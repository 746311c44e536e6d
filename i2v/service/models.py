"""The models of a running service: which are there, and getting, checking, adding and removing one.

Owns what is under way, one task for each model in a thread of its own, so that it goes on when nobody looks,
and what came of the last one. How weights are fetched and checked is `weights`' business, which of them a job
runs on is `loading`'s: that asks what is there each time, so nothing here has to be told to it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Cancelled, I2VError, InvalidRequest, ModelUnavailable, Notice
from i2v.core.fields import shown
from i2v.core.memory_plan import DeviceInfo
from i2v.core.model_spec import ModelSpec
from i2v.core.settings import ModelSettings
from i2v.engines.registry import find_model, models_of
from i2v.media.speech.voices import voice_names
from i2v.service.rights import check_role
from i2v.weights.added import add_folder, can_be_added, refuse_own, removable, remove_folder, which_fits
from i2v.weights.added_files import AddedFile, Kind, added_files, describe_added, described
from i2v.weights.check import verify
from i2v.weights.conversion import ConversionPlan, convert, plan_conversion
from i2v.weights.converted import with_converted
from i2v.weights.download import DownloadPlan, download, plan_download, settle_licences
from i2v.weights.fetching import checked_notice, unwritable
from i2v.weights.folders import ModelFolder, is_available, locate, require_weights
from i2v.weights.parts import published_of
from i2v.weights.progress import TransferProgress
from i2v.weights.records import Digests, merged, read_listing, records_folder

STOP_SECONDS = 10  # that a task may take to end with the service

TaskKind = Literal["download", "verify", "convert"]
State = Literal["available", "incomplete", "absent", "downloading", "verifying", "converting"]
OnProgress = Callable[[TransferProgress], None]
Cancel = Callable[[], bool]
Work = Callable[[OnProgress, Cancel], Notice]
_STATES: Mapping[TaskKind, State] = {
    "download": "downloading",
    "verify": "verifying",
    "convert": "converting",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """A download, a check or a conversion of a model.

    Attributes:
        progress: the last that was heard of it.
        ending: what came of it, `None` as long as it is under way.
    """

    kind: TaskKind
    progress: TransferProgress | None = None
    is_cancelling: bool = False
    ending: Notice | I2VError | None = None

    @property
    def has_failed(self) -> bool:
        if isinstance(self.ending, Notice):
            return self.ending.code == "weights.bad_files"
        return self.ending is not None and not isinstance(self.ending, Cancelled)


@dataclass(frozen=True)
class Model:
    """A model as it is now.

    Attributes:
        plan: what a download would be; `None` for one that is published nowhere.
        checked: what its files were held to when they were fetched or checked, `None` if that is not known.
        removable: what `remove` would delete or forget.
        task: what is under way, or else the last one since the service began.
        conversion: what storing it in bfloat16 would be; `None` where nothing of it is in float32.
    """

    spec: ModelSpec
    folder: ModelFolder
    plan: DownloadPlan | None
    checked: Notice | None
    removable: ModelFolder | None
    task: Task | None
    conversion: ConversionPlan | None = None

    @property
    def state(self) -> State:
        if self.task is not None and self.task.ending is None:
            return _STATES[self.task.kind]
        if self.folder.missing is None:
            return "available"
        return "incomplete" if self.folder.files or (self.plan and self.plan.begun) else "absent"


class Models:
    """What takes a name raises `InvalidRequest` for one that is not of a model with files of its own.

    To change anything is for users who administer (`security.role`).
    """

    def __init__(self, settings: ModelSettings, engines: Mapping[str, EngineSpec]) -> None:
        self._settings = settings
        self._engines = engines
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}

    def all(self) -> list[Model]:
        """Return those that have files: an engine without any needs nothing of what is done here."""
        return [self._model(spec) for spec in models_of(self._engines).values()]

    def can_be_added(self) -> list[ModelSpec]:
        """Return those that a folder can be added as."""
        return [spec for spec in models_of(self._engines).values() if can_be_added(spec)]

    def loras(self) -> list[AddedFile]:
        """Return the LoRAs that a request can name."""
        return describe_added("loras", self._settings)

    def checkpoints(self) -> list[AddedFile]:
        """Return the checkpoints that a request can name."""
        return describe_added("checkpoints", self._settings)

    def added_names(self, kind: Kind) -> list[str]:
        """Return the names of such files."""
        return list(added_files(kind, self._settings))

    def voice_names(self) -> list[str]:
        """Return the names of Piper's voices."""
        return voice_names(self._settings)

    def describe_added(self, kind: Kind, name: str) -> AddedFile | None:
        """Return what the file of that name says of itself, `None` where there is none."""
        path = added_files(kind, self._settings).get(name)
        return None if path is None else described(kind, name, path)

    def missing(self, spec: ModelSpec) -> bool:
        """Tell whether files of `spec` are not here, so that no clip can be made with it now."""
        return not is_available(spec, self._settings)

    def require(self, spec: EngineSpec, device: DeviceInfo) -> None:
        """Raise `ModelUnavailable` where files of `spec` are neither here nor on the device's machine.

        A job would only fail for it later.
        """
        if spec.files and spec.name not in (device.models or ()):
            require_weights(spec, self._settings)

    def get(self, name: str) -> Model:
        return self._model(self._known(name))

    def download(self, name: str, accept_licences: bool = False) -> Model:
        """Begin to fetch the model; `accept_licences`: a person has just accepted those that must be.

        Raises `InvalidRequest`: `models.busy` while something is under way, `weights.licence` where a licence
        was not accepted; `ModelUnavailable` where the answer cannot be recorded.
        """
        check_role("administer")
        spec = self._known(name)
        published_of(spec)
        try:
            settle_licences(spec, self._settings, accept_licences)
        except OSError as error:
            raise unwritable(self._settings.directory, error.strerror or str(error)) from error

        def work(on_progress: OnProgress, cancelled: Cancel) -> Notice:
            return download(spec, self._settings, on_progress, cancelled).notice

        return self._start(spec, "download", work)

    def verify(self, name: str) -> Model:
        """Begin to check the model's files; raises `models.busy` as `download` does."""
        check_role("administer")
        spec = self._known(name)

        def work(on_progress: OnProgress, cancelled: Cancel) -> Notice:
            try:
                return verify(spec, self._settings, on_progress, cancelled).notice
            except Cancelled:
                raise Cancelled("models.check_stopped", title=spec.title) from None

        return self._start(spec, "verify", work)

    def convert(self, name: str, remove_originals: bool = False) -> Model:
        """Begin to store float32 weights in bfloat16; `remove_originals`: once they were compared.

        Raises `InvalidRequest`: `models.busy` as `download` does, `weights.nothing_to_convert`.
        """
        check_role("administer")
        spec = self._known(name)
        if plan_conversion(spec, self._settings) is None:
            raise InvalidRequest("weights.nothing_to_convert", title=spec.title)

        def work(on_progress: OnProgress, cancelled: Cancel) -> Notice:
            return convert(spec, self._settings, on_progress, cancelled, remove_originals).notice

        return self._start(spec, "convert", work)

    def cancel(self, name: str) -> Model:
        """Have the task under way end soon; raises `InvalidRequest` (`models.idle`) where there is none."""
        check_role("administer")
        spec = self._known(name)
        with self._lock:
            run = self._runs.get(spec.name)
            if run is None or not run.is_under_way:
                raise InvalidRequest("models.idle", title=spec.title)
            run.cancelled.set()
        return self._model(spec)

    def add(self, name: str, folder: str) -> Path:
        """Use the model in `folder`, which stays where it is; see `weights.added.add_folder`.

        `name` may be empty where the folder says which model it is of (`weights.added.which_fits`).
        """
        check_role("administer")
        spec = self._known(name) if name else None
        if not folder.strip():
            raise ModelUnavailable("weights.no_folder", path=shown(folder))
        try:
            place = Path(folder.strip()).expanduser()
            spec = spec or which_fits(models_of(self._engines).values(), place)
            return add_folder(spec, self._settings, place)
        except (OSError, ValueError, RuntimeError) as error:  # a name that no file can have, somebody's home
            reason = getattr(error, "strerror", None) or str(error)
            path = shown(folder, limit=300)
            raise ModelUnavailable(
                "weights.unreadable", title=spec.title if spec else "i2v", path=path, reason=shown(reason)
            ) from error

    def remove(self, name: str) -> ModelFolder:
        """Delete our own folder or forget an added one; not while something is under way (`models.busy`)."""
        check_role("administer")
        spec = self._known(name)
        with self._lock:
            self._refuse_if_busy(spec)
            self._runs.pop(spec.name, None)  # it was about what goes away now
            return remove_folder(spec, self._settings)

    def stop(self) -> None:
        """End what is under way; what was fetched is kept."""
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            run.cancelled.set()
        for run in runs:
            run.thread.join(STOP_SECONDS)
            if run.thread.is_alive():
                log.warning("%s does not end: it is left behind", run.thread.name)

    # --- how

    def _known(self, name: str) -> ModelSpec:
        spec = find_model(name, self._engines)
        refuse_own(spec)
        return spec

    def _model(self, spec: ModelSpec) -> Model:
        folder = locate(spec, self._settings)
        run = self._runs.get(spec.name)
        task = None if run is None else run.seen()
        if not can_be_added(spec):
            return Model(spec, folder, None, None, None, task)
        plan = None
        if spec.published:
            try:
                plan = plan_download(spec, self._settings)
            except FileNotFoundError:  # a folder went away while it was looked through
                plan = plan_download(spec, self._settings)
        checked = _how_checked(spec, self._settings, folder)
        conversion = plan_conversion(spec, self._settings)
        return Model(spec, folder, plan, checked, _removable(spec, self._settings), task, conversion)

    def _start(self, spec: ModelSpec, kind: TaskKind, work: Work) -> Model:
        with self._lock:
            self._refuse_if_busy(spec)
            run = _Run(spec, kind, work)
            self._runs[spec.name] = run
            run.thread.start()
        return self._model(spec)

    def _refuse_if_busy(self, spec: ModelSpec) -> None:
        run = self._runs.get(spec.name)
        if run is not None and run.is_under_way:
            raise InvalidRequest("models.busy", title=spec.title)


class _Run:
    """A task and its thread, which alone changes `task`."""

    def __init__(self, spec: ModelSpec, kind: TaskKind, work: Work) -> None:
        self.task = Task(kind)
        self.cancelled = threading.Event()
        self._work = work
        # The service may end without it: what it leaves behind is gone on from.
        self.thread = threading.Thread(target=self._run, name=f"{kind} {spec.name}", daemon=True)

    @property
    def is_under_way(self) -> bool:
        return self.task.ending is None

    def seen(self) -> Task:
        task = self.task
        return replace(task, is_cancelling=task.ending is None and self.cancelled.is_set())

    def _run(self) -> None:
        name = self.thread.name
        log.info("%s begins", name)
        ending: Notice | I2VError
        try:
            ending = self._work(self._on_progress, self.cancelled.is_set)
        except I2VError as error:
            ending = error
        except Exception as error:
            log.exception("%s", name)
            ending = I2VError("http.internal", kind=type(error).__name__)
        self.task = replace(self.task, ending=ending)
        level = logging.WARNING if self.task.has_failed else logging.INFO
        log.log(level, "%s ended: %s", name, ending.message)

    def _on_progress(self, progress: TransferProgress) -> None:
        self.task = replace(self.task, progress=progress)


def _removable(spec: ModelSpec, settings: ModelSettings) -> ModelFolder | None:
    try:
        return removable(spec, settings)
    except InvalidRequest:  # nothing, or nothing of ours
        return None


def _how_checked(spec: ModelSpec, settings: ModelSettings, folder: ModelFolder) -> Notice | None:
    """Return what the records say that the files as they are now were held to; reads no weights."""
    records = records_folder(folder.path, settings)
    listing = with_converted(merged(spec, lambda part: read_listing(records, part)), records)
    if listing is None or folder.missing is not None:
        return None
    digests = Digests(records)
    hows = set()
    for name, path in folder.names().items():
        expected = listing.files.get(name)
        try:
            known = digests.known(path)
        except OSError:  # removed at this moment
            known = None
        if expected is None or known is None or expected.sha256 not in (None, known):
            return None
        hows.add(expected.how)
    return checked_notice(spec, hows, listing.hash_source)
