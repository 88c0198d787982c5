"""A process of its own that runs queries on PostgreSQL: one JSON request a line in, one JSON answer a line out.

Each query has a connection of its own, so that no session's state (settings, locks, prepared statements) meets the
next, in a read-only transaction that is never committed. It goes through the extended protocol, which takes one
statement; rows come one by one, so that no more are held than were asked for. libpq is called as it is, for the
server's own text of each cell: dates of Python have fewer years. Needs psycopg; starts in about 200 ms.
"""

import json
import math
import resource
import sys

from psycopg import OperationalError, conninfo, pq

INTEGERS, NUMBERS, BYTES = {20, 21, 23, 26}, {700, 701, 1700}, 17
"""Types of cells, as pg_type numbers them: int8 int2 int4 oid; float4 float8 numeric; bytea."""
CANCELLED = "57014"
LOST = ("57P", "58030", "53100")
"""How codes of errors begin that no query can bring about: the server goes down or has crashed, a fault of input or
output, a full disk. (A query can bring about 08P01 and 58P01, and must not be excused by it.)"""
ADDRESS_SPACE = 1 << 30
"""Bytes; about a fifth of it is the interpreter's."""


def main() -> None:
    """Answer until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = run(request["database"], **request["run"])
        except OperationalError as error:  # the connection went between two calls
            answer = {"lost": str(error)}
        except UnicodeError as error:
            answer = {"error": str(error)}
        except MemoryError:
            answer = {"error": "out of memory"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def run(database: dict[str, str], query: str, rows: int, seconds: float) -> dict[str, object]:
    """Columns and at most `rows` rows; `more` says that there were others. `database` says how to connect."""
    server = pq.PGconn.connect(conninfo.make_conninfo(**database).encode())
    try:
        begin = f"SET statement_timeout = {math.ceil(1000 * seconds)}; BEGIN READ ONLY"
        connected = server.status == pq.ConnStatus.OK
        if not connected or server.exec_(begin.encode()).status != pq.ExecStatus.COMMAND_OK:
            return {"lost": said(server.error_message)}
        server.send_query_params(query.encode(), None)
        server.set_single_row_mode()
        columns: list[str] = []
        taken: list[list[object]] = []
        while len(taken) <= rows and (result := server.get_result()):
            if result.status not in (pq.ExecStatus.SINGLE_TUPLE, pq.ExecStatus.TUPLES_OK):
                return without_rows(result, database)
            columns = [said(result.fname(place)) for place in range(result.nfields)]
            taken += [[cell(result, row, place) for place in range(result.nfields)] for row in range(result.ntuples)]
        return {"columns": columns, "rows": taken[:rows], "more": len(taken) > rows}
    finally:
        server.finish()


def without_rows(result: pq.abc.PGresult, database: dict[str, str]) -> dict[str, object]:
    """Why there are none, and who is to blame: the query, or what it was sent to."""
    if result.status != pq.ExecStatus.FATAL_ERROR:
        return {"columns": [], "rows": [], "more": False}
    code = said(result.error_field(pq.DiagnosticField.SQLSTATE))
    if code == CANCELLED:
        return {"stopped": True}
    if code:
        fields = (pq.DiagnosticField.MESSAGE_PRIMARY, pq.DiagnosticField.MESSAGE_HINT)
        why = ". ".join(filter(None, (said(result.error_field(field)) for field in fields)))
        return {"lost" if code.startswith(LOST) else "error": why}
    # It was not the server that spoke but libpq: a row did not fit into the memory, or the server is gone.
    again = pq.PGconn.connect(conninfo.make_conninfo(**database).encode())
    there = again.status == pq.ConnStatus.OK
    again.finish()
    return {"error": "out of memory"} if there else {"lost": said(result.error_message)}


def cell(result: pq.abc.PGresult, row: int, place: int) -> object:
    """None, int, float, or text: the server's own, but for bytes x'hex'."""
    value, kind = result.get_value(row, place), result.ftype(place)
    if value is None:
        return None
    text = value.decode()
    if kind in INTEGERS:
        return int(text)
    if kind in NUMBERS:
        return number(text)
    return f"x'{text[2:]}'" if kind == BYTES else text


def number(text: str) -> int | float | str:
    """NaN and infinities stay text, since a NaN is not equal to itself."""
    if text.lstrip("-").isdigit() and len(text) < 300:
        return int(text)
    return float(text) if math.isfinite(float(text)) else text


def said(text: bytes | None) -> str:
    """Text, whatever it is."""
    return (text or b"").decode("utf-8", "replace").strip()


if __name__ == "__main__":
    main()
