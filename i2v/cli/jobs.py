"""`i2v jobs`: the jobs of a server that runs, listed, changed and deleted; its queue, paused.

By its REST API, and not by its data folder: files and database belong to the process that serves them, and
the same commands work for a server on another machine.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlencode

from i2v.cli.parsers import Commands, Parser

if TYPE_CHECKING:
    from i2v.cli.remote import Server

Answer = dict[str, object]
Act = Callable[["Server", argparse.Namespace], list[Answer]]

STATUSES = ("queued", "running", "succeeded", "failed", "cancelled", "finished")


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("jobs", help="list and change the jobs of a running server")
    actions = parser.add_subparsers(required=True, metavar="ACTION", parser_class=Parser)
    listing = actions.add_parser("list", help="list jobs, newest first")
    listing.set_defaults(act=_list)
    listing.add_argument("--status", choices=STATUSES, help="only those")
    listing.add_argument("--search", metavar="WORDS", default="", help="only those with this in the prompt")
    listing.add_argument("--owner", metavar="NAME", default="", help="only those of this user")
    listing.add_argument("--starred", action="store_true", help="only those with a star")
    listing.add_argument("--tag", default="", help="only those with this tag")
    listing.add_argument("--deleted", action="store_true", help="only those in the trash")
    listing.add_argument("--limit", type=int, metavar="N", default=50, help="how many (default: 50)")
    for name, act, words in (
        ("show", _show, "tell all about a job"),
        ("cancel", _cancel, "cancel jobs that wait or run"),
        ("retry", _retry, "put failed or cancelled jobs into the queue again"),
        ("star", _star, "give jobs a star: no limit ever deletes them"),
        ("tag", _tag, "give jobs tags, or take them away"),
        ("delete", _delete, "put finished jobs into the trash, with their videos"),
        ("restore", _restore, "take jobs out of the trash"),
    ):
        action = actions.add_parser(name, help=words)
        action.set_defaults(act=act)
        action.add_argument("ids", metavar="ID", nargs="+")
        if name == "star":
            action.add_argument("--remove", action="store_true", help="take the star away")
        if name == "tag":
            action.add_argument("--add", metavar="TAG", action="append", default=[], help="one to give")
            action.add_argument("--remove", metavar="TAG", action="append", default=[], help="one to take")
        if name == "delete":
            action.add_argument("--purge", action="store_true", help="for good, in the trash or not")
    for name, act, words in (
        ("pause", _pause, "begin no further job; the one that runs is finished"),
        ("resume", _resume, "let the queue go on"),
    ):
        actions.add_parser(name, help=words).set_defaults(act=act)
    for action in actions.choices.values():
        action.add_argument(
            "--server", metavar="URL", help="which server (default: the one that runs with this data folder)"
        )
        action.add_argument("--json", action="store_true", help="print each answer as one line of JSON")
        action.add_argument(
            "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
        )
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.cli.remote import Server
    from i2v.core.settings_sources import load_settings

    server = Server.find(load_settings(arguments.config, os.environ), arguments.server)
    act: Act = arguments.act
    for answer in act(server, arguments):
        if arguments.json:
            print(json.dumps(answer))
        else:
            print(_details(answer) if act is _show else _line(answer))
    return 0


def _list(server: Server, arguments: argparse.Namespace) -> list[Answer]:
    query = {"limit": str(arguments.limit), "search": arguments.search, "tag": arguments.tag}
    query |= {name: "true" for name in ("starred", "deleted") if getattr(arguments, name)}
    query |= {"owner": arguments.owner} if arguments.owner else {}
    query |= {} if arguments.status is None else {"status": arguments.status}
    return cast("list[Answer]", server.ask("GET", f"/jobs?{urlencode(query)}")["jobs"])


def _each(
    server: Server, arguments: argparse.Namespace, method: str, path: str = "", body: Answer | None = None
) -> list[Answer]:
    """Ask the same of each job; the first one that is refused ends it."""
    return [server.ask(method, f"/jobs/{quote(job, safe='')}{path}", body) for job in arguments.ids]


def _show(server: Server, arguments: argparse.Namespace) -> list[Answer]:
    return _each(server, arguments, "GET")


def _cancel(server: Server, arguments: argparse.Namespace) -> list[Answer]:
    return _each(server, arguments, "DELETE")


def _retry(server: Server, arguments: argparse.Namespace) -> list[Answer]:
    return _each(server, arguments, "POST", "/retry")


def _star(server: Server, arguments: argparse.Namespace) -> list[Answer]:
    return _each(server, arguments, "PATCH", body={"starred": not arguments.remove})


def _tag(server: Server, arguments: argparse.Namespace) -> list[Answer]:
    body: Answer = {"add_tags": arguments.add, "remove_tags": arguments.remove}
    return _each(server, arguments, "PATCH", body=body)


def _delete(server: Server, arguments: argparse.Namespace) -> list[Answer]:
    return _each(server, arguments, "DELETE", "?purge=true" if arguments.purge else "?trash=true")


def _restore(server: Server, arguments: argparse.Namespace) -> list[Answer]:
    return _each(server, arguments, "POST", "/restore")


def _pause(server: Server, arguments: argparse.Namespace) -> list[Answer]:
    return [server.ask("PATCH", "/queue", {"paused": True})]


def _resume(server: Server, arguments: argparse.Namespace) -> list[Answer]:
    return [server.ask("PATCH", "/queue", {"paused": False})]


def _line(answer: Answer) -> str:
    """Return an answer in one line: a job, what was deleted, or the queue."""
    if "paused" in answer:
        state = "paused" if answer["paused"] else "not paused"
        return f"The queue is {state}: {answer['running']} running, {answer['queued']} waiting."
    if "deleted" in answer:
        until = answer["kept_until"]
        return f"{answer['id']}  {'deleted' if until is None else f'in the trash until {until}'}"
    request = cast("Answer", answer["request"])
    done = f"{round(100 * cast('float', answer['progress'])):3} %"
    star = "*" if answer["starred"] else " "
    owner = f"{answer['owner']}  " if answer.get("owner") else ""
    tags = "".join(f"  [{tag}]" for tag in cast("list[str]", answer.get("tags", [])))
    return f"{answer['id']} {star} {answer['status']:9}  {done}  {owner}{request.get('prompt', '')}{tags}"


def _details(answer: Answer) -> str:
    return json.dumps(answer, indent=2, ensure_ascii=False)
