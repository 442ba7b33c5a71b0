"""The shop with FastAPI. The endpoint is no `async def`: FastAPI runs it in a thread, so that its
enqueues hold up no other request."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

from shop.jobs import place_order


class Order(BaseModel):
    to: str
    items: list[str]


app = FastAPI()


@app.post("/orders/{number}", status_code=202)
def order(number: int, order: Order) -> dict[str, int]:
    place_order(order.to, number, order.items)
    return {"order": number}
