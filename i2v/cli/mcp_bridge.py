"""The bridge of `i2v mcp`: a server of the protocol on standard input and output that asks one on HTTP.

The tools are those of the server that is asked; what it says is passed on as it is, progress included.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import anyio
import httpx2
import mcp.types as types
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server as ProtocolServer
from mcp.server.stdio import stdio_server

from i2v.cli.remote import Server
from i2v.core.errors import I2VError
from i2v.core.fields import shown

CONNECT_SECONDS = 30.0
READ_SECONDS = (
    120.0  # between two pieces of an answer; while a call waits, the server sends something each 15
)

Context = ServerRequestContext[dict[str, Any], Any]


def bridge(server: Server) -> None:
    """Serve until standard input ends.

    Raises:
        InvalidRequest: `cli.refused`: the token is wrong.
        I2VError: `cli.no_answer`, `cli.no_mcp`: the server has no such tools.
    """
    server.ask("GET", "/engines")  # whatever is wrong with address or token is said before an agent asks
    anyio.run(_bridge, server)


async def _bridge(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.token}"} if server.token else {}
    timeout = httpx2.Timeout(CONNECT_SECONDS, read=READ_SECONDS)
    async with httpx2.AsyncClient(
        headers=headers, timeout=timeout, trust_env=not server.is_local, follow_redirects=False
    ) as http:
        await _check(http, f"{server.url}/mcp")
        async with (
            Client(streamable_http_client(f"{server.url}/mcp", http_client=http)) as client,
            stdio_server() as (incoming, outgoing),
        ):
            relay = _relay(client)
            await relay.run(incoming, outgoing, relay.create_initialization_options())


async def _check(http: httpx2.AsyncClient, url: str) -> None:
    """Raise `I2VError` (`cli.no_mcp`) where there is no such server; others answer GET with 405."""
    if (await http.get(url)).status_code == 404:
        raise I2VError("cli.no_mcp", url=shown(url, limit=300))


def _relay(client: Client) -> ProtocolServer[dict[str, Any]]:
    async def list_tools(
        context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return await client.list_tools()

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            return await client.call_tool(
                params.name, params.arguments, progress_callback=context.session.report_progress
            )
        except (httpx2.HTTPError, OSError) as error:
            raise MCPError(types.INTERNAL_ERROR, f"The i2v server does not answer: {error}") from error

    return ProtocolServer(
        "i2v",
        version=version("i2v"),
        title="i2v",
        instructions=client.instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
