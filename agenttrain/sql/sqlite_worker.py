"""A process of its own that runs queries on SQLite, read-only: one JSON request a line in, one JSON answer a line out.

Some functions of SQLite run for half a minute where nothing inside can stop them, so the boundary is the process: who
asked kills it. It needs the standard library alone and is started without site-packages, in about 20 ms.
"""

import json
import resource
import sqlite3
import sys
import time
from urllib.parse import quote

ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
HARMFUL = {"load_extension", "writefile", "readfile", "edit", "fts3_tokenizer"}
LOOKED_UP = {"table_info", "table_list", "foreign_key_list", "index_list", "index_info"}
"""Pragmas that tell of the schema."""
KEPT = 32
"""Databases held open."""
ADDRESS_SPACE = 1 << 30
"""Bytes; most of it is the interpreter's."""


def main() -> None:
    """Answer until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    opened: dict[str, sqlite3.Connection] = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = run(connection(request["database"], opened), **request["run"])
        except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError, ValueError) as error:
            late = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
            answer = {"stopped": True} if late else {"error": str(error) or type(error).__name__}
        except MemoryError:
            answer = {"error": "out of memory"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def connection(database: dict[str, str], opened: dict[str, sqlite3.Connection]) -> sqlite3.Connection:
    """The database of a file, or of a script that makes it; opened once and never written to."""
    key = database.get("path") or database["script"]
    if key not in opened:
        while len(opened) >= KEPT:
            opened.pop(next(iter(opened))).close()
        if "path" in database:
            made = sqlite3.connect(f"file:{quote(database['path'])}?mode=ro&immutable=1", uri=True)
        else:
            made = sqlite3.connect(":memory:")
            made.executescript(database["script"])
        made.text_factory = lambda raw: raw.decode("utf-8", "replace")  # Spider's files hold Latin-1 as well
        made.execute("PRAGMA query_only = 1")
        made.execute("PRAGMA trusted_schema = 0")
        made.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1_000_000)
        made.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for pragma in LOOKED_UP:  # as a table it is declared at first use, which the authorizer would take for a write
            made.execute(f"SELECT * FROM pragma_{pragma}").fetchall()
        made.set_authorizer(allow)
        opened[key] = made
    return opened[key]


def allow(action: int, first: str | None, second: str | None, *_: object) -> int:
    """Reading and calculating; no write, no other file."""
    if action == sqlite3.SQLITE_FUNCTION:
        fine = str(second).lower() not in HARMFUL
    elif action == sqlite3.SQLITE_PRAGMA:
        fine = str(first).lower() in LOOKED_UP
    else:
        fine = action in ALLOWED
    return sqlite3.SQLITE_OK if fine else sqlite3.SQLITE_DENY


def run(database: sqlite3.Connection, query: str, rows: int, seconds: float) -> dict[str, object]:
    """Columns and at most `rows` rows; `more` says that there were others."""
    deadline = time.monotonic() + seconds
    database.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    cursor = database.execute(query)
    try:
        taken = cursor.fetchmany(rows + 1)
        columns = [column[0] for column in cursor.description or []]
    finally:
        cursor.close()
    plain = [[f"x'{cell.hex()}'" if isinstance(cell, bytes) else cell for cell in row] for row in taken[:rows]]
    return {"columns": columns, "rows": plain, "more": len(taken) > rows}


if __name__ == "__main__":
    main()
