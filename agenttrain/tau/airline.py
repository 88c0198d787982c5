"""What the tools of tau-bench's airline domain do to its data (arXiv 2406.12045).

As there, they check no policy beyond seats and money, leave seats as they are, and a change of cabin shows in the
prices of a reservation's flights, not in its `cabin`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date as day
from datetime import timedelta
from typing import Any

from agenttrain.tau.tables import Domain, Record, Refused

NOW = "2024-05-15T15:00:00"
AIRPORTS = {
    "SFO": "San Francisco",
    "JFK": "New York",
    "LAX": "Los Angeles",
    "ORD": "Chicago",
    "DFW": "Dallas",
    "DEN": "Denver",
    "SEA": "Seattle",
    "ATL": "Atlanta",
    "MIA": "Miami",
    "BOS": "Boston",
    "PHX": "Phoenix",
    "IAH": "Houston",
    "LAS": "Las Vegas",
    "MCO": "Orlando",
    "EWR": "Newark",
    "CLT": "Charlotte",
    "MSP": "Minneapolis",
    "DTW": "Detroit",
    "PHL": "Philadelphia",
    "LGA": "LaGuardia",
}


class Airline(Domain):
    """The tools of the airline domain, by their names in `tools.json`."""

    def get_user_details(self, user_id: str) -> Record:
        return self.read("users", user_id)

    def get_reservation_details(self, reservation_id: str) -> Record:
        return self.read("reservations", reservation_id)

    def list_all_airports(self) -> dict[str, str]:
        return AIRPORTS

    def search_direct_flight(self, origin: str, destination: str, date: str) -> list[Record]:
        return [flight for flight in self._flights(origin, date) if flight["destination"] == destination]

    def search_onestop_flight(self, origin: str, destination: str, date: str) -> list[list[Record]]:
        found = []
        for first in self._flights(origin, date):
            arrival = first["scheduled_arrival_time_est"]
            then = _next_day(date) if "+1" in arrival else date
            for second in self._flights(first["destination"], then):
                if second["destination"] == destination and arrival <= second["scheduled_departure_time_est"]:
                    found.append([first | {"date": date}, second | {"date": then}])
        return found

    def book_reservation(
        self,
        user_id: str,
        cabin: str,
        flights: list[Record],
        passengers: list[Record],
        payment_methods: list[Record],
        nonfree_baggages: int,
        insurance: str,
        **rest: Any,
    ) -> Record:
        methods = self.read("users", user_id)["payment_methods"]
        priced = [self._priced(flight, cabin, len(passengers)) for flight in flights]
        price = sum(flight["price"] for flight in priced) * len(passengers) + 50 * nonfree_baggages
        price += 30 * len(passengers) if insurance == "yes" else 0
        for payment in payment_methods:
            method = methods.get(payment["payment_id"])
            if method is None:
                raise Refused(f"payment method {payment['payment_id']} not found")
            if method["source"] in ("gift_card", "certificate") and method["amount"] < payment["amount"]:
                raise Refused(f"not enough balance in payment method {payment['payment_id']}")
        paid = sum(payment["amount"] for payment in payment_methods)
        if paid != price:
            raise Refused(f"payment amount does not add up, total price is {price}, but paid {paid}")

        user = self.edit("users", user_id)
        for payment in payment_methods:
            if user["payment_methods"][payment["payment_id"]]["source"] == "certificate":
                del user["payment_methods"][payment["payment_id"]]
            else:
                _charge(user, payment["payment_id"], payment["amount"])
        taken = self.all("reservations")
        key = next(key for key in (f"HATHA{end}" for end in "TUVWXYZ0123456789") if key not in taken)
        reservation = {
            "reservation_id": key,
            "user_id": user_id,
            "cabin": cabin,
            "flights": priced,
            "passengers": passengers,
            "payment_history": payment_methods,
            "created_at": NOW,
            "nonfree_baggages": nonfree_baggages,
            "insurance": insurance,
            **rest,
        }
        self.add("reservations", key, reservation)
        user["reservations"].append(key)
        return reservation

    def cancel_reservation(self, reservation_id: str) -> Record:
        reservation = self.edit("reservations", reservation_id)
        back = [{**payment, "amount": -payment["amount"]} for payment in reservation["payment_history"]]
        reservation["payment_history"] += back
        reservation["status"] = "cancelled"
        return reservation

    def send_certificate(self, user_id: str, amount: float) -> str:
        methods = self.edit("users", user_id)["payment_methods"]
        key = next(key for key in (f"certificate_{n}" for n in range(3221322, 10**7)) if key not in methods)
        methods[key] = {"source": "certificate", "amount": amount, "id": key}
        return f"Certificate {key} added to user {user_id} with amount {amount}."

    def update_reservation_baggages(
        self, reservation_id: str, total_baggages: int, nonfree_baggages: int, payment_id: str
    ) -> Record:
        reservation = self.read("reservations", reservation_id)
        price = 50 * max(0, nonfree_baggages - reservation["nonfree_baggages"])
        reservation = self._pay(reservation_id, payment_id, price)
        reservation.update(total_baggages=total_baggages, nonfree_baggages=nonfree_baggages)
        return reservation

    def update_reservation_flights(
        self, reservation_id: str, cabin: str, flights: list[Record], payment_id: str
    ) -> Record:
        reservation = self.read("reservations", reservation_id)
        people = len(reservation["passengers"])
        kept = {(f["flight_number"], f["date"]): f for f in reservation["flights"] if cabin == reservation["cabin"]}
        priced = []
        for flight in flights:
            old = kept.get((flight["flight_number"], flight["date"]))
            same = {key: old[key] for key in ("price", "origin", "destination")} if old else None
            priced.append(flight | same if same else self._priced(flight, cabin, people))
        difference = sum(f["price"] for f in priced) - sum(f["price"] for f in reservation["flights"])
        reservation = self._pay(reservation_id, payment_id, difference * people)
        reservation["flights"] = priced
        return reservation

    def update_reservation_passengers(self, reservation_id: str, passengers: list[Record]) -> Record:
        if len(passengers) != len(self.read("reservations", reservation_id)["passengers"]):
            raise Refused("number of passengers does not match")
        reservation = self.edit("reservations", reservation_id)
        reservation["passengers"] = passengers
        return reservation

    def _flights(self, origin: str, date: str) -> Iterator[Record]:
        """Those that can be booked, with what is known of them on that day."""
        for flight in self.all("flights").values():
            on_day = flight["dates"].get(date, {})
            if flight["origin"] == origin and on_day.get("status") == "available":
                yield {key: value for key, value in flight.items() if key != "dates"} | on_day

    def _priced(self, flight: Record, cabin: str, people: int) -> Record:
        number, date = flight["flight_number"], flight["date"]
        known = self.read("flights", number)
        on_day = known["dates"].get(date)
        if on_day is None:
            raise Refused(f"flight {number} not found on date {date}")
        if on_day["status"] != "available":
            raise Refused(f"flight {number} not available on date {date}")
        if on_day["available_seats"][cabin] < people:
            raise Refused(f"not enough seats on flight {number}")
        return flight | {
            "price": on_day["prices"][cabin],
            "origin": known["origin"],
            "destination": known["destination"],
        }

    def _pay(self, reservation_id: str, payment_id: str, price: float) -> Record:
        """The reservation, to be changed, once the price has been paid (or, if negative, paid back)."""
        user_id = self.read("reservations", reservation_id)["user_id"]
        method = self.read("users", user_id)["payment_methods"].get(payment_id)
        if method is None:
            raise Refused("payment method not found")
        if method["source"] == "certificate":
            raise Refused("certificate cannot be used to update reservation")
        if method["source"] == "gift_card" and method["amount"] < price:
            raise Refused("gift card balance is not enough")
        _charge(self.edit("users", user_id), payment_id, price)
        reservation = self.edit("reservations", reservation_id)
        if price:
            reservation["payment_history"].append({"payment_id": payment_id, "amount": price})
        return reservation


def _charge(user: Record, payment_id: str, amount: float) -> None:
    """Only a gift card's amount is kept here."""
    method = user["payment_methods"][payment_id]
    if method["source"] == "gift_card":
        method["amount"] -= amount


def _next_day(date: str) -> str:
    try:
        return (day.fromisoformat(date) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return ""
