"""The ledger's tables, and how its file is created, opened and recognised.

Public: every table and view below but `meta`, which is the writer's own. Times are nanoseconds since the epoch
(UTC), money nano-USD, NULL = unknown.

    calls             view: one readable row per live call
    daily             view: totals per UTC day, model and tag set; they outlive archiving
    daily_savings     view: the same, per lever and basis
    facts             one row per call, see below
    savings           what each lever saved (+) or lost (-) on a call
    decisions         what each layer decided, in order
    parts             every message, tool list and answer, stored once; `hash` is the sha256 of its JSON as sent;
                      codec 0: `body` as it is, 1: zstd, 2: withheld (content: hashed), `body` is NULL
    origins           api, provider, endpoint, models, tenant, variant (a hash), price revision of calls
    tagsets, tags     the tags of calls
    rollup            what `daily` shows, `day` in days since the epoch
    rollup_savings    what `daily_savings` shows
    segments          files that hold archived calls

A row of `facts` says

    when              `started`, `first` (the first byte of the answer, 0: not known), `ended`; of that, limits held
                      the call back for `waited`
    what was asked    `origin`, `tagset`; `shape` and `refs`, the body as numbers of `parts`; `request_hash`, its
                      sha256; `stream`; `control`, what the caller asked of the cache (on, off, refresh);
                      `cache_key`, empty where it may not be cached; `trimmed`, tokens a trim took out first
    what came back    `outcome` (ok, hit, error, left, refused), `tier` of a hit, `status`, `finish`, `error`, some
                      `headers`; `reply_body` and `reply_events`, numbers of `parts`
    what it cost      `input` to `searches` as in `costopt.types.Usage`, `estimated` where they were counted here,
                      `raw_usage` as the provider said it, `cost` with that of unused `attempts`; `unpriced`: money
                      was spent, nobody knows how much
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Generator
from pathlib import Path

from costopt.errors import LedgerError

APPLICATION_ID = 0x434F5354  # "COST"
VERSION = 3
#: The oldest that is brought up to `VERSION`: see `migrate`.
OLDEST = 2
NAME = "ledger.sqlite3"
BUSY_S = 10.0

_TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 0);
CREATE TABLE parts(
  id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, codec INTEGER NOT NULL,
  body BLOB);
CREATE TABLE origins(
  id INTEGER PRIMARY KEY, api TEXT NOT NULL, provider TEXT NOT NULL, endpoint TEXT NOT NULL,
  asked TEXT NOT NULL, served TEXT NOT NULL, tenant TEXT NOT NULL, variant TEXT NOT NULL,
  revision TEXT NOT NULL, UNIQUE (served, asked, endpoint, api, provider, tenant, variant, revision));
CREATE TABLE tagsets(id INTEGER PRIMARY KEY, json TEXT NOT NULL UNIQUE);
CREATE TABLE tags(
  name TEXT NOT NULL, value TEXT NOT NULL, tagset INTEGER NOT NULL REFERENCES tagsets(id),
  PRIMARY KEY (name, value, tagset)) WITHOUT ROWID;
CREATE TABLE facts(
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
  started INTEGER NOT NULL, ended INTEGER NOT NULL, first INTEGER NOT NULL,
  origin INTEGER NOT NULL REFERENCES origins(id), tagset INTEGER NOT NULL REFERENCES tagsets(id),
  outcome TEXT NOT NULL, tier TEXT NOT NULL, status INTEGER, finish TEXT NOT NULL, stream INTEGER NOT NULL,
  control TEXT NOT NULL, trimmed INTEGER NOT NULL, waited INTEGER NOT NULL,
  input INTEGER, cache_read INTEGER, cache_write INTEGER, cache_write_1h INTEGER, output INTEGER,
  reasoning INTEGER, audio_input INTEGER, audio_output INTEGER, image_input INTEGER, searches INTEGER,
  service_tier TEXT, estimated INTEGER, raw_usage TEXT, cost INTEGER, unpriced INTEGER NOT NULL,
  error TEXT NOT NULL, headers TEXT NOT NULL, attempts TEXT, cache_key TEXT NOT NULL,
  request_hash BLOB NOT NULL,
  shape INTEGER NOT NULL REFERENCES parts(id), refs BLOB NOT NULL,
  reply_body INTEGER REFERENCES parts(id), reply_events INTEGER REFERENCES parts(id));
CREATE INDEX facts_started ON facts(started);
CREATE TABLE savings(
  call INTEGER NOT NULL REFERENCES facts(n), seq INTEGER NOT NULL, lever TEXT NOT NULL, nano INTEGER NOT NULL,
  basis TEXT NOT NULL, baseline TEXT NOT NULL, PRIMARY KEY (call, seq)) WITHOUT ROWID;
CREATE TABLE decisions(
  call INTEGER NOT NULL REFERENCES facts(n), seq INTEGER NOT NULL, layer TEXT NOT NULL, what TEXT NOT NULL,
  PRIMARY KEY (call, seq)) WITHOUT ROWID;
CREATE TABLE rollup(
  day INTEGER NOT NULL, model TEXT NOT NULL, tagset INTEGER NOT NULL REFERENCES tagsets(id),
  calls INTEGER NOT NULL, hits INTEGER NOT NULL, errors INTEGER NOT NULL, unpriced INTEGER NOT NULL,
  priced INTEGER NOT NULL, prompt INTEGER NOT NULL, cached INTEGER NOT NULL, output INTEGER NOT NULL,
  estimated INTEGER NOT NULL, cost INTEGER NOT NULL, refused INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (day, model, tagset)) WITHOUT ROWID;
CREATE TABLE rollup_savings(
  day INTEGER NOT NULL, model TEXT NOT NULL, tagset INTEGER NOT NULL REFERENCES tagsets(id),
  lever TEXT NOT NULL, basis TEXT NOT NULL, nano INTEGER NOT NULL,
  PRIMARY KEY (day, model, tagset, lever, basis)) WITHOUT ROWID;
CREATE TABLE segments(
  name TEXT PRIMARY KEY, calls INTEGER NOT NULL, first_started INTEGER NOT NULL, last_started INTEGER NOT NULL,
  bytes INTEGER NOT NULL, sha256 BLOB NOT NULL, archived INTEGER NOT NULL) WITHOUT ROWID;

CREATE VIEW calls AS SELECT
  f.id, f.started, f.ended, f.first, o.api, o.provider, o.endpoint, o.asked, o.served, f.outcome, f.tier,
  f.status, f.finish, f.stream, f.control, f.trimmed, f.waited,
  f.input, f.cache_read, f.cache_write, f.cache_write_1h, f.output, f.reasoning, f.audio_input, f.audio_output,
  f.image_input, f.searches, f.service_tier, f.estimated, f.raw_usage, f.cost, f.unpriced,
  o.revision, o.tenant, o.variant, t.json AS tags, f.error,
  lower(hex(f.request_hash)) AS request_hash, (SELECT sum(nano) FROM savings WHERE call = f.n) AS saved
  FROM facts f JOIN origins o ON o.id = f.origin JOIN tagsets t ON t.id = f.tagset;
CREATE VIEW daily_savings AS SELECT
  date(r.day * 86400, 'unixepoch') AS date, r.model, t.json AS tags, r.lever, r.basis, r.nano
  FROM rollup_savings r JOIN tagsets t ON t.id = r.tagset;
"""

