"""The worker of one place in the cluster: a thread of the dispatcher that starts an actor for work.

Owns when there is an actor, and what becomes of the job that a lost one was at: as with a worker process, a
lost actor is a death, which the store counts; one that leaves in order is not.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time

from i2v.core.errors import EncodeError, I2VError, InsufficientMemory, ModelUnavailable
from i2v.core.memory_plan import DeviceInfo
from i2v.jobs.model import Claim
from i2v.workers.cleanup import clean_up
from i2v.workers.cluster.crew import Crew, Setup
from i2v.workers.cluster.handles import StartedHandle
from i2v.workers.cluster.places import Place
from i2v.workers.cluster.remote import RemoteMaker
from i2v.workers.cluster.wire import Shared, Versions, mismatch
from i2v.workers.devices import Activity, DeviceState, Fetch
from i2v.workers.maker import GivenBack, Reports, WorkerLost
from i2v.workers.worker import Beat, Worker

POLL_SECONDS = 0.2  # between two looks at the queue
ASK_SECONDS = 2.0  # between two questions to an idle actor, whether its machine leaves
MODELS_SECONDS = 20.0  # between two questions which weights there are: one may be fetched or removed
FIRST_BACK_OFF, LAST_BACK_OFF = 0.5, 30.0  # seconds between a death and the next start
FAILED_STARTS = 3  # in a row set a place aside
SET_ASIDE_SECONDS = 300.0
STEP_BYTES = 2**26  # of free memory: smaller differences between machines are none
RETRY_SECONDS = 1.0  # between two requests to a database that cannot be used

log = logging.getLogger(__name__)


class Lane:
    """Sees to the actor of one place. `start` it once; it ends when it is retired, or the service stops.

    Attributes:
        device: the id of the device, as far as it is known.
        info: what its actor has found; `None` until one has looked.
        deaths: how many actors were lost.
        models: the engines whose weights its machine has.
        fetch: those that it gets now.
        is_starting: an actor is decided on, or there is one.
        is_leaving: its machine takes no more jobs.
    """

    def __init__(self, place: Place, setup: Setup, crew: Crew) -> None:
        self.place = place
        self.device = place.device
        self.info: DeviceInfo | None = None
        self.deaths = 0
        self.is_starting = self.is_set_aside = self.is_leaving = False
        self.job_id: str | None = None
        self.models: tuple[str, ...] = ()
        self.fetch: Fetch | None = None
        self._setup = setup
        self._crew = crew
        self._is_claiming = False
        self._retired = threading.Event()
        self._problem: I2VError | None = None
        self._failed_starts = 0
        self._thread = threading.Thread(target=self._run, name=f"lane {place.device}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def retire(self) -> None:
        """Its machine is gone: no more actors. One that still lives ends its job first."""
        self._retired.set()

    @property
    def takes_a_job(self) -> bool:
        return self.is_starting and self.job_id is None and self.fetch is None and not self._failed_starts

    @property
    def kind(self) -> tuple[object, ...]:
        """What is equal for lanes that may take the same jobs (`jobs.table.CLAIMABLE`)."""
        return (self.models, None if self.info is None else _rounded(self.info.free_memory))

    @property
    def name(self) -> str:
        return self.place.node.name

    @property
    def is_stopping(self) -> bool:
        return self._setup.stopping.is_set()

    def show(self, fetch: Fetch | None) -> None:
        self.fetch = fetch
        self._crew.changed()

    def give_away(self, error: I2VError) -> bool:
        """Set the place aside, where others take jobs; see `handles.Host`."""
        if not self._crew.has_others(self):
            return False
        self._note_problem(error)
        self._failed_starts = FAILED_STARTS
        return True

    def state(self) -> DeviceState:
        activity: Activity = "starting" if self.info is None else "ready"
        if self.is_set_aside or self.is_leaving:
            activity = "leaving" if self.is_leaving else "set_aside"
        problem = self._problem
        if self.is_leaving:
            problem = I2VError("cluster.leaving", node=self.place.node.name)
        elif problem is None and self.info is None:
            problem = I2VError("server.not_ready")
        return DeviceState(
            id=self.device,
            number=self.place.number % self.place.share + 1,
            info=self.info,
            activity=activity if self.job_id is None else "busy",
            job_id=self.job_id,
            problem=problem,
            models=self.models,
            fetch=self.fetch,
        )

    def _run(self) -> None:
        back_off = 0.0
        while not self._is_over(back_off):
            back_off = POLL_SECONDS
            try:
                if not self._should_start():
                    continue
                self._run_actor()
                if self._failed_starts:
                    back_off = min(LAST_BACK_OFF, FIRST_BACK_OFF * 2**self._failed_starts)
            except I2VError as error:  # the database is away
                self._note_problem(error)
                back_off = RETRY_SECONDS
            except Exception as error:  # a defect: this thread has to live
                log.exception("%s", self.device)
                self._note_problem(I2VError("worker.no_supervision", reason=type(error).__name__))
                back_off = RETRY_SECONDS
            finally:
                self.is_starting = False
                self.job_id = None
                self._crew.changed()
            if self._failed_starts >= FAILED_STARTS:
                self._set_aside()
                back_off = SET_ASIDE_SECONDS if self._crew.has_others(self) else LAST_BACK_OFF
        log.info("%s: no more jobs there", self.device)

    def _is_over(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not (self._retired.is_set() or self._setup.stopping.is_set()):
            left = end - time.monotonic()
            if left <= 0:
                return False
            self._setup.stopping.wait(min(left, POLL_SECONDS))
        return True

    def _should_start(self) -> bool:
        if self.is_leaving:
            return False
        self.is_starting = self.info is None or self.is_set_aside or self._crew.take_turn(self)
        return self.is_starting

    def _run_actor(self) -> None:
        """Start an actor, give it jobs to its end, and see to what it leaves."""
        setup = self._setup
        owner = f"{setup.owner}-{secrets.token_hex(4)}"
        ended_well = False
        actor: StartedHandle | None = None
        try:
            actor = setup.start_actor(self.place, Shared.of(setup.settings), setup.engines)
            device = self._meet(actor)
            self._serve(actor, device, owner)
            ended_well = True
        except GivenBack as reason:
            log.info("%s: %s", self.device, reason)
            ended_well = True
        except WorkerLost as error:
            under = f" under job {self.job_id}" if self.job_id else ""
            log.error("the worker at %s was lost%s: %s", self.device, under, error)
            self.deaths += 1
            if self.info is None:
                self._note_problem(InsufficientMemory("cluster.not_started", device=self.device))
        finally:
            try:
                self._settle(owner, ended_well)
            finally:
                if actor is not None:
                    actor.end()

    def _meet(self, actor: StartedHandle) -> DeviceInfo:
        """Return the device that the actor has; raise where it cannot work for us."""
        self._failed_starts += 1  # until it has said who it is
        introduction = actor.look(self._setup.settings.worker.start_seconds)
        error = mismatch(Versions.here(), introduction.versions, self.place.node.name)
        if error is not None:
            self._failed_starts = FAILED_STARTS
            raise error
        self._crew.introduced(self, introduction)
        device = introduction.device
        if not self._retired.is_set():
            self._setup.store.devices.measured(device.id, _rounded(device.free_memory))
        self.note_models(introduction.models)
        self._failed_starts, self.is_set_aside, self._problem = 0, False, None
        self.info = device
        self._crew.changed()
        return device

    def _serve(self, actor: StartedHandle, device: DeviceInfo, owner: str) -> None:
        """Give the actor one job after another, until there was none for long, or it should end."""
        setup = self._setup
        options = setup.settings.worker
        maker = RemoteMaker(actor, options, self, setup.shelf)
        self._stock_up(maker)
        worker = Worker(setup.settings, setup.store, setup.engines, device, owner, self._note_job, maker)
        idle_since = looked_at = time.monotonic()
        asked_at = 0.0
        while worker.is_fit and not (self._retired.is_set() or setup.stopping.is_set()):
            if time.monotonic() - asked_at > ASK_SECONDS:
                asked_at = time.monotonic()
                if actor.leaving():
                    self.is_leaving = True
                    self.note_models(())
                    return
            if time.monotonic() - looked_at > MODELS_SECONDS:
                looked_at = time.monotonic()
                self.note_models(actor.models())
            if self._crew.lets_claim(self) and self._run_next(worker):
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > options.idle_seconds:
                return
            else:
                setup.stopping.wait(POLL_SECONDS)

    def _run_next(self, worker: Worker) -> bool:
        self._is_claiming = True
        try:
            return worker.run_next()
        finally:
            self._end_claim()

    def _end_claim(self) -> None:
        if self._is_claiming:
            self._is_claiming = False
            self._crew.has_claimed()

    def _stock_up(self, maker: RemoteMaker) -> None:
        """Have the machine get the weights that the settings want on all."""
        for engine in self._setup.settings.ray.weights:
            try:
                maker.fetch(engine, Reports(lambda notices: None, lambda progress: None))
            except (ModelUnavailable, EncodeError) as error:  # it takes jobs of other engines
                log.error("%s: %s", self.device, error.message)

    def note_models(self, models: tuple[str, ...]) -> None:
        """Let the queue know whose weights are here; none where it takes no jobs."""
        self.models = models
        if not self._retired.is_set():  # else its device is forgotten
            self._setup.store.devices.have_models(self.device, models)

    def _note_job(self, beat: Beat) -> None:
        if beat.job_id != self.job_id:
            self._end_claim()
            self.job_id = beat.job_id
            self._crew.changed()

    def _settle(self, owner: str, ended_well: bool) -> None:
        """Put back what an actor was at that has ended, and remove the files of its unfinished attempt."""
        store = self._setup.store
        while True:
            try:
                if ended_well:
                    jobs = [store.release(Claim(job, owner)) for job in store.running(owner)]
                else:
                    jobs = store.recover(owner)
                break
            except I2VError as error:  # the database is away; the job must not be forgotten
                self._note_problem(error)
                if self._setup.stopping.wait(RETRY_SECONDS):
                    return  # the next service finds it interrupted
        for job in jobs:
            clean_up(job, self._setup.settings.unpublished)

    def _set_aside(self) -> None:
        if not self.is_set_aside:
            self.is_set_aside = True
            self.note_models(())  # no job has to wait for it
            message = self._problem.message if self._problem else "its worker did not start"
            log.error("%s is set aside and tried again later: %s", self.device, message)
            self._crew.changed()

    def _note_problem(self, problem: I2VError) -> None:
        if self._problem is None or self._problem.message != problem.message:
            log.error("%s: %s", self.device, problem.message)
        self._problem = problem
        self._crew.changed()


def _rounded(free: int | None) -> int | None:
    """Return the memory in steps, so that machines of one kind are alike."""
    return None if free is None else free // STEP_BYTES * STEP_BYTES
