"""``auth``: keys and tokens, of a server that runs or of one that is stopped."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click
import uuid_utils

from ..client import Operator
from ..core.instant import nanoseconds
from ..core.views import time_of_day
from ..errors import CannotOpenDatabase, NotFound, SettingsError
from ..security import keyfile, tokens
from ..security.founding import found, time_of
from ..security.keyring import KeyRing
from ..security.keys import KeySet, Use
from ..security.model import TokenRequest, TokenShown, TokenStatus
from ..security.principals import CREATABLE, Reclaim, Role
from ..security.tokens import TokenKind
from ..setting_values import duration
from ..wire.times import timestamp
from . import exits
from .asking import ask, json_option, server_options
from .help import examples
from .layout import Column
from .offline import Stopped, stopped
from .output import Cell, remark, table
from .output import json as print_json
from .server import Server

T = TypeVar("T")

ROLES: Final = sorted(CREATABLE, key=list(Role).index)


@click.group(
    "auth",
    epilog=examples(
        "auth init",
        "auth token create --role operator --group 'order-*'",
        "auth keys rotate command",
    ),
)
def auth_command() -> None:
    """Make, list and revoke keys and tokens.

    The commands below ask a running server, for which they need an admin token in CAMELEER_TOKEN or
    CAMELEER_TOKEN_FILE; with --database they work on a stopped one.
    """


@auth_command.command("init", epilog=examples("auth init", "auth init --database registry.db"))
@click.option("--database", metavar="PATH", help="The server's database, if it is not the default.")
@click.option(
    "--keys-file",
    metavar="PATH",
    help="File of the keys; by default keys.json beside the database.",
)
def init_command(database: str | None, keys_file: str | None) -> None:
    """Make keys if there are none, an admin token and an enrolment token.

    The server must not be running. From then on it requires credentials. The tokens are shown only
    this once, because the database contains only their SHA-256.
    """

    async def work() -> None:
        async with stopped(database, keys_file) as server:
            before = server.ring()
            made = found(server.credentials, before, now=server.now, new_id=_new_id)
            if before is None:
                keyfile.save(server.keys_path, made.ring)
            server.keep(made.facts)
            keys_path = server.keys_path
        print(f"keys             {keys_path}")
        print(f"root key         {made.ring.root_id}")
        print(f"admin token      {made.admin.text}")
        print(f"enrolment token  {made.enrolment.text}")
        print("cameleer-registry: the tokens are shown only this once", file=sys.stderr)

    _offline(work)


@auth_command.group("token")
def token_group() -> None:
    """Tokens for people, for programs and for enrolment."""


def _database_option(command: Any) -> Any:
    return click.option(
        "--database", metavar="PATH", help="Work on this database of a stopped server."
    )(command)


@token_group.command("create")
@click.option("--role", type=click.Choice([str(role) for role in ROLES]), required=True)
@click.option("--group", "groups", multiple=True, metavar="GLOB", help="Only these groups.")
@click.option(
    "--expires", metavar="DURATION", help="How long the token is valid; for ever by default."
)
@click.option(
    "--uses", type=click.IntRange(1), help="Largest number of new agents that it may register."
)
@click.option("--reclaim", type=click.Choice([str(one) for one in Reclaim]), default="always")
@click.option("--note", metavar="TEXT", help="A remark for people.")
@_database_option
@server_options
def create_command(
    server: Server,
    database: str | None,
    role: str,
    groups: tuple[str, ...],
    expires: str | None,
    uses: int | None,
    reclaim: str,
    note: str | None,
) -> None:
    """Make a token, and print it: it is shown only this once."""
    try:
        request = TokenRequest(
            role=Role(role),
            groups=groups or ("*",),
            expires_in_ms=None if expires is None else round(duration(expires) * 1000),
            uses=uses,
            reclaim=Reclaim(reclaim),
            note=note,  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if database is None:
        made = ask(server, lambda operator: operator.create_token(request))
        token_id, text = made.token_id, made.token
    else:
        token_id, text = _offline(lambda: _create(database, request))
    print(text)
    print(f"cameleer-registry: made token {token_id}; it is shown only this once", file=sys.stderr)


async def _create(database: str, request: TokenRequest) -> tuple[str, str]:
    async with stopped(database) as server:
        enrols = request.role is Role.ENROL
        ring = server.ring()
        root = ring.root_id if enrols and ring is not None else None
        kind = TokenKind.ENROLMENT if enrols else TokenKind.OPERATOR
        token, token_id = tokens.generate(kind, root=root), _new_id()
        expires = request.expires_in_ms
        try:
            facts = server.credentials.create_token(
                token_id,
                token.digest,
                request.role,
                now=server.now,
                groups=request.groups,
                expires_in=None if expires is None else nanoseconds(expires / 1000),
                note=request.note,
                uses=request.uses,
                reclaim=request.reclaim,
            )
        except ValueError as error:
            raise SettingsError(str(error)) from None
        server.keep(facts)
    return token_id, token.text


@token_group.command("list")
@_database_option
@json_option
@server_options
def list_command(server: Server, database: str | None, as_json: bool) -> None:
    """List tokens, without their secrets."""

    async def offline() -> list[TokenShown]:
        assert database is not None
        async with stopped(database, makes=False) as of:
            return [_shown(of, record) for record in of.credentials.tokens()]

    shown = ask(server, Operator.tokens) if database is None else _offline(offline)
    if as_json:
        print_json(shown)
        return
    table(
        [
            Column(name)
            for name in ("TOKEN", "ROLE", "GROUPS", "STATUS", "CREATED", "EXPIRES", "NOTE")
        ],
        [
            _row(
                one.token_id,
                str(one.role),
                ",".join(one.groups),
                str(one.status),
                timestamp(one.created_at),
                "" if one.expires_at is None else timestamp(one.expires_at),
                one.note or "",
            )
            for one in shown
        ],
    )


@token_group.command("revoke")
@click.argument("token_id", metavar="ID")
@_database_option
@server_options
def revoke_command(server: Server, database: str | None, token_id: str) -> None:
    """Revoke a token: everything that depends on it ends at once."""

    async def offline() -> None:
        assert database is not None
        async with stopped(database, makes=False) as of:
            try:
                of.keep(of.credentials.revoke_token(token_id, now=of.now))
            except NotFound as error:
                raise SettingsError(str(error)) from None

    if database is None:
        ask(server, lambda operator: operator.revoke_token(token_id))
    else:
        _offline(offline)


@auth_command.group("keys")
def keys_group() -> None:
    """The keys that sign commands and agents' tokens."""


