"""Models as HTML: which are there, where and how they were checked; what a download would be, and how it is.

Pure: models go in, markup comes out, every text escaped. What changes often (`under_way`) stands apart from
what has buttons (`models`): a button that is replaced would lose the focus.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from i2v.core.durations import duration
from i2v.core.schema import Language
from i2v.service.models import Model, Task
from i2v.web.page import panels
from i2v.web.texts import licence_name, model_title, text, translate
from i2v.weights.added import can_be_added
from i2v.weights.download import DownloadPlan, PartPlan
from i2v.weights.licences import licence_url
from i2v.weights.progress import TransferProgress


def models(found: Iterable[Model], language: Language) -> str:
    """Return what there is to know of each model, and its buttons (`data-act`; `data-id`: its name)."""
    rows = "".join(_model(model, language) for model in found)
    return f'<ul class="i2v-models">{rows}</ul>'


def under_way(found: Iterable[Model], language: Language) -> str:
    """Return, below a heading, how each download or check is, or what came of it."""
    tasks = "".join(_task(model, model.task, language) for model in found if model.task is not None)
    return f"<h2>{escape(text('models.title', language))}</h2>{tasks}"


def to_fetch(model: Model, language: Language) -> str:
    """Return how much a download of the model is, under which licence, and whether there is room for it."""
    plan = model.plan
    if plan is None:
        return ""
    rows = _row("models.size", escape(_size(model, plan, language)), language)
    rows += _row("models.licence", _licences(plan, language), language)
    if plan.size - plan.begun >= plan.free:
        rows += _row("models.target", _target(plan, language), language)
    return f'<dl class="i2v-facts">{rows}</dl>'


def progress(model: Model, language: Language) -> str:
    """Return how a download or a check of the model is, or what came of it; "" where there was none."""
    return "" if model.task is None else _task(model, model.task, language)


def size(count: float) -> str:
    """Return bytes as a person reads them: "4.98 GB", "706 MB", "12 KB"."""
    if count >= 999.5e6:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 999.5e3 else f"{count / 1e3:.0f} KB"


def _model(model: Model, language: Language) -> str:
    state, title = model.state, escape(model_title(model.spec.title, language))
    chip = escape(text(f"models.state.{state}", language))
    rows = "".join(_facts(model, language))
    acts = "".join(buttons(model, language))
    return (
        f'<li class="i2v-model i2v-{state}" aria-label="{title}"><h3>{title} <span class="i2v-chip">{chip}'
        f'</span></h3><dl class="i2v-facts">{rows}</dl><div class="i2v-acts">{acts}</div></li>'
    )


def _facts(model: Model, language: Language) -> Iterable[str]:
    folder, plan, state = model.folder, model.plan, model.state
    if folder.files:
        where = text(f"models.where.{folder.origin}", language, path=folder.path)
        yield _row("models.where", escape(where), language)
    if state == "incomplete" and folder.files and folder.missing is not None:
        yield _row("models.missing", escape(str(folder.missing.relative_to(folder.path))), language)
    if plan is None:
        yield _row("models.size", size(folder.size), language)
        return
    yield _row("models.size", escape(_size(model, plan, language)), language)
    yield _row("models.licence", _licences(plan, language), language)
    yield _row("models.origin", "<br>".join(_origin(plan, part, language) for part in plan.parts), language)
    if state == "available":
        checked = translate(model.checked.to_dict(), language) if model.checked else ""
        yield _row("models.checked", escape(checked or text("models.checked.not", language)), language)
    elif state in ("absent", "incomplete"):
        yield _row("models.sources", escape(_sources(plan, language)), language)
        yield _row("models.target", _target(plan, language), language)


def _row(key: str, value: str, language: Language) -> str:
    """`value` is markup."""
    return f"<dt>{escape(text(key, language))}</dt><dd>{value}</dd>"


def _licences(plan: DownloadPlan, language: Language) -> str:
    """Return the licences' names, with a link to each text that must be read."""
    named = {}
    for published in (part.published for part in plan.parts):
        name = licence_name(published.licence, language)
        is_linked = published.must_accept or published.licence_url
        named[published.licence] = _link(licence_url(published), name) if is_linked else escape(name)
    return ", ".join(named.values())


def _origin(plan: DownloadPlan, part: PartPlan, language: Language) -> str:
    line = _link(part.origin, part.origin)
    if len(plan.parts) > 1:
        line += f" · {size(part.published.size)} · {escape(licence_name(part.published.licence, language))}"
    if part.copy is not None:
        line += f" · {escape(text('models.part.copy', language, path=part.copy))}"
    return line


def _link(address: str, words: str) -> str:
    return f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer">{escape(words)}</a>'


