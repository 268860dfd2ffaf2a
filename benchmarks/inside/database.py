"""Run by the service's own Python: makes a PostgreSQL database, or drops it and its sessions."""

import sys

import psycopg
from psycopg.sql import SQL, Identifier

COMMANDS = {"create": "CREATE DATABASE {}", "drop": "DROP DATABASE IF EXISTS {} WITH (FORCE)"}

if __name__ == "__main__":
    command, server, name = sys.argv[1:]
    with psycopg.connect(server, autocommit=True, connect_timeout=5) as connection:
        connection.execute(SQL(COMMANDS[command]).format(Identifier(name)))
