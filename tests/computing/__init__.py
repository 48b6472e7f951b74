"""The example app one release on (``MIGRATION_MODULES``), with a migration that computes: for tests of recording."""
