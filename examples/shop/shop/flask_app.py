"""The shop with Flask."""

from __future__ import annotations

from typing import Any

from flask import Flask, request

from shop.jobs import place_order

app = Flask(__name__)


@app.post("/orders/<int:number>")
def order(number: int) -> tuple[dict[str, int], int]:
    asked: dict[str, Any] = request.get_json()
    place_order(asked["to"], number, asked["items"])
    return {"order": number}, 202
