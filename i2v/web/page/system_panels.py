"""This machine as HTML: what there is and where, what the examination found, the end of the log.

Pure: facts go in, markup comes out, every text escaped. This module knows neither widgets nor the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from types import MappingProxyType

from i2v.core.errors import I2VError
from i2v.core.schema import Language
from i2v.doctor.findings import Finding
from i2v.service.overview import Folder, Overview
from i2v.web.page import device_panels, panels
from i2v.web.texts import text, translate
from i2v.workers.devices import DeviceState

GIB = 2**30


def overview(
    found: Overview,
    language: Language,
    deletes: str = "",
    paused: bool = False,
    devices: Sequence[DeviceState] = (),
    titles: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return what there is and where.

    Args:
        deletes: what the service deletes by itself, in a line of plain text.
        paused: no job of the queue begins.
        devices: those that jobs run on; where there are several, they are shown in the place of the first.
        titles: of the jobs that run, by their ids.
    """
    docs = f'<a href="docs">{escape(text("system.docs.link", language))}</a>'
    queue = _row("system.queue", escape(text("queue.paused", language)), language) if paused else ""
    device = escape(_device(found, language))
    if len(devices) > 1:
        device = device_panels.facts(devices, titles, language)
    machine = (
        queue
        + _row("system.devices" if len(devices) > 1 else "system.device", device, language)
        + _row("system.engine", escape(_engine(found, language)), language)
        + _row("system.platform", escape(found.system), language)
        + _row("system.docs", docs, language)
    )
    folders = "".join(
        _row(f"system.folder.{name}", escape(_folder(folder, language)), language)
        for name, folder in found.folders.items()
    )
    if deletes:
        folders += _row("system.kept", escape(deletes), language)
    versions = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(version or text('system.version.none', language))}</dd>"
        for name, version in found.versions.items()
    )
    return (
        _facts(machine)
        + _section("system.folders", _facts(folders), language)
        + _section("system.versions", _facts(versions, "i2v-versions"), language)
    )


def report(found: Mapping[str, Iterable[Finding]], language: Language) -> str:
    """Return what the examination found, by case, after how many problems and warnings there are."""
    statuses = [finding.status for findings in found.values() for finding in findings]
    problems, warnings = statuses.count("problem"), statuses.count("warning")
    line = (
        text("system.found", language, problems=problems, warnings=warnings)
        if problems or warnings
        else text("system.sound", language)
    )
    cases = "".join(
        f"<h3>{escape(text(f'system.case.{case}', language))}</h3>"
        f'<ul class="i2v-findings">{"".join(_finding(finding, language) for finding in findings)}</ul>'
        for case, findings in found.items()
    )
    return panels.plain(line) + cases


def log_end(lines: str | None, path: str, language: Language) -> str:
    """Return the last lines of the log at `path`; `None`: there is no log."""
    label = escape(text("system.log", language))
    heading = f"<h2>{label} <small>{escape(path)}</small></h2>"
    if not lines:
        line = text("system.log.none" if lines is None else "system.log.empty", language)
        return f'{heading}<p class="i2v-subdued">{escape(line)}</p>'
    return (
        f'{heading}<div class="i2v-log" role="region" aria-label="{label}" tabindex="0">'
        f"<pre>{escape(lines)}</pre></div>"
    )


def _device(found: Overview, language: Language) -> str:
    device = found.device
    if device is None:
        return text("system.device.unknown", language)
    if isinstance(device, I2VError):
        return translate(device.to_dict(), language)
    return text("system.device.value", language, name=device.name, gib=_gib(device.total_memory))


def _engine(found: Overview, language: Language) -> str:
    if found.choice is not None:
        return translate(found.choice.to_dict(), language)
    if found.engine == "auto":
        return text("engine.auto", language)
    return text("system.engine.named", language, name=found.engine)


def _folder(folder: Folder, language: Language) -> str:
    free, total = f"{folder.free / 1e9:.1f}", f"{folder.total / 1e9:.1f}"  # as disks are sold
    return text("system.folder.value", language, path=folder.path, free=free, total=total)


def _finding(finding: Finding, language: Language) -> str:
    chip = escape(text(f"system.status.{finding.status}", language))
    line = escape(translate(finding.found.to_dict(), language))
    fix = ""
    if finding.fix is not None:
        advice = text("system.fix", language, fix=translate(finding.fix.to_dict(), language))
        fix = f'<p class="i2v-subdued">{escape(advice)}</p>'
    chip = f'<span class="i2v-chip">{chip}</span>'
    return f'<li class="i2v-{finding.status}">{chip}<div><p>{line}</p>{fix}</div></li>'


def _section(key: str, body: str, language: Language) -> str:
    return f"<section><h2>{escape(text(key, language))}</h2>{body}</section>"


def _facts(rows: str, kind: str = "") -> str:
    return f'<dl class="i2v-facts {kind}">{rows}</dl>'


def _row(key: str, value: str, language: Language) -> str:
    """`value` is markup."""
    return f"<dt>{escape(text(key, language))}</dt><dd>{value}</dd>"


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}"
