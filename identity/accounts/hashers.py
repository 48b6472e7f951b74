from django.contrib.auth.hashers import Argon2PasswordHasher

from identity.accounts.password_rules import normalize_password


class OwaspArgon2PasswordHasher(Argon2PasswordHasher):
    """Argon2id with OWASP's parameters: 19 MiB, 2 passes, 1 lane.

    Django's default (100 MiB, 8 lanes) takes eight times the processor time and memory of every sign-in. Hashes made
    with other parameters still verify, and are replaced at the next sign-in. Source: OWASP Password Storage Cheat
    Sheet.

    It is the password's normal form that is hashed: see ``password_rules``.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        return super().encode(normalize_password(password), salt)

    def verify(self, password: str, encoded: str) -> bool:
        return super().verify(normalize_password(password), encoded)
