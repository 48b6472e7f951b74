"""The leak harness: many clients of many tenants on a real server, which is disturbed meanwhile.

It promises to notice three things: a row of another tenant in any answer; an acknowledged write that is not there
exactly once and only in its tenant; an answer other than the right one or a 503 that says when to come again. That it
does notice is shown by sabotage: the same program against a server with a bug put into it::

    python -m tests.leaks --requests 100000 --tenants 50 --clients 32 [--pgbouncer] [--sabotage wall-on|wall-off]

    ground.py     a database (database.py) with tenants in it (provision.py), used by one trial after the other
    server.py     the product on two worker processes; pooler.py: PgBouncer between it and the database
    traffic.py    the clients, and what they make of each answer
    chaos.py      the disturbances
    trial.py      all of these together; records.py, audit.py, report.py: what the clients saw, what is in the tables
                  afterwards, what came of it
    sabotage.py   the bug, in a server with sabotaged_settings.py
"""