DAILY = """
CREATE VIEW daily AS SELECT
  date(r.day * 86400, 'unixepoch') AS date, r.model, t.json AS tags, r.calls, r.hits, r.errors, r.unpriced,
  r.priced, r.prompt, r.cached, r.output, r.estimated,
  CASE WHEN r.priced THEN r.cost END AS cost, r.refused FROM rollup r JOIN tagsets t ON t.id = r.tagset;
"""

#: A fact changes never, and leaves only inside the one transaction that moves it to a segment.
_ARCHIVING = "EXISTS (SELECT 1 FROM meta WHERE key = 'archiving')"
_GUARDED = ("facts", "savings", "decisions", "parts", "origins", "tagsets", "tags")
_GUARDS = """
CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {unless}
  BEGIN SELECT RAISE(ABORT, 'the ledger is immutable: {table} cannot be updated'); END;
CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN NOT {archiving}
  BEGIN SELECT RAISE(ABORT, 'the ledger is immutable: {table} cannot be deleted'); END;
"""
#: The same call again is ignored, and so is INSERT OR REPLACE, which would delete without asking a trigger.
_ONCE = """
CREATE TRIGGER facts_once BEFORE INSERT ON facts WHEN EXISTS (SELECT 1 FROM facts WHERE id = NEW.id)
  BEGIN SELECT RAISE(IGNORE); END;
"""


def _script() -> str:
    # a withheld part may be filled in when the same text is later recorded with content: full
    guards = (
        _GUARDS.format(table=t, archiving=_ARCHIVING, unless="WHEN OLD.codec <> 2" if t == "parts" else "")
        for t in _GUARDED
    )
    return "BEGIN;" + _TABLES + DAILY + "".join(guards) + _ONCE + "COMMIT;"