def _size(model: Model, plan: DownloadPlan, language: Language) -> str:
    if model.folder.missing is None:
        return size(model.folder.size)
    if plan.begun and model.state != "downloading":
        return text("models.size.begun", language, size=size(plan.size), begun=size(plan.begun))
    if saved := sum(conversion.size for conversion in model.spec.conversions):  # as much as is left
        return text("models.size.converted", language, size=size(plan.size), less=size(plan.size - saved))
    return size(plan.size)


def _sources(plan: DownloadPlan, language: Language) -> str:
    if not plan.sources:
        return text("models.sources.offline", language)
    if len(plan.sources) == 1:
        return plan.sources[0]
    return text("models.sources.order", language, sources=", ".join(plan.sources))


def _target(plan: DownloadPlan, language: Language) -> str:
    fits = plan.size - plan.begun < plan.free
    key = "models.target.free" if fits else "models.target.full"
    line = escape(text(key, language, path=plan.target, free=f"{plan.free / 1e9:.1f} GB"))
    return line if fits else f'<span class="i2v-error">{line}</span>'


def buttons(model: Model, language: Language) -> Iterable[str]:
    """Yield what can be done with the model now (`data-act`; `data-id`: its name)."""
    name, plan, gone = model.spec.name, model.plan, model.removable
    if not can_be_added(model.spec):
        return
    if model.task is not None and model.task.ending is None:
        if not model.task.is_cancelling:
            yield _button("cancel", "models.cancel", name, language)
        return
    if model.state == "available":
        yield _button("verify", "models.verify", name, language)
        if model.conversion is not None:
            amount = {key: size(getattr(model.conversion, key)) for key in ("needed", "saved")}
            confirm = text("models.convert.confirm", language, **amount)
            yield _button("convert", "models.convert", name, language, confirm)
    elif plan is not None and (plan.sources or plan.linked):
        label = "models.resume" if plan.begun else "models.download"
        act, confirm = "download", text("models.download.confirm", language, size=_left(plan))
        if plan.to_accept:
            licences = ", ".join(
                dict.fromkeys(licence_name(part.licence, language) for part in plan.to_accept)
            )
            act = "accept"
            confirm = text("models.accept.confirm", language, licences=licences, size=_left(plan))
        yield _button(act, label, name, language, confirm)
    if gone is not None and gone.origin == "added":
        yield _button("remove", "models.forget", name, language, text("models.forget.confirm", language))
    elif gone is not None:
        ours = gone.own_size if plan is None else plan.begun - plan.linked
        confirm = text("models.remove.confirm", language, size=size(ours))
        yield _button("remove", "models.remove", name, language, confirm)


def _left(plan: DownloadPlan) -> str:
    return size(max(plan.size - plan.begun, 0))


def _button(act: str, label: str, name: str, language: Language, confirm: str = "") -> str:
    """`confirm`: what the button asks when it is pressed first; see `widgets.acting_html`."""
    asks = f' data-confirm="{escape(confirm)}"' if confirm else ""
    words = escape(text(label, language))
    return (
        f'<button type="button" class="i2v-act" data-act="{act}" data-id="{escape(name)}"{asks}>'
        f"{words}</button>"
    )


def _task(model: Model, task: Task, language: Language) -> str:
    if task.ending is not None:
        line = translate(task.ending.to_dict(), language)
        return panels.plain(line, "i2v-error" if task.has_failed else "")
    title, progress = model_title(model.spec.title, language), task.progress
    if task.is_cancelling:
        return _bar(text("models.phase.cancelling", language, title=title), "", 0.0)
    if progress is None:
        return _bar(text("models.phase.beginning", language, title=title), "", 0.0)
    words = [text(f"models.phase.{progress.phase}", language, title=title, source=progress.source or "")]
    done = 0.0
    if progress.total:
        done = min(progress.done / progress.total, 1.0)
        amount = {"done": size(progress.done), "total": size(progress.total)}
        words.append(text("models.done", language, **amount))
    if progress.speed:
        words.append(f"{progress.speed / 1e6:.2f} MB/s")
    if progress.eta is not None and progress.phase == "fetching":
        words.append(text("models.left", language, time=duration(progress.eta, language)))
    return _bar(" · ".join(words), _file(progress, language), done)


def _file(progress: TransferProgress, language: Language) -> str:
    if progress.file is None:
        return ""
    amount = {"done": size(progress.file_bytes), "total": size(progress.file_size)}
    line = text("models.file", language, file=progress.file, **amount)
    return f"{line} · {text('models.from', language, source=progress.source)}" if progress.source else line


def _bar(line: str, below: str, done: float) -> str:
    """Return a line of text over a bar, which is full at 1; no live region, since it changes all the time."""
    line, percent = escape(line), round(100 * done)
    return (
        f'<div class="i2v-task"><p>{line}</p><div class="i2v-bar" role="progressbar" aria-label="{line}"'
        f' aria-valuenow="{percent}"><div style="width: {percent}%"></div></div>'
        f'<p class="i2v-subdued">{escape(below)}</p></div>'
    )
