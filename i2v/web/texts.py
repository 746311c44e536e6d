"""What the page says, in English and Simplified Chinese, and errors and notices by their code.

One table; a test holds it complete. This module knows no widget.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from i2v.core import messages_zh
from i2v.core.errors import Param, render
from i2v.core.messages import HINTS
from i2v.core.schema import Language

LANGUAGES: dict[Language, str] = {"en": "English", "zh-CN": "简体中文"}

# Each text: English, Chinese.
TEXTS: dict[str, tuple[str, str]] = {
    "page.title": ("A photo and a sentence become a video", "一张照片加一句话，生成一段视频"),
    "page.language": ("Language", "语言"),
    "page.api": ("API", "接口文档"),
    "page.visit": ("Log out", "退出登录"),
    "demo.about": (
        "This machine runs the embedded demo model: small clips of camera motions, nothing else moves."
        " With an NVIDIA card and the published weights (4.98 GB), I2VGen-XL runs instead.",
        "本机使用内置演示模型：只会镜头运动，画面较小，画中物体不会自己动。有 NVIDIA 显卡和公开权重"
        "（4.98 GB）时，会改用 I2VGen-XL。",
    ),
    "tab.generate": ("Generate", "生成"),
    "tab.queue": ("Queue", "队列"),
    "tab.gallery": ("Gallery", "作品"),
    "tab.batch": ("Batch", "批量"),
    "tab.system": ("System", "系统"),
    # where a token is asked for
    "login.title": ("i2v: log in", "i2v：登录"),
    "login.about": (
        "This service asks for its access token. It was printed where the service was first started, and"
        " stands in the file token of its data folder, unless security.token sets another.",
        "此服务需要访问令牌。令牌在服务首次启动时显示在终端里，也保存在数据文件夹的 token 文件中；"
        "若设置了 security.token，则以该设置为准。",
    ),
    "login.token": ("Access token", "访问令牌"),
    "login.enter": ("Log in", "登录"),
    "login.here": ("This browser is logged in.", "此浏览器已登录。"),
    "login.onward": ("Go on", "继续"),
    "login.leave": ("Log out", "退出登录"),
    # what goes in
    "picture.label": ("Picture", "图片"),
    "picture.placeholder": ("Drop, paste or click", "拖入、粘贴或点击"),
    "prompt.label": ("What should happen?", "画面里要发生什么？"),
    "prompt.placeholder": ("the camera pans left", "镜头向左平移"),
    "preset.label": ("Quality", "质量"),
    "preset.quick": ("Quick", "快速预览"),
    "preset.standard": ("Standard", "标准"),
    "preset.high": ("High", "高质量"),
    "preset.extreme": ("Extreme", "极致"),
    "generate": ("Generate video", "生成视频"),
    "advanced": ("Advanced", "高级设置"),
    "resolution.label": ("Resolution", "分辨率"),
    "resolution.preset": ("as the preset", "按预设"),
    "fit.label": ("If the shape does not fit", "比例不符时"),
    "fit.keep": ("Keep its shape", "保持图片比例"),
    "fit.crop": ("Crop to a square", "裁成方形"),
    "fit.pad": ("Pad to a square", "填充成方形"),
    "num_frames.label": ("Frames", "帧数"),
    "fps.label": ("Frames a second", "每秒帧数"),
    "num_inference_steps.label": ("Steps", "步数"),
    "speed.label": ("Speed", "速度"),
    "speed.auto": (
        "Fast where it was measured on this model, else exact",
        "已在此模型上验证则快速，否则精确",
    ),
    "speed.exact": (
        "Exact: every step, the frames of stock diffusers",
        "精确：逐步计算，与原版 diffusers 一致",
    ),
    "speed.fast": ("Fast: far fewer steps, nearly the same clip", "快速：步数少得多，结果几乎相同"),
    "guidance_scale.label": ("Guidance", "引导强度"),
    "negative_prompt.label": ("What should not be there", "反向提示词"),
    "negative_prompt.placeholder": ("as the model has it", "按模型默认"),
    "seed.label": ("Seed (empty: a new one each time)", "种子（留空则每次随机）"),
    "seed.dice": ("Draw one", "随机"),
    "seed.reuse": ("Of the last clip", "用上次的"),
    "engine.label": ("Model", "模型"),
    "engine.auto": ("automatic", "自动"),
    # what it will be
    "forecast.clip": (
        "{width} x {height} pixels, {num_frames} frames, {seconds} s long",
        "{width} x {height} 像素，{num_frames} 帧，时长 {seconds} 秒",
    ),
    "forecast.keep": ("the whole picture ({size})", "使用整张图片（{size}）"),
    "forecast.keep_cut": (
        "the picture ({size}) without {percent} % at its edges",
        "使用图片（{size}），边缘裁去 {percent}%",
    ),
    "forecast.crop": ("the middle of the picture ({size})", "裁取图片中间（{size}）"),
    "forecast.pad": ("the picture ({size}) with borders", "图片（{size}）加边框"),
    # the gallery
    "gallery.search": ("Search", "搜索"),
    "gallery.search.placeholder": ("words of a prompt", "提示词中的文字"),
    "gallery.drop": ("Drop an MP4 made by i2v to load its settings", "拖入 i2v 生成的 MP4，载入它的设置"),
    "gallery.loaded": (
        "The clip's settings are in the form. Put in a picture: the file does not hold it.",
        "视频的设置已填入表单。请放入图片：视频文件里没有原图。",
    ),
    "gallery.no_prompt": (
        "The clip was written without its prompts. Write what should happen.",
        "该视频没有保存提示词，请写出画面里要发生什么。",
    ),
    "gallery.empty": ("No clips yet. The first one will appear here.", "还没有作品，生成后会显示在这里。"),
    "gallery.none": ("No clip has this in its prompt.", "没有提示词包含这些文字的作品。"),
    "gallery.open": ("Open", "打开"),
    "gallery.delete": ("Delete", "删除"),
    "gallery.confirm": ("Delete for good?", "确定删除？"),
    "gallery.deleted": ("The clip and its picture are deleted.", "视频和图片已删除。"),
    "gallery.turns": ("Pages", "翻页"),
    "gallery.newer": ("Newer", "较新"),
    "gallery.older": ("Older", "较早"),
    "gallery.deleted.kept": (
        "The clip is deleted from the list. {path} was left alone: this job did not make that file.",
        "已从列表中删除。{path} 不是该任务生成的文件，未作改动。",
    ),
    # videos that cannot be played, and those that are deleted by themselves
    "video.missing": ("The video file is missing.", "视频文件已丢失。"),
    "video.broken": ("The video file is damaged.", "视频文件已损坏。"),
    "video.where.missing": (
        "The video file is missing: it is not at {path} any more. Put it back, or delete the job.",
        "视频文件已丢失：{path} 已不存在。请放回原处，或删除该任务。",
    ),
    "video.where.broken": (
        "The video file {path} is damaged and cannot be played. Put a copy back, or delete the job.",
        "视频文件 {path} 已损坏，无法播放。请用备份替换，或删除该任务。",
    ),
    "storage.days": (
        "Jobs are deleted {days} days after their end, with their videos and pictures.",
        "任务结束 {days} 天后会自动删除，视频和图片一并删除。",
    ),
    "storage.gigabytes": (
        "When videos and pictures take more than {gigabytes} GB, the oldest jobs are deleted.",
        "视频和图片超过 {gigabytes} GB 时，会自动删除最早的任务。",
    ),
    # a batch
    "batch.pictures": ("Pictures", "图片"),
    "batch.about": (
        "One video for each picture. Everything but the prompt is as on the first tab; while the seed is"
        " empty there, each picture gets its own.",
        "每张图片生成一段视频。除提示词外，其余设置与第一个标签页相同；种子留空时，每张图片各用一个。",
    ),
    "batch.go": ("Generate all", "全部生成"),
    "batch.sending": (
        "Sending picture {number} of {total}. Keep this page open until all are sent.",
        "正在发送第 {number} 张，共 {total} 张。全部发送前请勿关闭页面。",
    ),
    "batch.done": ("{done} of {total} done", "已完成 {done} 个，共 {total} 个"),
    "batch.lost": ("{count} without a video", "{count} 个没有视频"),
    "batch.waiting": ("not sent yet", "尚未发送"),
    "batch.not_submitted": ("not submitted", "未提交"),
    "batch.left": ("Not submitted: {names}", "未提交：{names}"),
    "batch.deleted": ("deleted", "已删除"),
    "batch.queue": ("To the queue", "查看队列"),
    # while it runs
    "sending": ("Reading the picture…", "正在读取图片…"),
    "idle": ("The video will appear here.", "视频将显示在这里。"),
    "status.queued": ("Waiting, {count} before it", "排队中，前面有 {count} 个"),
    "status.next": ("Next in the queue", "排队中，即将开始"),
    "status.loading": ("Loading the model", "正在加载模型"),
    "status.conditioning": ("Reading the prompt and the picture", "正在理解提示词和图片"),
    "status.denoising": ("Denoising", "正在去噪"),
    "status.decoding": ("Decoding frames", "正在解码画面"),
    "status.encoding": ("Writing the video", "正在写入视频"),
    "status.cancelling": ("Cancelling…", "正在取消…"),
    "status.step": ("step {step} of {total}", "第 {step} 步，共 {total} 步"),
    "status.frame": ("frame {step} of {total}", "第 {step} 帧，共 {total} 帧"),
    "status.left": ("about {seconds} s left", "约剩 {seconds} 秒"),
    "status.cancelled": ("Cancelled.", "已取消。"),
    "status.failed": ("It did not work.", "生成失败。"),
    "status.succeeded": ("Done.", "完成。"),
    "preview.alt": ("Preview of the clip, still noisy", "视频预览（仍有噪点）"),
    "cancel": ("Cancel", "取消"),
    # the queue
    "queue.now": ("Running and waiting", "正在运行和排队"),
    "queue.counts": ("{running} running, {waiting} waiting", "{running} 个正在运行，{waiting} 个排队中"),
    "queue.nothing": (
        "Nothing is running or waiting. What you generate stands here until it is finished.",
        "目前没有正在运行或排队的任务。您提交的任务会显示在这里，直到结束。",
    ),
    "queue.starts": ("starts in about {time}", "约 {time}后开始"),
    "queue.more": ("and {count} more", "还有 {count} 个"),
    "job.unreadable": ("A job whose details cannot be read", "详细信息无法读取的任务"),
    "queue.finished": ("Finished", "已结束"),
    "queue.none": ("Nothing has finished yet.", "还没有结束的任务。"),
    "queue.succeeded": ("Done", "完成"),
    "queue.failed": ("Failed", "失败"),
    "queue.cancelled": ("Cancelled", "已取消"),
    "queue.ago": ("{time} ago", "{time}前"),
    "queue.took": ("took {time}", "用时 {time}"),
    "queue.open": ("Open", "打开"),
    "queue.cancel": ("Cancel", "取消"),
    "queue.retry": ("Retry", "重试"),
    "queue.delete": ("Delete", "删除"),
    "queue.delete.confirm": ("Delete for good?", "确定删除？"),
    "queue.deleted": ("The job is deleted, with all its files.", "任务及其文件已删除。"),
    "queue.clear": ("Delete all that failed or were cancelled", "删除所有失败和已取消的任务"),
    "queue.clear.confirm": ("Delete {count} jobs for good?", "确定删除 {count} 个任务？"),
    "queue.cleared": ("{count} jobs are deleted.", "已删除 {count} 个任务。"),
    "queue.turns": ("Pages of finished jobs", "已结束任务的翻页"),
    "queue.newer": ("Newer", "较新"),
    "queue.older": ("Older", "较早"),
    "time.seconds": ("{count} s", "{count} 秒"),
    "time.minutes": ("{count} min", "{count} 分钟"),
    "time.hours": ("{count} h", "{count} 小时"),
    "time.days": ("{count} d", "{count} 天"),
    # models
    "models.title": ("Models", "模型"),
    "models.get": ("Get {title} ({size})", "获取 {title}（{size}）"),
    "models.state.available": ("Available", "可用"),
    "models.state.incomplete": ("Incomplete", "不完整"),
    "models.state.absent": ("Not there", "不存在"),
    "models.state.downloading": ("Being fetched", "正在下载"),
    "models.state.verifying": ("Being checked", "正在校验"),
    "models.where": ("Folder", "文件夹"),
    "models.where.embedded": ("{path}, a part of i2v", "{path}（i2v 自带）"),
    "models.where.downloaded": ("{path}, fetched by i2v", "{path}（由 i2v 下载）"),
    "models.where.added": ("{path}, added; nothing is changed there", "{path}（手动添加，不会改动）"),
    "models.where.found": ("{path}, found; nothing is changed there", "{path}（自动找到，不会改动）"),
    "models.missing": ("Missing", "缺少"),
    "models.size": ("Size", "大小"),
    "models.size.begun": ("{size}, of which {begun} are there", "{size}，其中 {begun} 已下载"),
    "models.licence": ("Licence", "许可"),
    "models.origin": ("Origin", "来源"),
    "models.checked": ("Checked", "校验"),
    "models.checked.not": (
        "not since it is there: press Verify to compare every file with what its hub tells",
        "尚未校验：按“校验”可把每个文件与发布站给出的信息比对",
    ),
    "models.sources": ("Fetched from", "下载自"),
    "models.sources.order": (
        "{sources}; the next one goes on where one fails",
        "{sources}；前一个失败时由下一个接着下载",
    ),
    "models.sources.offline": (
        "nothing is fetched: models.offline is set",
        "已设置 models.offline，不会下载",
    ),
    "models.target": ("Goes to", "下载到"),
    "models.target.free": ("{path}, where {free} are free", "{path}，剩余空间 {free}"),
    "models.target.full": (
        "{path}, where only {free} are free: free some, or set models.directory to another disk",
        "{path}，剩余空间只有 {free}：请腾出空间，或把 models.directory 设到别的磁盘",
    ),
    "models.download": ("Download", "下载"),
    "models.download.confirm": ("Fetch {size} now?", "现在下载 {size}？"),
    "models.accept.confirm": (
        "Accept the licence {licences} and fetch {size} now?",
        "接受许可 {licences} 并下载 {size}？",
    ),
    "models.part.copy": ("is in {path} already and is used there", "已在 {path}，直接使用"),
    "models.resume": ("Go on with the download", "继续下载"),
    "models.cancel": ("Cancel", "取消"),
    "models.verify": ("Verify", "校验"),
    "models.remove": ("Delete", "删除"),
    "models.remove.confirm": ("Delete {size} for good?", "确定删除 {size}？"),
    "models.forget": ("Forget this folder", "不再使用此文件夹"),
    "models.forget.confirm": ("Forget it? The folder stays as it is.", "不再使用？文件夹本身不会改动。"),
    "models.add": ("Add", "添加"),
    "models.add.label": (
        "Use a folder on the machine that i2v runs on (nothing is copied)",
        "使用运行 i2v 的机器上已有的文件夹（不会复制）",
    ),
    "models.add.which": ("Model", "模型"),
    "models.added": ("{path} is used from now on.", "从现在起使用 {path}。"),
    "models.removed": ("{path} is not used any more.", "不再使用 {path}。"),
    "models.phase.waiting": (
        "{title}: another process is fetching it; waiting for it",
        "{title}：另一个进程正在下载，等待其完成",
    ),
    "models.phase.asking": ("{title}: asking {source}", "{title}：正在询问 {source}"),
    "models.phase.fetching": ("Fetching {title}", "正在下载 {title}"),
    "models.phase.checking": ("Checking {title}", "正在校验 {title}"),
    "models.phase.pausing": (
        "{title}: no source answers; trying again soon",
        "{title}：所有来源都没有响应，稍后重试",
    ),
    "models.phase.beginning": ("{title}: beginning", "{title}：即将开始"),
    "models.phase.cancelling": ("{title}: stopping", "{title}：正在停止"),
    "models.done": ("{done} of {total}", "{done}，共 {total}"),
    "models.left": ("about {time} left", "约剩 {time}"),
    "models.file": ("{file}: {done} of {total}", "{file}：{done}，共 {total}"),
    "models.from": ("from {source}", "来自 {source}"),
    # the system
    "system.device": ("Runs on", "运行于"),
    "system.device.value": ("{name}, {gib} GiB of memory", "{name}，内存 {gib} GiB"),
    "system.device.unknown": (
        "Not known yet: the process of the model is starting.",
        "尚不清楚：模型进程正在启动。",
    ),
    "system.engine": ("Model by default", "默认模型"),
    "system.engine.named": ("{name}, as engine.name says", "{name}（由 engine.name 指定）"),
    "system.platform": ("Operating system", "操作系统"),
    "system.docs": ("For programs", "供程序调用"),
    "system.docs.link": ("Documentation of the API", "接口文档"),
    "system.folders": ("Folders", "文件夹"),
    "system.folder.outputs": ("Videos", "视频"),
    "system.folder.data": ("Jobs and their pictures", "任务及其图片"),
    "system.folder.models": ("Downloaded models", "下载的模型"),
    "system.folder.value": ("{path}: {free} of {total} GiB free", "{path}：剩余 {free} GiB，共 {total} GiB"),
    "system.kept": ("Automatic deletion", "自动删除"),
    "system.versions": ("Versions", "版本"),
    "system.version.none": ("not installed", "未安装"),
    "system.check": ("Check this machine", "检查本机"),
    "system.checking": (
        "Looking at memory, graphics card, disks, programs…",
        "正在检查内存、显卡、磁盘和程序…",
    ),
    "system.found": (
        "{problems} to mend, {warnings} to know",
        "{problems} 项需要处理，{warnings} 项需要留意",
    ),
    "system.sound": ("All is well.", "一切正常。"),
    "system.fix": ("What to do: {fix}", "解决办法：{fix}"),
    "system.status.ok": ("Fine", "正常"),
    "system.status.info": ("Note", "说明"),
    "system.status.warning": ("Warning", "警告"),
    "system.status.problem": ("Problem", "问题"),
    "system.case.out_of_memory": ("Memory", "内存"),
    "system.case.no_response": ("Model files", "模型文件"),
    "system.case.stiff_motion": ("Stiff motion", "动作僵硬"),
    "system.case.black_output": ("Video files", "视频文件"),
    "system.case.slow": ("Speed", "速度"),
    "system.case.several_runs": ("Other programs", "其他程序"),
    "system.case.set_up": ("Set-up", "安装"),
    "system.log": ("End of the log", "日志末尾"),
    "system.log.none": ("This server writes no log file.", "此服务没有写日志文件。"),
    "system.log.empty": ("Nothing is in it yet.", "日志还是空的。"),
    # what comes out
    "download": ("Download", "下载"),
    "same_seed": ("Same seed again", "同一种子再来"),
    "variation": ("Variation", "换一个变化"),
    "carry_on": ("Go on from the last frame", "从最后一帧继续"),
    "last_frame": ("Save the last frame", "保存最后一帧"),
    "result.path": ("Saved as", "保存位置"),
    "result.prompt": ("Prompt", "提示词"),
    "result.negative_prompt": ("Negative prompt", "反向提示词"),
    "result.size": ("Size", "尺寸"),
    "result.length": ("Length", "长度"),
    "result.length.value": ("{frames} frames at {fps} fps", "{frames} 帧，每秒 {fps} 帧"),
    "result.steps": ("Steps", "步数"),
    "result.steps.fast": (
        "{steps}, run fast: {evaluations} evaluations of the network",
        "{steps}，快速模式：网络实际计算 {evaluations} 次",
    ),
    "result.guidance": ("Guidance", "引导强度"),
    "result.seed": ("Seed", "种子"),
    "result.engine": ("Model", "模型"),
    "result.seconds": ("Time taken", "用时"),
    "result.seconds.value": ("{seconds} s", "{seconds} 秒"),
    "result.memory": ("Memory taken", "占用内存"),
    "result.memory.value": ("{used} GiB at the most", "最多 {used} GiB"),
    "result.memory.beside": (
        "{used} GiB at the most (the estimate: {estimated})",
        "最多 {used} GiB（预计 {estimated}）",
    ),
}


def text(key: str, language: Language, **params: object) -> str:
    """Return a text of the page; a missing key or param is a bug (`KeyError`)."""
    english, chinese = TEXTS[key]
    return (chinese if language == "zh-CN" else english).format(**params)


def translate(told: Mapping[str, object], language: Language) -> str:
    """Return the sentence of an error or notice, `{code, params, message}`, with what to do about it.

    The error of a job may have a notice that comes `then` (`attempt.with_notice`). An older version may
    have stored one with another code or other params: then as it was said in English.
    """
    sentence, then = _translated(told, language), told.get("then")
    if not isinstance(then, Mapping):
        return sentence
    return f"{sentence}{'' if language == 'zh-CN' else ' '}{_translated(then, language)}"


def _translated(told: Mapping[str, object], language: Language) -> str:
    code = str(told["code"])
    sentences, hints = (messages_zh.CHINESE, messages_zh.HINTS) if language == "zh-CN" else (None, HINTS)
    try:
        params = cast("dict[str, Param]", told["params"])
        sentence = render(code, params) if sentences is None else sentences[code].format_map(params)
    except KeyError:
        return str(told["message"])
    gap = "" if language == "zh-CN" else " "
    return f"{sentence}{gap}{hints[code]}" if code in hints else sentence


def preferred_language(accept_language: str) -> Language:
    """Return the first language of an Accept-Language header that the page speaks, else English."""
    ranked = []
    for part in accept_language.split(","):
        name, _, weight = part.partition(";")
        match = re.fullmatch(r"\s*q=([01](?:\.\d*)?)\s*", weight)
        ranked.append((-(float(match[1]) if match else 1.0), name.strip().lower()))
    for weight_below, name in sorted(ranked, key=lambda pair: pair[0]):
        if weight_below < 0 and re.match(r"(zh|en)\b", name):
            return "zh-CN" if name.startswith("zh") else "en"
    return "en"
