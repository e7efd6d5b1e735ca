"""`backup`, `restore` and `export-redirects`: links outlive the machine, and the program."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from redis.asyncio import Redis

from redirector.backup import Catalog, Restored, check, restore, rows
from redirector.backups import Header, Row, fingerprint, none_of_each, read, written
from redirector.cli.console import print_json, progress, say
from redirector.cli.files import written_to
from redirector.cli.options import JSONOption, store_of, with_settings, with_the_servers
from redirector.cli.secret import expect_the_secret_of_the_server, known_secret, secret_of_the_servers
from redirector.codes import Codes
from redirector.errors import InvalidBackup, InvalidInput, InvalidSetting
from redirector.export import MapFormat, Tally, as_lines, redirects
from redirector.installation import Running, keep_secret, running_in
from redirector.settings import Settings
from redirector.store.api_keys import ApiKeys
from redirector.store.backups import Backup, remember_backup
from redirector.store.campaigns import Campaigns
from redirector.store.keys import Keys
from redirector.store.links import Links
from redirector.store.people import People

BackupFile = Annotated[str, typer.Argument(metavar="FILE", help="The backup; - is stdout.")]


@with_settings
def backup_command(
    settings: Settings,
    file: BackupFile,
    *,
    without_secret: Annotated[
        bool, typer.Option("--without-secret", help="Leave the secret and the signing keys out; keep them elsewhere.")
    ] = False,
    as_json: JSONOption = False,
) -> None:
    """Write links, campaigns, keys and the secret to a file, so that mails already sent never lead nowhere."""
    secret = secret_of_the_servers(settings)
    header = Header(int(time.time() * 1000), fingerprint(secret))
    if not without_secret:
        keys = tuple(key.get_secret_value() for key in settings.signing_keys)
        header = replace(header, secret=secret, signing_keys=keys)
    counts = asyncio.run(_backed_up(settings, secret, header, file))
    if as_json and file != "-":
        print_json({"file": file, **_named(counts), "secret": not without_secret})
        return
    say(f"{_sentence(counts)} backed up" + ("." if file == "-" else f" in {file}."))
    if without_secret:
        say("The secret is not in it: without a copy of it, mails already sent lead nowhere.")
        say("The doctor does not count it as a backup.")
    else:
        say("The secret is in it: whoever has it can make codes and read API keys' hashes. Keep it in a safe place.")


async def _backed_up(settings: Settings, secret: str, header: Header, file: str) -> dict[str, int]:
    """Writes the backup; how many rows of each kind are in it."""
    counts = none_of_each()
    async with store_of(settings) as redis:
        catalog = _catalog_of(settings, redis, secret)
        await expect_the_secret_of_the_server(settings, catalog.api_keys)
        last = await catalog.links.last_number()
        with progress("links") as told, written_to(file, field="FILE", private=True) as out:

            async def counted() -> AsyncIterator[Row]:
                async for row in rows(catalog, lambda done, of: told(completed=done, total=of)):
                    counts[row.kind] += 1
                    yield row

            async for line in written(header, counted()):
                out.write(line)
        if header.secret:  # the doctor asks for a backup from which mails already sent go on alone
            await remember_backup(redis, Keys(settings.store_prefix), Backup(header.made_at, last))
    return counts


@with_settings
def restore_command(
    settings: Settings,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `redirector backup` wrote.")],
    *,
    as_json: JSONOption = False,
) -> None:
    """Put links, campaigns and keys of a backup back; what is there already stays as it is."""
    header = _header_of(file)
    secret = _secret_for(header, file, settings)

    async def put_back() -> Restored:
        async with store_of(settings) as redis:
            catalog = _catalog_of(settings, redis, secret)
            with file.open("rb") as backup:
                counts = await check(catalog, read(backup, str(file))[1], str(file))
            if not settings.secret.get_secret_value():
                keep_secret(settings.data_dir, SecretStr(secret))
            with file.open("rb") as backup, progress("restored") as told:
                told(total=sum(counts.values()))
                rows_again = read(backup, str(file))[1]
                return await restore(catalog, rows_again, str(file), lambda done: told(advance=done))

    restored = asyncio.run(put_back())
    if as_json:
        print_json({"restored": _named(restored.put), "there_already": _named(restored.there)})
        return
    say(f"{_sentence(restored.put)} restored; {_sentence(restored.there)} were there already.")
    missing = set(header.signing_keys) - {key.get_secret_value() for key in settings.signing_keys}
    if missing:
        say(f"The backup has {len(missing)} signing keys that are not set here: set signing_keys, or their codes die.")


@with_settings
def export_command(
    settings: Settings,
    *,
    form: Annotated[MapFormat, typer.Option("--format", help="nginx: to be included; json: a line for each code.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="OUT", help="Where to write it; - is stdout.")] = "-",
    recipients: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Recipients' ids, one a line, whose own codes are to be in it."),
    ] = None,
    as_json: JSONOption = False,
) -> None:
    """Write a static map of every tracked URL, so that links outlive this program."""
    if form is MapFormat.JSON:  # that for nginx has no URLs, only codes
        settings = _with_base_url(settings, running_in(settings.data_dir))
    secret = secret_of_the_servers(settings)
    codes = Codes(secret, [key.get_secret_value() for key in settings.signing_keys])
    known = _recipients_in(recipients) if recipients else []
    tally = Tally()

    async def export() -> None:
        async with store_of(settings) as redis:
            catalog = _catalog_of(settings, redis, secret)
            await expect_the_secret_of_the_server(settings, catalog.api_keys)
            found = redirects(catalog, codes, known, now=int(time.time() * 1000), tally=tally)
            with written_to(output, field="--output", private=True) as out:
                async for line in as_lines(found, form, settings.base_urls()):
                    out.write(line.encode() + b"\n")

    asyncio.run(export())
    if as_json and output != "-":
        print_json({"file": output, "format": form.value, **asdict(tally)})
        return
    say(f"{tally.codes:,} codes exported; {tally.over:,} links lead nowhere and are left out.")
    if tally.without_recipients:
        say(
            f"{tally.without_recipients:,} links are of campaigns with individual tracking: "
            "their recipients' codes are in it only when --recipients names the recipients."
        )


def _with_base_url(settings: Settings, running: Running | None) -> Settings:
    """The settings with the address that stands in mails. Raises InvalidSetting when nobody here knows it."""
    settings = with_the_servers(settings, running)
    if settings.base_url:
        return settings
    if running is None:
        raise InvalidSetting(
            "no base URL is set, and no server runs here: nobody knows with which address the URLs in mails begin",
            field="REDIRECTOR_BASE_URL",
            remedy="set it as for the servers; or take --format nginx, which has codes only",
        )
    say(f"No base URL is set: the URLs begin with {running.public_url}, and lead to this machine only.")
    return settings.model_copy(update={"base_url": running.public_url})


def _catalog_of(settings: Settings, redis: Redis, secret: str) -> Catalog:
    keys = Keys(settings.store_prefix)
    api_keys = ApiKeys(redis, keys, pepper=secret.encode())
    return Catalog(Links(redis, keys), Campaigns(redis, keys), api_keys, People(redis, keys))


def _header_of(file: Path) -> Header:
    if file.exists() and not file.is_file():
        raise InvalidInput(
            "it is no file, and a backup is read more than once",
            field="FILE", part=str(file), remedy="write it to a file first",
        )  # fmt: skip
    try:
        with file.open("rb") as backup:
            return read(backup, str(file))[0]
    except OSError as error:
        raise InvalidInput(
            f"the file cannot be read: {error.strerror}", field="FILE", part=str(file), remedy="name a backup"
        ) from None


def _secret_for(header: Header, file: Path, settings: Settings) -> str:
    """The secret under which the backup's links live on: the one that is set here, or else the backup's own.

    Raises InvalidBackup when they differ, and when there is none at all.
    """
    here = known_secret(settings)
    if here is None and header.secret:
        if settings.store_url.get_secret_value():
            raise InvalidSetting(
                "every role needs the backup's secret, and none is set",
                field="REDIRECTOR_SECRET",
                remedy=f"set it to the one in the first line of {file}",
            )
        return header.secret
    if here is None:
        raise InvalidBackup(
            "the secret was left out of the backup, and none is set here",
            field=str(file),
            remedy="set REDIRECTOR_SECRET to the one of the installation that was backed up",
        )
    if fingerprint(here.get_secret_value()) != header.fingerprint:
        raise InvalidBackup(
            "the backup is of an installation with another secret: its mails' links would lead nowhere here",
            field=str(file),
            remedy="set REDIRECTOR_SECRET as it was there, or restore into an empty --data-dir",
        )
    return here.get_secret_value()


def _recipients_in(file: Path) -> list[str]:
    try:
        return list(dict.fromkeys(line for line in file.read_text(encoding="utf-8").splitlines() if line))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"the file cannot be read: {error}", field="--recipients", part=str(file), remedy="one id a line, in UTF-8"
        ) from None


def _sentence(counts: dict[str, int]) -> str:
    links, campaigns, keys, opt_outs = _named(counts).values()
    return f"{links:,} links, {campaigns:,} campaigns, {keys:,} API keys and {opt_outs:,} opt-outs"


def _named(counts: dict[str, int]) -> dict[str, int]:
    return {f"{kind}s": counts[kind] for kind in ("link", "campaign", "api_key", "opt_out")}
