#!/bin/sh
# A PostgreSQL server of its own for env=sql, until Ctrl-C:  sh scripts/postgresql.sh FOLDER
#
# Reached by a socket in FOLDER alone, which nobody else may enter. A query's process takes MEMORY KiB at most.
set -eu
mkdir -p "$1"
folder=$(cd "$1" && pwd)
command -v postgres >/dev/null || PATH="$PATH:$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)" # Debian's
as=
if [ "$(id -u)" = 0 ]; then # whom PostgreSQL refuses to serve
    as="setpriv --reuid=postgres --regid=postgres --clear-groups"
    chown postgres "$folder"
fi
chmod 700 "$folder"
cd "$folder"
[ -f data/PG_VERSION ] ||
    $as initdb -D data -U agenttrain -A trust -E UTF8 --locale=C.UTF-8 --no-sync >&2
echo "env.server='postgresql://agenttrain@/?host=$folder'"
ulimit -v "${MEMORY:-2000000}"
exec $as postgres -D data -c listen_addresses= -c unix_socket_directories="$folder" -c fsync=off
