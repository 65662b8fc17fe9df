"""Lists the tools of the newsroom and calls one: `python -m examples.mcp_in_flask.client [url]`."""

from __future__ import annotations

import asyncio
import sys

from mcp import Client

URL = "http://127.0.0.1:8000/ai/mcp"


async def main(url: str) -> None:
    async with Client(url) as client:
        for tool in (await client.list_tools()).tools:
            print(f"{tool.name}: {tool.description}")
        result = await client.call_tool("word_count", {"text": "one two three"})
        print(result.structured_content)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else URL))
