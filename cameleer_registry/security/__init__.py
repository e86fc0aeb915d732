"""Who somebody is, what they may do, and which lines are genuine; without a socket or a clock.

Nothing here is imported by a server that has no keys and no tokens, and the cryptography below it
is imported when the first signature is made or checked: see :mod:`.ed25519`.
"""