def connect(folder: Path) -> sqlite3.Connection:
    """Open the ledger of `folder` for writing, creating folder (0700) and file (0600) where there is none, and
    bringing an older one up to `VERSION`.

    Raises LedgerError: not a ledger, corrupt, from a newer version, or the folder cannot be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (folder / NAME).exists():
            _create(folder)
        return _migrated(check(_open(folder / NAME, "rw"), folder / NAME), folder)
    except OSError as error:
        raise LedgerError(f"{folder}: cannot hold a ledger: {error.strerror}") from error


def connect_to_read(folder: Path) -> sqlite3.Connection:
    """Open an existing ledger for reading, also where nothing can be written beside it (a backup, another user's).
    It may be as old as `OLDEST`: `migrate.stand_in` reads it as one of today. Raises LedgerError, also where there is
    none."""
    path = folder / NAME
    try:
        there = path.is_file()
    except OSError as error:
        raise LedgerError(f"{folder}: cannot be read: {error.strerror}") from error
    if not there:
        raise LedgerError(f"{folder}: no ledger here (nothing was recorded yet, or another path is meant)")
    return check(_open(path, "ro&immutable=1" if _is_sealed(path) else "ro"), path)


def _is_sealed(path: Path) -> bool:
    """Whether SQLite must be told that nobody writes: else it makes files beside a ledger, even to read it. Where
    its -shm is, somebody has it open, and SQLite gets along. Raises LedgerError."""
    beside = [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]
    if os.access(path.parent, os.W_OK) or beside[1].exists():
        return False
    if beside[0].exists() and beside[0].stat().st_size:
        raise LedgerError(
            f"{path}: its last calls are in {beside[0].name}, to be read only where the folder can be written: copy it"
        )
    return True


def _open(path: Path, mode: str) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: cannot be opened: {error}") from error
    return db


def check(db: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """The same connection, tuned, if this is a ledger we can read; else closes it and raises LedgerError."""
    try:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        version = version_of(db)
        # NORMAL in WAL mode: a power cut may lose the last transactions, never the file
        db.executescript(
            "PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=16777216; PRAGMA temp_store=MEMORY"
        )
    except sqlite3.Error as error:
        db.close()
        raise unreadable(path, error) from error
    if application == APPLICATION_ID and OLDEST <= version <= VERSION:
        return db
    db.close()
    if application != APPLICATION_ID:
        raise LedgerError(f"{path}: not a costopt ledger; give the ledger another folder")
    if version > VERSION:
        raise LedgerError(
            f"{path}: written by a newer costopt (ledger version {version}, this one reads {VERSION}); "
            "upgrade costopt or give it another folder"
        )
    raise LedgerError(
        f"{path}: of a version before the first release ({version}); give the ledger another folder"
    )


def version_of(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _migrated(db: sqlite3.Connection, folder: Path) -> sqlite3.Connection:
    if version_of(db) < VERSION:
        from costopt.world.ledger import migrate  # reads calls, whose tables are described here

        try:
            with transaction(db):
                migrate.upgrade(db, folder)
        except sqlite3.Error as error:
            db.close()
            raise unreadable(folder / NAME, error) from error
    return db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None]:
    """All of the block's changes or none; takes the write lock at once."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def unreadable(path: Path, error: sqlite3.Error) -> LedgerError:
    """What to tell the user about an error SQLite raised on a ledger."""
    if isinstance(error, sqlite3.OperationalError):
        return LedgerError(f"{path}: cannot be used now: {error}")
    return LedgerError(f"{path}: corrupt or not a ledger ({error}); move it away to start a new one")


def _create(folder: Path) -> None:
    """Build the file aside and link it into place whole, so no process ever sees half a schema."""
    handle, name = tempfile.mkstemp(
        prefix=".ledger-", dir=folder
    )  # mkstemp: mode 0600; -wal and -shm inherit it
    os.close(handle)
    made = Path(name)
    try:
        _fill(made)
        _place(made, folder / NAME)
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            made.with_name(made.name + suffix).unlink(missing_ok=True)


def _place(made: Path, final: Path) -> None:
    try:
        os.link(made, final)
    except FileExistsError:  # another process was first
        return
    except OSError:  # no hard links here, so a small race: the later of two first processes wins
        if not final.exists():
            made.replace(final)


def _fill(path: Path) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.executescript(
            f"PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;"
            f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={VERSION};" + _script()
        )
    except sqlite3.Error as error:
        raise OSError(0, str(error)) from error
    finally:
        db.close()
