"""Credentials in a node that runs: who asks, what agents are given, and what stands on it.

Start reading at :mod:`~cameleer_registry.node.auth.authority`. What is decided is decided in
:mod:`cameleer_registry.security`, which knows no clock and no loop.
"""
