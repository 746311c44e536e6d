"""What the launcher says, in English and Simplified Chinese, and which of them a person reads.

A test holds the table complete. Errors and findings have their sentences elsewhere (`i2v.web.texts`).
"""

from __future__ import annotations

from collections.abc import Mapping

from i2v.core.schema import Language

# Each text: English, Chinese.
TEXTS: dict[str, tuple[str, str]] = {
    "folders": ("Folders ready: {folders}", "目录创建完成：{folders}"),
    "starting": ("📡 Starting ...", "📡 应用启动中..."),
    "ready": ("Ready after {seconds} s (process {pid})", "应用已就绪，用时 {seconds} 秒（进程 {pid}）"),
    "here": ("📍 On this machine: {url}", "📍 本地地址: {url}"),
    "network": ("📍 On the network:  {url}", "📍 访问地址: {url}"),
    "silent": ("{url} does not answer", "{url} 没有应答"),
    "log": ("📄 Log: {path}", "📄 日志文件: {path}"),
    "onward": (
        "   {command} --status, --logs, --restart or --stop",
        "   {command} --status 查看状态，--logs 看日志，--restart 重启，--stop 停止",
    ),
    # no start
    "runs": ("It runs already (process {pid})", "应用已在运行（进程 {pid}）"),
    "runs_elsewhere": (
        "To run it with these options instead: {command} --restart {flags}",
        "如需改用这些选项：{command} --restart {flags}",
    ),
    "holder": ("Process {pid} is: {command}", "进程 {pid} 的命令：{command}"),
    "other_port": (
        "Or on another port: {command} (clients that have {port} written in do not find it there)",
        "或换一个端口：{command}（写死 {port} 端口的客户端将连接不上）",
    ),
    "died": (
        "The server ended before it was ready (status {status})",
        "应用未能启动（退出状态 {status}）",
    ),
    "not_ready": (
        "The server was not ready after {seconds} s, and was stopped. The log: {path}",
        "应用在 {seconds} 秒内没有就绪，已停止。日志：{path}",
    ),
    # status, stop and logs
    "running": ("It runs: process {pid}, since {since}", "应用正在运行：进程 {pid}，启动于 {since}"),
    "begins": ("It is just starting: try again in a moment", "应用刚刚启动，请稍后再试"),
    "foreign": (
        "It runs where this cannot reach it (under another user, or in a container): stop it there",
        "应用由其他用户或在容器中运行，请在那里停止",
    ),
    "not_running": ("It does not run (its folder: {folder})", "应用没有运行（数据目录：{folder}）"),
    "jobs": ("Jobs: {running} running, {queued} waiting", "任务：{running} 个运行中，{queued} 个排队"),
    "worker_ready": ("The worker takes jobs", "工作进程已就绪"),
    "worker_not_ready": (
        "The worker does not take jobs (yet): see the log",
        "工作进程（还）不能接任务，请看日志",
    ),
    "stopping": (
        "Stopping process {pid}: a running job goes back to the queue",
        "正在停止进程 {pid}：未完成的任务会回到队列",
    ),
    "stopped": ("Stopped after {seconds} s", "已停止，用时 {seconds} 秒"),
    "not_stopped": (
        "It has not ended after {seconds} s. Jobs are safe if you end it yourself: kill -9 {pid}",
        "{seconds} 秒后仍未结束。可以强制结束，任务不会丢失：kill -9 {pid}",
    ),
    "no_log": ("There is no log in {folder} yet", "{folder} 中还没有日志"),
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
