"""Run by the service's own Python: creates a PostgreSQL database, or drops it and its sessions."""

import sys

import psycopg
from psycopg.sql import SQL, Identifier

COMMANDS = {"create": "CREATE DATABASE {}", "drop": "DROP DATABASE IF EXISTS {} WITH (FORCE)"}

if __name__ == "__main__":
    command, server, name = sys.argv[1:]
    try:
        with psycopg.connect(server, autocommit=True, connect_timeout=5) as connection:
            connection.execute(SQL(COMMANDS[command]).format(Identifier(name)))
    except psycopg.Error as error:
        sys.exit(f"TEST_POSTGRES_URL: cannot {command} a database on {server}: {error}")
