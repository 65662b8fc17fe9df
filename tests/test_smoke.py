from __future__ import annotations
from typing import Any
from bridge import ASGIToWSGI, WSGIToASGI
from tests.support.asgi import Exchange, get, post, http_scope, body_events
from tests.support.wsgi import call


async def test_w():
    def app(environ, sr):
        data = environ["wsgi.input"].read()
        sr("200 OK", [("X-A", "b")])
        return [data, b"x"]
    x = await get(WSGIToASGI(app))
    assert x.status == 200 and x.body == b"x"
    x = await post(WSGIToASGI(app), b"hello", b"world")
    assert x.body == b"helloworldx"
    x = await post(WSGIToASGI(app), b"hello", b"world", headers=[(b"transfer-encoding", b"chunked")])
    assert x.body == b"helloworldx"

async def test_stream():
    def app(environ, sr):
        sr("200 OK", [])
        for i in range(3):
            yield b"%d" % i
    x = await get(WSGIToASGI(app))
    assert x.body == b"012"

def test_a():
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise RuntimeError
        m = await receive()
        body = m["body"]
        while m["more_body"]:
            m = await receive(); body += m["body"]
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"x"})
    a = call(ASGIToWSGI(app), method="POST", body=b"hello"*100000)
    assert a.body == b"hello"*100000 + b"x"
