"""Identities, permissions, and which lines are genuine; without a socket or a clock.

A server without keys and tokens imports nothing of this, and the cryptography is imported when the
first signature is made or checked: see :mod:`.ed25519`.
"""
