"""Flask-AppBuilder in FastAPI.

`uvicorn examples.appbuilder_in_fastapi:site`, then `/admin/`, with admin / admin.
"""

import os

from fastapi import FastAPI
from flask import Flask
from flask_appbuilder import AppBuilder
from flask_appbuilder.utils.legacy import get_sqla_class

from bridge.integrations.fastapi import mount


def make_admin() -> Flask:
    app = Flask("admin")
    app.config.update(
        SECRET_KEY="not a secret: the example's",
        SQLALCHEMY_DATABASE_URI=os.environ.get("APPBUILDER_DATABASE", "sqlite:///admin.sqlite3"),
        # The client of the test has a cookie for the CSRF token as a browser has.
        WTF_CSRF_ENABLED=True,
    )
    db = get_sqla_class()()
    db.init_app(app)
    with app.app_context():
        builder = AppBuilder(app, db.session)
        db.create_all()
        if builder.sm.find_user("admin") is None:
            role = builder.sm.find_role(builder.sm.auth_role_admin)
            builder.sm.add_user("admin", "Ada", "Admin", "admin@example.org", role, password="admin")
    return app


site = FastAPI()
mount(site, "/admin", make_admin())