@keys_group.command("show")
@_database_option
@server_options
def show_command(server: Server, database: str | None) -> None:
    """Show the keys, as signed by their root key."""

    async def offline() -> bytes:
        assert database is not None
        async with stopped(database, makes=False) as of:
            return _ring_of(of).line

    line = ask(server, Operator.keys) if database is None else _offline(offline)
    _print_keys(line)


@keys_group.command("rotate")
@click.argument("use", type=click.Choice([str(use) for use in Use]))
@_database_option
@server_options
def rotate_command(server: Server, database: str | None, use: str) -> None:
    """Announce the next key; the second time it signs."""

    def change(ring: KeyRing, at: datetime) -> KeyRing:
        kind = Use(use)
        waits = ring.keys.next(kind) is not None
        return ring.activated(kind, at=at) if waits else ring.announced(kind, at=at)

    _change(server, database, lambda operator: operator.rotate_key(use), change)


@keys_group.command("revoke")
@click.argument("key_id", metavar="ID")
@_database_option
@server_options
def revoke_key_command(server: Server, database: str | None, key_id: str) -> None:
    """Revoke a key: everything that it has signed is void, and another key signs at once."""
    _change(
        server,
        database,
        lambda operator: operator.revoke_key(key_id),
        lambda ring, at: ring.revoked(key_id, at=at),
    )


def _change(
    server: Server,
    database: str | None,
    online: Callable[[Operator], Awaitable[bytes]],
    change: Callable[[KeyRing, datetime], KeyRing],
) -> None:
    async def offline() -> bytes:
        assert database is not None
        async with stopped(database, makes=False) as of:
            try:
                ring = change(_ring_of(of), time_of(of.now))
            except ValueError as error:
                raise SettingsError(str(error)) from None
            keyfile.save(of.keys_path, ring)
            of.keep(of.credentials.publish(ring.keys.version, ring.line, now=of.now))
            return ring.line

    _print_keys(ask(server, online) if database is None else _offline(offline))


def _print_keys(line: bytes) -> None:
    keys = KeySet.read(line, root=None)
    remark(f"registry {keys.registry}, version {keys.version}, root key {keys.root_id}")
    since = [key.since.astimezone(UTC) for key in keys.keys]
    table(
        [Column(name) for name in ("KEY", "FOR", "STATUS", "SINCE")],
        [
            _row(key.key_id, str(key.use), str(key.status), timestamp(moment))
            for key, moment in zip(keys.keys, since, strict=True)
        ],
    )


def _row(*texts: str) -> list[Cell]:
    return [Cell(text) for text in texts]


def _ring_of(server: Stopped) -> KeyRing:
    if (ring := server.ring()) is None:
        raise SettingsError(f'there are no keys at {server.keys_path}: "auth init" makes them')
    return ring


def _shown(server: Stopped, record: Any) -> TokenShown:
    made, now = record.made, server.now
    expired = made.expires is not None and now.steady >= made.expires.steady
    status = TokenStatus.EXPIRED if expired else TokenStatus.ACTIVE
    return TokenShown(
        token_id=made.token_id,
        role=made.role,
        groups=record.scope.globs,
        status=status if record.revoked is None else TokenStatus.REVOKED,
        created_at=time_of_day(made.at),
        expires_at=time_of_day(made.expires),
        revoked_at=None if record.revoked is None else time_of_day(record.revoked.at),
        note=made.note,
        uses=made.uses,
        used=len(record.used_for),
        reclaim=made.reclaim,
        issued_by=made.by,
    )


def _offline(work: Callable[[], Awaitable[T]]) -> T:
    """Do something to a stopped server, or say in one line why not."""

    async def working() -> T:
        return await work()

    try:
        return asyncio.run(working())
    except (CannotOpenDatabase, SettingsError) as error:
        exits.fail(str(error), exits.USED_WRONGLY)


def _new_id() -> str:
    return str(uuid_utils.uuid7())
