"""Script -> database, on a PostgreSQL server that was started for it.

A script becomes a database of its own, named by the script's hash and kept on the server for the next run. Three roles
share the work: the server's superuser prepares, `agenttrain_maker` runs scripts, which may come from anywhere, and
`agenttrain_reader` runs queries.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agenttrain.errors import UserError
from agenttrain.types import InfraError

if TYPE_CHECKING:
    from psycopg import Connection

MAKER, READER = "agenttrain_maker", "agenttrain_reader"
OLDEST = 14
"""Version of a server that can see that who asked is gone (client_connection_check_interval)."""
CONNECT = 10
"""Seconds that the server may take to answer."""
LIMITS = {
    "work_mem": "16MB",
    "temp_file_limit": "256MB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "client_connection_check_interval": "1s",
}
"""Of each query."""
HARMLESS = "random, setseed, clock_timestamp, timeofday, gen_random_uuid"
"""Functions that are volatile and yet reach nothing outside their query."""
LEAST_RIGHTS = f"""
SELECT format('REVOKE ALL ON DATABASE %1$I FROM PUBLIC; GRANT CONNECT ON DATABASE %1$I TO {READER}', current_database())
UNION ALL
SELECT format('REVOKE ALL ON LANGUAGE %I FROM PUBLIC', lanname) FROM pg_language WHERE lanpltrusted
UNION ALL
SELECT 'REVOKE ALL ON ROUTINE ' || string_agg(oid::regprocedure::text, ', ') || ' FROM PUBLIC' FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND (proname ~ '^pg_stat_get_(activity|backend)'
    OR provolatile = 'v' AND proname <> ALL ('{{{HARMLESS}}}'))
UNION ALL
SELECT format('REVOKE ALL ON SCHEMA %1$I FROM PUBLIC; GRANT USAGE ON SCHEMA %1$I TO {READER}; '
    'GRANT SELECT ON ALL TABLES IN SCHEMA %1$I TO {READER}', nspname)
FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
"""
"""Writes the statements that leave others nothing but to read: no temporary table, no block of code (it could catch its
own cancellation), no function with an effect outside its query (settings, locks, signals, files, large objects), no
sight of what others run (another episode's gold query)."""

_log = logging.getLogger(__name__)


class Server:
    """A server that is ours to prepare.

    Args:
        url: connection URL of its superuser.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.version = ""
        """As in `15.4`, from the first connection on."""
        self._met = False

    def login(self, script: str, name: str) -> dict[str, str]:
        """How a reader connects to the database that `script` makes; `name` is the script's in messages.

        The database gets its own name when it is whole, so that a run that is killed leaves no half one behind; and
        one is made at a time, whoever makes it.

        Raises:
            UserError: the server was never there or is not ours to prepare, or the script is faulty.
            InfraError: the server is gone.
        """
        database = "agenttrain_" + hashlib.sha256(f"{LEAST_RIGHTS}{script}".encode()).hexdigest()[:24]
        with self.admin() as admin:
            admin.execute("SELECT pg_advisory_lock(hashtext('agenttrain'))")
            _make_roles(admin)
            if not admin.execute("SELECT FROM pg_database WHERE datname = %s", [database]).rowcount:
                self._make(admin, database, script, name)
            return _login(admin, READER, database)

    def end(self, application: str) -> None:
        """End the connections that call themselves so, whatever they do.

        Raises:
            InfraError: the server is gone.
        """
        with self.admin() as admin:
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
            admin.execute(query, [application])

    @contextmanager
    def admin(self, database: str = "postgres") -> Iterator[Connection]:
        """A connection of the superuser, which a database's own search path does not lead astray."""
        try:
            import psycopg
        except ImportError as error:
            raise UserError("env.server needs psycopg: pip install 'agenttrain[postgresql]'") from error
        settings = {"autocommit": True, "connect_timeout": CONNECT, "options": "-c search_path=pg_catalog"}
        try:
            with psycopg.connect(self.url, dbname=database, **settings) as admin:
                if not self._met:
                    _meet(admin)
                    self.version = (admin.info.parameter_status("server_version") or "").partition(" ")[0]
                    self._met = True
                yield admin
        except psycopg.Error as error:
            if not self._met:
                raise UserError(f"env.server: {error}\nStart a server as docs/sql.md says.") from error
            if isinstance(error, psycopg.OperationalError):
                raise InfraError(f"PostgreSQL: {error}") from error
            raise

    def _make(self, admin: Connection, database: str, script: str, name: str) -> None:
        import psycopg.conninfo

        half = f"{database}_half"
        _do(admin, f"DROP DATABASE IF EXISTS {half} WITH (FORCE)")
        _do(admin, f"CREATE DATABASE {half} OWNER {MAKER} TEMPLATE template0 ENCODING 'UTF8'")
        try:
            told = psycopg.conninfo.make_conninfo(**_login(admin, MAKER, half))
            with psycopg.connect(told, autocommit=True) as maker:
                _do(maker, re.sub(r"(?m)^\\(un)?restrict .*$", "", script))
        except psycopg.Error as error:
            _do(admin, f"DROP DATABASE {half} WITH (FORCE)")
            raise UserError(f"{name} makes no database: {error}\nWrite it by pg_dump --inserts --no-owner.") from error
        with self.admin(half) as inside:
            _do(inside, "; ".join(statement for (statement,) in inside.execute(LEAST_RIGHTS.encode())))
        _do(admin, f"ALTER DATABASE {half} RENAME TO {database}")


def _do(connection: Connection, statements: str) -> None:
    connection.execute(statements.encode())


def _meet(admin: Connection) -> None:
    if admin.info.parameter_status("is_superuser") != "on" or admin.info.server_version < 10_000 * OLDEST:
        raise UserError(f"env.server: it takes a superuser of PostgreSQL {OLDEST} or later, on a server of its own.")
    [limits] = admin.execute("SELECT pg_read_file('/proc/self/limits', 0, 9999, true)").fetchone() or [None]
    if re.search(r"Max address space +unlimited", limits or ""):
        _log.warning("env.server has no limit of memory: one query can take the machine's (docs/sql.md)")


def _make_roles(admin: Connection) -> None:
    for role in (MAKER, READER):
        if not admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
            _do(admin, f"CREATE ROLE {role} LOGIN")
        _do(admin, f"ALTER ROLE {role} PASSWORD '{_password(admin, role)}'")
    for setting, value in LIMITS.items():
        _do(admin, f"ALTER ROLE {READER} SET {setting} = '{value}'")


def _login(admin: Connection, role: str, database: str) -> dict[str, str]:
    """How `role` connects to `database`: as the superuser does, but for names and password."""
    import psycopg.conninfo

    info = admin.info
    told = {key: str(value) for key, value in psycopg.conninfo.conninfo_to_dict(info.dsn).items()}
    who = {"user": role, "password": _password(admin, role), "dbname": database}
    return told | {"host": info.host, "port": str(info.port), "options": ""} | who


def _password(admin: Connection, role: str) -> str:
    """The same in every process that knows the superuser's; where no password is asked for, nobody looks at it."""
    return hashlib.sha256(f"{role} {admin.info.password}".encode()).hexdigest()
