"""What the launcher says, in English and Simplified Chinese, and which of them a person reads.

A test holds the table complete. Errors and findings have their sentences elsewhere (`i2v.web.texts`).
"""

from __future__ import annotations

from collections.abc import Mapping

from i2v.core.schema import Language

# Each text: English, Chinese.
TEXTS: dict[str, tuple[str, str]] = {
    "folders": ("Folders ready: {folders}", "文件夹已就绪：{folders}"),
    "starting": ("📡 Starting...", "📡 正在启动..."),
    "ready": ("Ready after {seconds} s (process {pid})", "启动完成，用时 {seconds} 秒（进程 {pid}）"),
    "here": ("📍 On this machine: {url}", "📍 本机地址：{url}"),
    "network": ("📍 On the network:  {url}", "📍 网络地址：{url}"),
    "silent": ("{url} does not respond", "{url} 没有响应"),
    "log": ("📄 Log: {path}", "📄 日志：{path}"),
    "onward": (
        "   {command} --status, --logs, --restart or --stop",
        "   {command} --status 查看状态，--logs 查看日志，--restart 重启，--stop 停止",
    ),
    # no start
    "runs": ("i2v is already running (process {pid})", "i2v 已在运行（进程 {pid}）"),
    "runs_elsewhere": (
        "To restart it with these options: {command} --restart {flags}",
        "要用这些选项重启：{command} --restart {flags}",
    ),
    "holder": ("Process {pid}: {command}", "进程 {pid}：{command}"),
    "other_port": (
        "Or use another port: {command} (clients set up for port {port} will not find it)",
        "或换一个端口：{command}（使用端口 {port} 的客户端将无法连接）",
    ),
    "died": ("The server exited during startup (status {status})", "服务启动失败（退出状态 {status}）"),
    "not_ready": (
        "The server was not ready after {seconds} s and was stopped. Log: {path}",
        "服务在 {seconds} 秒内没有就绪，已停止。日志：{path}",
    ),
    # status, stop and logs
    "running": ("i2v is running: process {pid}, since {since}", "i2v 正在运行：进程 {pid}，启动于 {since}"),
    "begins": ("i2v is starting: try again in a moment", "i2v 正在启动，请稍后再试"),
    "foreign": (
        "i2v is running as another user or in a container, out of reach from here: stop it there",
        "i2v 由其他用户运行，或运行在容器中，请到那里停止",
    ),
    "not_running": ("i2v is not running (data folder: {folder})", "i2v 没有运行（数据文件夹：{folder}）"),
    "jobs": ("Jobs: {running} running, {queued} waiting", "任务：{running} 个运行中，{queued} 个排队中"),
    "worker_ready": ("The worker is ready", "工作进程已就绪"),
    "worker_not_ready": ("The worker is not ready: see the log", "工作进程尚未就绪，请查看日志"),
    "stopping": (
        "Stopping process {pid}: a running job returns to the queue",
        "正在停止进程 {pid}：运行中的任务会回到队列",
    ),
    "stopped": ("Stopped after {seconds} s", "已停止，用时 {seconds} 秒"),
    "not_stopped": (
        "Still running after {seconds} s. It is safe to end it yourself (jobs are kept): kill -9 {pid}",
        "{seconds} 秒后仍未停止。可以强制结束，任务不会丢失：kill -9 {pid}",
    ),
    "no_log": ("No log in {folder} yet", "{folder} 中还没有日志"),
    "fix": ("  Fix: {fix}", "  解决办法：{fix}"),
}


def text(key: str, language: Language, **params: object) -> str:
    """Return a text of the launcher; a missing key or param is a bug (`KeyError`)."""
    english, chinese = TEXTS[key]
    return (chinese if language == "zh-CN" else english).format(**params)


def language_of(environ: Mapping[str, str]) -> Language:
    """Return the language of messages, as the C library chooses it."""
    chosen = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    return "zh-CN" if chosen.startswith("zh") else "en"
