"""Sites with a database whose views leave their sessions open: one with SQLAlchemy, one with Django's ORM.

`DATABASE` names the file; `HOOKS` says whether the hooks are set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from flask import Flask

from bridge import WSGIToASGI

THREADS = 8
POOL = 4

DATABASE = os.environ["DATABASE"]
HOOKS = bool(os.environ.get("HOOKS"))


def sqlalchemy_site() -> WSGIToASGI:
    from sqlalchemy import QueuePool, create_engine, text
    from sqlalchemy.orm import scoped_session, sessionmaker

    engine = create_engine(
        f"sqlite:///{DATABASE}",
        poolclass=QueuePool,
        pool_size=POOL,
        max_overflow=0,
        pool_timeout=20,
        connect_args={"timeout": 20},
    )
    session = scoped_session(sessionmaker(engine))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE notes (body TEXT)"))
    app = Flask(__name__)

    @app.get("/read")
    def read() -> str:
        return str(session.scalar(text("SELECT count(*) FROM notes")))

    @app.get("/write")
    def write() -> str:
        session.execute(text("INSERT INTO notes VALUES ('kept')"))
        session.commit()
        return "written"

    @app.get("/forget")
    def forget() -> str:
        session.execute(text("INSERT INTO notes VALUES ('never committed')"))
        return "forgotten"

    @app.get("/fail")
    def fail() -> str:
        session.execute(text("INSERT INTO notes VALUES ('never committed')"))
        raise ValueError("on purpose")

    @app.get("/stream")
    def stream() -> Iterator[str]:
        while True:
            yield f"{session.scalar(text('SELECT count(*) FROM notes'))} " * 1000

    hooks: dict[str, Any] = {"after_request": session.remove} if HOOKS else {}
    return WSGIToASGI(app, threads=THREADS, **hooks)


def django_site() -> WSGIToASGI:
    """Serve Django's ORM from Flask: nothing here sends Django's signals."""
    import django
    from django.conf import settings
    from django.db import close_old_connections, connection, connections, transaction

    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": DATABASE,
                "OPTIONS": {"timeout": 20},
            }
        },
    )
    django.setup()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE notes (body TEXT)")
    connections.close_all()
    app = Flask(__name__)

    @app.get("/read")
    def read() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM notes")
            return str(cursor.fetchone()[0])

    @app.get("/write")
    def write() -> str:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO notes VALUES ('kept')")
        return "written"

    @app.get("/forget")
    def forget() -> str:
        transaction.set_autocommit(False)
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO notes VALUES ('never committed')")
        return "forgotten"

    @app.get("/fail")
    def fail() -> str:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("INSERT INTO notes VALUES ('never committed')")
            raise ValueError("on purpose")

    @app.get("/stream")
    def stream() -> Iterator[str]:
        while True:
            yield f"{read()} " * 1000

    hooks: dict[str, Any] = {}
    if HOOKS:
        hooks = {"after_request": close_old_connections, "on_worker_stop": connections.close_all}
    return WSGIToASGI(app, threads=THREADS, **hooks)


site = {"sqlalchemy": sqlalchemy_site, "django": django_site}[os.environ["SITE"]]()
