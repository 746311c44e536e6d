"""Settings: what there is to set, in sections, and what each may be. They are read by `settings_sources`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from i2v.core import setting_values as kinds
from i2v.core.bounds import Within
from i2v.core.memory_plan import Offload, StorageDtype, Switch
from i2v.core.schema import Language, Upscaling
from i2v.core.users import MAX_USERS, User, check_users
from i2v.core.webhook import Endpoint, check_endpoints, read_endpoints, read_secret

Text = Annotated[str, BeforeValidator(kinds.text)]
Seconds = Annotated[float, Within(0.01, 1_000_000)]
Folder = Annotated[Path, BeforeValidator(kinds.folder)]
Origins = Annotated[tuple[str, ...], BeforeValidator(kinds.each(kinds.origin))]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OutputSettings(_Section):
    directory: Folder
    format: Literal["mp4"]
    upscaler: Upscaling
    prefix: Annotated[str, BeforeValidator(kinds.prefix)]
    name: Annotated[str, BeforeValidator(kinds.name_pattern)]
    label: Literal["metadata", "visible", "none"]
    producer: Annotated[Text, Field(min_length=1, max_length=200)]
    language: Language
    prompts: bool


class EngineSettings(_Section):
    name: Text
    device: Literal["auto", "cpu", "cuda"]
    dtype: Literal["auto", "float32", "float16", "bfloat16"]
    threads: Annotated[int, Within(0, 256)]
    decode_chunk: Annotated[int, Within(0, 128)]
    cfg_passes: Annotated[int, Within(1, 2)]
    offload: Offload
    chunk_tokens: Annotated[int, Within(0, 1_000_000_000)]
    vae_tiling: bool
    storage_dtype: StorageDtype
    compile: bool
    kernels: Annotated[Switch, BeforeValidator(kinds.switch)]
    cuda_graph: Annotated[Switch, BeforeValidator(kinds.switch)]


class ModelSettings(_Section):
    directory: Folder
    search_paths: Annotated[tuple[Path, ...], BeforeValidator(kinds.folders)]
    hub_cache: Folder
    sources: Annotated[tuple[str, ...], BeforeValidator(kinds.each(kinds.source))]
    endpoint: Annotated[str, BeforeValidator(kinds.endpoint)]
    offline: bool
    probe_seconds: Seconds
    stall_seconds: Seconds


class ImageSettings(_Section):
    max_megapixels: Annotated[float, Within(0.001, 400)]
    max_megabytes: Annotated[float, Within(0.001, 1000)]


class SoundSettings(_Section):
    max_megabytes: Annotated[float, Within(0.001, 1000)]
    max_seconds: Annotated[float, Within(1, 3600)]


class ServiceSettings(_Section):
    data_dir: Folder
    max_queued: Annotated[int, Within(1, 10_000)]
    embeddings_megabytes: Annotated[float, Within(0, 1_000_000)]
    embeddings_days: Annotated[float, Within(0, 1_000_000)]


class StorageSettings(_Section):
    keep_days: Annotated[float, Within(0, 1_000_000)]
    keep_gigabytes: Annotated[float, Within(0, 1_000_000)]
    keep_jobs: Annotated[int, Within(0, 10_000_000)]
    trash_days: Annotated[float, Within(0, 1000)]


class WorkerSettings(_Section):
    idle_seconds: Seconds
    start_seconds: Seconds
    hang_seconds: Seconds
    cancel_seconds: Seconds
    kill_seconds: Seconds
    creep_megabytes: Annotated[float, Within(1, 1e6)]
    keep_latents_seconds: Annotated[float, Within(0, 86400)]
    devices: Annotated[Literal["auto", "cpu"] | tuple[int, ...], BeforeValidator(kinds.devices)]
    per_device: Annotated[int, Within(1, 64)]
    executor: Literal["process", "ray"]


class RaySettings(_Section):
    address: Annotated[str, BeforeValidator(kinds.address)]
    head_host: Annotated[str, BeforeValidator(kinds.machine)]
    head_port: Annotated[int, Within(1, 65535)]
    max_devices: Annotated[int, Within(0, 10_000)]
    fetch_weights: bool
    weights: Annotated[tuple[str, ...], BeforeValidator(kinds.each(kinds.text))]

    @property
    def joined(self) -> str:
        """The address (HOST:PORT) at which machines join."""
        return self.address or f"{self.head_host}:{self.head_port}"


class ServerSettings(_Section):
    host: Annotated[str, BeforeValidator(kinds.listening_host)]
    port: Annotated[int, Within(0, 65535)]
    page: bool
    metrics_port: Annotated[int, Within(0, 65535)]
    root_path: Annotated[str, BeforeValidator(kinds.root_path)]


class SecuritySettings(_Section):
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(kinds.each(kinds.host))]
    trusted_proxies: Annotated[tuple[str, ...], BeforeValidator(kinds.each(kinds.network))]
    cors_origins: Origins
    frame_ancestors: Origins
    max_request_megabytes: Annotated[float, Within(0.001, 2000)]
    token: Annotated[SecretStr, BeforeValidator(kinds.token)]
    users: Annotated[tuple[User, ...], Field(max_length=MAX_USERS), AfterValidator(check_users)]


class LoggingSettings(_Section):
    format: Literal["text", "json"]


class WebhookSettings(_Section):
    endpoints: Annotated[
        tuple[Endpoint, ...], BeforeValidator(read_endpoints), AfterValidator(check_endpoints)
    ]
    secret: Annotated[SecretStr, BeforeValidator(read_secret)]
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(kinds.each(kinds.host_or_network))]


class McpSettings(_Section):
    folders: Annotated[tuple[Path, ...], BeforeValidator(kinds.folders)]


class Settings(_Section):
    """All settings, checked. See `configs/default.yaml` for what each one does."""

    output: OutputSettings
    engine: EngineSettings
    models: ModelSettings
    image: ImageSettings
    sound: SoundSettings
    service: ServiceSettings
    storage: StorageSettings
    worker: WorkerSettings
    ray: RaySettings
    server: ServerSettings
    security: SecuritySettings
    webhooks: WebhookSettings
    mcp: McpSettings
    logging: LoggingSettings

    @property
    def database(self) -> Path:
        return self.service.data_dir / "jobs.db"

    @property
    def inputs(self) -> Path:
        """The folder of the jobs' pictures."""
        return self.service.data_dir / "inputs"

    @property
    def unpublished(self) -> Path:
        """The folder of frames that are decoded and not yet published."""
        return self.service.data_dir / "unpublished"

    @property
    def embeddings(self) -> Path:
        """The folder of prompts' embeddings."""
        return self.service.data_dir / "embeddings"
