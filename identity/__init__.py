"""WHO: people, their memberships, sign-ins and tokens. Order: tokens, sessions, members, accounts (each may import
those after it).
"""
