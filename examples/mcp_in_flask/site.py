"""An MCP server inside a Flask site: its tools and the views of the site share one process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from flask import Flask, abort
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings

from bridge.integrations.flask import mount

HOSTS = os.environ.get("MCP_HOSTS", "127.0.0.1:*,localhost:*").split(",")
STATELESS = os.environ.get("MCP_STATELESS") == "1"

app = Flask(__name__)
mcp = MCPServer("newsroom")
waiting: dict[str, Callable[[], object]] = {}


@mcp.tool()
def word_count(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


@mcp.tool()
async def publish(title: str, context: Context) -> str:
    """Publish an article as soon as an editor has approved it."""
    loop, approved = asyncio.get_running_loop(), asyncio.Event()
    waiting[title] = lambda: loop.call_soon_threadsafe(approved.set)
    try:
        await context.report_progress(1, 2, "waiting for an editor")
        await approved.wait()
    finally:
        waiting.pop(title, None)
    return f"{title} is published"


@app.post("/articles/<title>/approval")
def approve(title: str) -> str:
    """Approve an article; a view of Flask, in a thread of the server."""
    approval = waiting.get(title)
    if approval is None:
        abort(404)
    approval()
    return "approved"


@app.get("/")
def home() -> str:
    return "the newsroom"


security = TransportSecuritySettings(allowed_hosts=HOSTS)  # another Host is answered 421
mount(app, "/ai", mcp.streamable_http_app(stateless_http=STATELESS, transport_security=security))
