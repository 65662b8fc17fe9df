"""The Flask child."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256

from flask import Flask, Response, redirect, request, session, url_for
from werkzeug.wrappers import Response as BaseResponse


def make_app() -> Flask:
    """Build the app."""
    app = Flask(__name__)
    app.secret_key = "for tests"
    gate = threading.Event()

    @app.get("/")
    def index() -> str:
        return "index"

    @app.get("/items/<int:item>")
    def show_item(item: int) -> dict[str, object]:
        return {"item": item, "q": request.args.getlist("q")}

    @app.get("/url")
    def show_url() -> dict[str, str]:
        return {
            "self": request.url,
            "path": url_for("show_item", item=3),
            "absolute": url_for("show_item", item=3, _external=True),
        }

    @app.get("/go")
    def go() -> BaseResponse:
        return redirect(url_for("show_item", item=3))

    @app.get("/slash/")
    def slash() -> str:
        return "slash"

    @app.get("/path/<path:rest>")
    def show_path(rest: str) -> dict[str, str]:
        return {"rest": rest}

    @app.get("/cookie/set")
    def set_cookie() -> Response:
        response = Response("set")
        response.set_cookie("a", "1", path=f"{request.root_path}/cookie/show", httponly=True)
        response.set_cookie("b", "2", path=f"{request.root_path}/elsewhere")
        return response

    @app.get("/cookie/show")
    def show_cookies() -> dict[str, str]:
        return {name: value for name, value in request.cookies.items() if name in "ab"}

    @app.post("/form")
    def form() -> dict[str, list[str]]:
        return {"name": request.form.getlist("name")}

    @app.post("/upload")
    def upload() -> dict[str, object]:
        file = request.files["file"]
        content = file.read()
        return {"name": file.filename, "size": len(content), "sha256": sha256(content).hexdigest()}

    @app.get("/stream")
    def stream() -> Response:
        gate.clear()

        def blocks() -> Iterator[str]:
            yield "first\n"
            gate.wait(20)
            yield "last\n"

        return Response(blocks(), mimetype="text/plain")

    @app.get("/release")
    def release() -> str:
        gate.set()
        return "released"

    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError("on purpose")

    @app.get("/count")
    def count() -> dict[str, int]:
        session["count"] = session.get("count", 0) + 1
        return {"count": session["count"]}

    @app.get("/forget")
    def forget() -> str:
        session.clear()
        return "forgotten"

    return app
