import copy

import pytest

from agenttrain.backend.openapi import operations
from agenttrain.backend.schema import Schema
from agenttrain.services.description import description
from agenttrain.services.service import Service
from agenttrain.services.trade import SEEN, UNSEEN, trade
from agenttrain.services.wishes import wishes

ALL = [*SEEN, *UNSEEN]
SHOP = trade("bookshop")


def shop():
    service = Service(SHOP, 0)
    service.state["books"]["1"]["stock"] = 5
    return service


@pytest.mark.parametrize("trade", ALL, ids=lambda trade: trade.name)
def test_every_wish_can_be_fulfilled_and_every_answer_is_as_described(trade):
    known = {operation.name: operation for operation in operations(description(trade))}
    for seed in range(3):
        texts = set()
        for wish in wishes(trade, seed):
            service = Service(trade, seed)
            texts.add(wish.text)
            for name, arguments in wish.calls:
                assert Schema(known[name].parameters).fault(arguments) is None
                request = known[name].request(arguments)
                status, body = service.request(request.method, request.target, request.body)
                assert status < 300, (wish.text, body)
                assert known[name].mismatch(status, body) is None
        assert len(texts) > 100


def test_an_order_takes_from_the_stock_and_a_cancelled_one_gives_back():
    service = shop()
    status, order = service.request("POST", "/orders", {"customer_id": 1, "book_id": 1, "copies": 2})
    assert (status, order["status"], service.state["books"]["1"]["stock"]) == (201, "open", 3)
    assert service.request("PATCH", f"/orders/{order['id']}", {"copies": 5})[0] == 200
    assert service.state["books"]["1"]["stock"] == 0
    assert service.request("DELETE", f"/orders/{order['id']}")[1]["status"] == "cancelled"
    assert service.state["books"]["1"]["stock"] == 5


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("GET", "/books/99", None, 404),
        ("GET", "/nothing", None, 404),
        ("GET", "/books/1/2", None, 404),
        ("DELETE", "/books/1", None, 405),
        ("POST", "/books", {}, 405),
        ("POST", "/orders", None, 422),
        ("POST", "/orders", {"customer_id": 1, "book_id": 1, "copies": True}, 422),
        ("POST", "/orders", {"customer_id": 1, "book_id": 1, "copies": 1, "price": 0}, 422),
        ("POST", "/orders", {"customer_id": 1, "book_id": 1, "copies": 6}, 409),
        ("POST", "/orders", {"customer_id": 99, "book_id": 1, "copies": 1}, 404),
        ("PATCH", "/orders/1", {"copies": -1}, 422),
        ("PATCH", "/orders/1", {"copies": 1000}, 409),
        ("GET", "/books/..%2Forders", None, 404),
        ("TRACE", "/orders/1", None, 405),
    ],
)
def test_what_is_wrong_is_answered_and_changes_nothing(method, target, body, status):
    service = shop()
    before = copy.deepcopy(service.state)
    assert service.request(method, target, body)[0] == status
    assert service.state == before


def test_a_cancelled_order_stays_as_it_is():
    service = shop()
    service.request("DELETE", "/orders/1")
    before = copy.deepcopy(service.state)
    assert service.request("DELETE", "/orders/1")[0] == 409
    assert service.request("PATCH", "/orders/1", {"copies": 1})[0] == 409
    assert service.state == before


def test_equal_seeds_give_equal_rows_and_copies_are_apart():
    one, other = Service(SHOP, 3), Service(SHOP, 3)
    assert one.state == other.state != Service(SHOP, 4).state
    one.request("DELETE", "/orders/1")
    assert one.state != other.state == Service(SHOP, 3).state
