"""A log in NATS JetStream: one stream of entries, and one of snapshots.

Of nats-py only publishing, plain subscriptions and requests are used. Its ordered consumer loses
entries when it is too slow, and says nothing (nats.go issue 2107; the same code is here).
"""
