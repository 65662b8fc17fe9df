"""Dash in FastAPI, both ways that Dash has for its prefix.

`uvicorn examples.dash_in_fastapi:site`, then `/dash/` and `/board/`.
"""

from dash import Dash, Input, Output, dcc, html
from fastapi import FastAPI

from bridge.integrations.fastapi import mount


def make_dashboard(**prefixes: str) -> Dash:
    dashboard = Dash("dashboard", **prefixes)
    dashboard.layout = html.Div([dcc.Slider(0, 10, 1, value=3, id="number"), html.P(id="square")])

    @dashboard.callback(Output("square", "children"), Input("number", "value"))
    def show_square(number: int) -> str:
        return f"{number} squared is {number * number}"

    return dashboard


site = FastAPI()

# Dash puts the prefix in its URLs and has its routes without: the prefix is stripped, as for any other app.
stripped = make_dashboard(requests_pathname_prefix="/dash/", routes_pathname_prefix="/")
mount(site, "/dash", stripped.server, openapi=False)

# Dash has the prefix in its URLs and in its routes: the prefix stays in the path.
kept = make_dashboard(url_base_pathname="/board/")
mount(site, "/board", kept.server, openapi=False, keep_prefix=True)
