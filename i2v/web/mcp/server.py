"""The Model Context Protocol at /mcp, by its official SDK: streamable HTTP, without sessions.

Owns how a tool becomes one of the protocol's, and how an error is told. A call is one POST request, whose
answer is a stream where there is progress to report, so that nothing is kept between calls; whoever asks has
been let in by then (`guard`). Deliberately does not know what the tools do.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import mcp.types as types
from fastapi import FastAPI
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.routing import Route

from i2v.core.errors import I2VError
from i2v.web.mcp.calls import Call
from i2v.web.mcp.tools import TOOLS, Tool
from i2v.web.problems import Refusal, problem_of

PATH = "/mcp"
INSTRUCTIONS = """\
i2v turns a picture and a sentence into a short video. Call generate with a picture; wait with status; then \
fetch its video. Pictures that are files are sent by themselves: call upload, and PUT the file to its URL."""

Context = ServerRequestContext[dict[str, object], Request]


def add_mcp(app: FastAPI, max_bytes: int) -> None:
    """Answer at /mcp of `app`; `max_bytes`: that a request may have, as for all others."""
    manager = StreamableHTTPSessionManager(make_server(), stateless=True, max_request_body_size=max_bytes)
    app.router.routes.append(
        Route(PATH, StreamableHTTPASGIApp(manager), methods=["POST"], include_in_schema=False)
    )
    before = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(given: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with before(given) as state, manager.run():
            yield state or {}

    app.router.lifespan_context = lifespan


def make_server() -> Server[dict[str, object]]:
    async def list_tools(
        context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_in_their_form(tool) for tool in TOOLS])

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        return await _call(context, params)

    return Server(
        "i2v",
        version=version("i2v"),
        title="i2v",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _call(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    """Run a tool; what it refuses is its answer, so that an agent can put it right."""
    tool = next((each for each in TOOLS if each.name == params.name), None)
    if tool is None:
        known = ", ".join(each.name for each in TOOLS)
        raise MCPError(types.INVALID_PARAMS, f"There is no tool {params.name!r}. Known tools: {known}.")
    assert context.request is not None  # this is HTTP

    async def report(progress: float, doing: str) -> None:
        await context.session.report_progress(progress, 1.0, doing)

    try:
        answer = await tool.run(Call(context.request, dict(params.arguments or {}), report))
    except (I2VError, Refusal) as error:
        problem = error.problem if isinstance(error, Refusal) else problem_of(error)
        words = problem.detail if problem.hint is None else f"{problem.detail} {problem.hint}"
        return types.CallToolResult(
            content=[types.TextContent(text=f"{words} ({problem.code})")], is_error=True
        )
    found = answer.model_dump(mode="json")
    return types.CallToolResult(
        content=[types.TextContent(text=json.dumps(found, ensure_ascii=False))], structured_content=found
    )


def _in_their_form(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.arguments,
        output_schema=tool.answer.model_json_schema(),
        annotations=types.ToolAnnotations(
            read_only_hint=not tool.changes, destructive_hint=False, open_world_hint=False
        ),
    )
