"""The journal in one file: SQLite, one connection, one thread that writes.

Start reading at :mod:`~cameleer_registry.node.journal.sqlite.journal`.
"""
