"""What the tools of tau-bench's retail domain do to its data (arXiv 2406.12045)."""

from __future__ import annotations

from collections.abc import Callable

from agenttrain.tau.tables import Domain, Record, Refused


class Retail(Domain):
    """The tools of the retail domain, by their names in `tools.json`."""

    def find_user_id_by_email(self, email: str) -> str:
        return self._user(lambda user: user["email"].lower() == email.lower())

    def find_user_id_by_name_zip(self, first_name: str, last_name: str, zip: str) -> str:
        wanted = (first_name.lower(), last_name.lower(), zip)

        def fits(user: Record) -> bool:
            name = user["name"]
            return (name["first_name"].lower(), name["last_name"].lower(), user["address"]["zip"]) == wanted

        return self._user(fits)

    def get_user_details(self, user_id: str) -> Record:
        return self.read("users", user_id)

    def get_order_details(self, order_id: str) -> Record:
        return self.read("orders", order_id)

    def get_product_details(self, product_id: str) -> Record:
        return self.read("products", product_id)

    def list_all_product_types(self) -> dict[str, str]:
        return dict(sorted((product["name"], key) for key, product in self.all("products").items()))

    def cancel_pending_order(self, order_id: str, reason: str) -> Record:
        order = self._order(order_id, "pending")
        if reason not in ("no longer needed", "ordered by mistake"):
            raise Refused("invalid reason")
        order = self.edit("orders", order_id)
        paid = list(order["payment_history"])
        for payment in paid:
            order["payment_history"].append({**payment, "transaction_type": "refund"})
            if "gift_card" in payment["payment_method_id"]:
                self._pay(order["user_id"], payment["payment_method_id"], -payment["amount"])
        order.update(status="cancelled", cancel_reason=reason)
        return order

    def modify_pending_order_address(self, order_id: str, **address: str) -> Record:
        self._order(order_id, "pending")
        order = self.edit("orders", order_id)
        order["address"] = address
        return order

    def modify_user_address(self, user_id: str, **address: str) -> Record:
        user = self.edit("users", user_id)
        user["address"] = address
        return user

    def modify_pending_order_payment(self, order_id: str, payment_method_id: str) -> Record:
        order = self._order(order_id, "pending")
        method = self._method(order["user_id"], payment_method_id)
        first, *more = order["payment_history"]
        if more or first["transaction_type"] != "payment":
            raise Refused("there should be exactly one payment for a pending order")
        if first["payment_method_id"] == payment_method_id:
            raise Refused("the new payment method should be different from the current one")
        _covers(method, first["amount"])
        order = self.edit("orders", order_id)
        order["payment_history"] += [
            {**first, "payment_method_id": payment_method_id},
            {**first, "transaction_type": "refund"},
        ]
        self._pay(order["user_id"], payment_method_id, first["amount"])
        self._pay(order["user_id"], first["payment_method_id"], -first["amount"])
        return order

    def modify_pending_order_items(
        self, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
    ) -> Record:
        order = self._order(order_id, "pending")
        difference = self._swap(order, item_ids, new_item_ids)
        _covers(self._method(order["user_id"], payment_method_id), difference)
        order = self.edit("orders", order_id)
        kind = "payment" if difference > 0 else "refund"
        order["payment_history"].append(
            {"transaction_type": kind, "amount": abs(difference), "payment_method_id": payment_method_id}
        )
        self._pay(order["user_id"], payment_method_id, difference)
        for old, new in zip(item_ids, new_item_ids, strict=True):
            item = next(item for item in order["items"] if item["item_id"] == old)
            variant = self.read("products", item["product_id"])["variants"][new]
            item.update(item_id=new, price=variant["price"], options=dict(variant["options"]))
        order["status"] = "pending (item modified)"
        return order

    def exchange_delivered_order_items(
        self, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
    ) -> Record:
        order = self._order(order_id, "delivered")
        difference = round(self._swap(order, item_ids, new_item_ids), 2)
        _covers(self._method(order["user_id"], payment_method_id), difference)
        order = self.edit("orders", order_id)
        order.update(
            status="exchange requested",
            exchange_items=sorted(item_ids),
            exchange_new_items=sorted(new_item_ids),
            exchange_payment_method_id=payment_method_id,
            exchange_price_difference=difference,
        )
        return order

    def return_delivered_order_items(self, order_id: str, item_ids: list[str], payment_method_id: str) -> Record:
        order = self._order(order_id, "delivered")
        self._method(order["user_id"], payment_method_id)
        paid_with = order["payment_history"][0]["payment_method_id"]
        if "gift_card" not in payment_method_id and payment_method_id != paid_with:
            raise Refused("payment method should be either the original payment method or a gift card")
        _holds(order, item_ids)
        order = self.edit("orders", order_id)
        order.update(
            status="return requested", return_items=sorted(item_ids), return_payment_method_id=payment_method_id
        )
        return order

    def _user(self, fits: Callable[[Record], bool]) -> str:
        for key, user in self.all("users").items():
            if fits(user):
                return key
        raise Refused("user not found")

    def _order(self, order_id: str, status: str) -> Record:
        order = self.read("orders", order_id)
        if order["status"] != status:
            raise Refused(f"the order is not {status} but {order['status']}")
        return order

    def _method(self, user_id: str, method_id: str) -> Record:
        methods = self.read("users", user_id)["payment_methods"]
        if method_id not in methods:
            raise Refused("payment method not found")
        return methods[method_id]

    def _pay(self, user_id: str, method_id: str, amount: float) -> None:
        """Only a gift card's balance is kept here; a negative amount is a refund."""
        method = self.edit("users", user_id)["payment_methods"][method_id]
        if method["source"] == "gift_card":
            method["balance"] = round(method["balance"] - amount, 2)

    def _swap(self, order: Record, item_ids: list[str], new_item_ids: list[str]) -> float:
        """What the new items cost more."""
        _holds(order, item_ids)
        if len(item_ids) != len(new_item_ids):
            raise Refused("the number of items to be exchanged should match")
        difference = 0.0
        for old, new in zip(item_ids, new_item_ids, strict=True):
            item = next(item for item in order["items"] if item["item_id"] == old)
            variant = self.read("products", item["product_id"])["variants"].get(new)
            if variant is None or not variant["available"]:
                raise Refused(f"new item {new} not found or available")
            difference += variant["price"] - item["price"]
        return difference


def _covers(method: Record, amount: float) -> None:
    if method["source"] == "gift_card" and method["balance"] < amount:
        raise Refused("insufficient gift card balance")


def _holds(order: Record, item_ids: list[str]) -> None:
    there = [item["item_id"] for item in order["items"]]
    for item_id in item_ids:
        if item_ids.count(item_id) > there.count(item_id):
            raise Refused(f"item {item_id} not found")
