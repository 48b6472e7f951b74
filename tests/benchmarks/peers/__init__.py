"""Who is measured in ``tests/benchmarks/speed.py``, and with which requests.

Each peer is a Django project of its own (settings) over the same model, rows and server:

    ours      the product as it is served: every check, limit and header of it; nobody logs a line for each request here
    stock     as the documentation of django-tenants, simplejwt and DRF says, with their defaults
    tuned     stock with what an experienced team does: a connection pool, one SET for each request, the host's tenant
              cached, stateless authentication, role in the token, JSON alone, lists that are not counted; so a removed
              member goes on until the token expires
    floors    what no peer can be below: a bare Django view, a bare DRF view, one that enters a tenant and reads a row,
              one that compares a password with its hash
"""
