"""The job tables, version by version: what makes version 1 of an empty file, and each of the one before.

A file is of the version that its `user_version` says. To change the tables, add a migration at the end: those
that are here were run on people's files, and stay as they are. A new file runs all of them, so that it cannot
differ from one that was upgraded. When and how they are run is `upgrade`'s business.
"""

from __future__ import annotations

from i2v.jobs.upgrade import Migration

_VERSION_1 = (
    "CREATE TABLE counter (revision INTEGER NOT NULL) STRICT",
    "INSERT INTO counter VALUES (0)",
    """CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY,    -- the counter when it was submitted
        place INTEGER NOT NULL,     -- the counter when it was put at the end of the queue
        revision INTEGER NOT NULL,
        id TEXT NOT NULL UNIQUE,
        idempotency_key TEXT UNIQUE,
        fingerprint TEXT NOT NULL,
        request TEXT NOT NULL,
        generation TEXT NOT NULL,
        notices TEXT NOT NULL,
        input TEXT NOT NULL,
        output TEXT NOT NULL UNIQUE,
        status TEXT NOT NULL DEFAULT 'queued'
            CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
        owner TEXT CHECK ((owner IS NOT NULL) = (status = 'running')),
        lease_until REAL CHECK ((lease_until IS NOT NULL) = (status = 'running')),  -- monotonic seconds
        cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (status = 'running' OR NOT cancel_requested),
        attempt INTEGER NOT NULL DEFAULT 0,
        deaths INTEGER NOT NULL DEFAULT 0,
        interruptions INTEGER NOT NULL DEFAULT 0,
        phase TEXT NOT NULL DEFAULT 'queued',
        progress REAL NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
        step INTEGER,
        total INTEGER,
        eta_seconds REAL,
        preview_revision INTEGER,
        result TEXT CHECK ((result IS NOT NULL) = (status = 'succeeded')),
        error TEXT CHECK ((error IS NOT NULL) = (status = 'failed')),
        history TEXT NOT NULL DEFAULT '[]',
        created_at REAL NOT NULL,   -- these three: seconds since 1970
        started_at REAL,
        finished_at REAL CHECK ((finished_at IS NOT NULL) = (status NOT IN ('queued', 'running')))
    ) STRICT""",
    "CREATE INDEX jobs_by_status ON jobs (status, seq)",
    "CREATE INDEX jobs_queue ON jobs (status, place)",
    """CREATE TABLE previews (
        id TEXT PRIMARY KEY,        -- of a running job
        picture BLOB NOT NULL
    ) STRICT""",
)

_OUTBOX = (
    """CREATE TABLE outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, also where the last ones are gone
        job TEXT CHECK ((job IS NULL) != (batch IS NULL)),
        batch TEXT,                 -- of what happened to a batch
        event TEXT NOT NULL,
        at REAL NOT NULL,           -- seconds since 1970, as all times here
        attempt INTEGER NOT NULL,
        engine TEXT,
        details TEXT NOT NULL,
        webhook TEXT                -- the job's or batch's own: when it is deleted, its row is gone
    ) STRICT""",
    "CREATE INDEX outbox_by_time ON outbox (at)",
    """CREATE TABLE outbox_readers (
        reader TEXT PRIMARY KEY,
        number INTEGER NOT NULL     -- of the last row that it has read
    ) STRICT""",
)
_USERS = (  # whose each is: a name of `security.users`; NULL: nobody's
    "ALTER TABLE jobs ADD COLUMN user TEXT",
    "CREATE INDEX jobs_by_user ON jobs (user, status) WHERE user IS NOT NULL",
    "ALTER TABLE batches ADD COLUMN user TEXT",
    "ALTER TABLE outbox ADD COLUMN user TEXT",
    "ALTER TABLE deliveries ADD COLUMN user TEXT",
)
_DELIVERIES = (
    """CREATE TABLE deliveries (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,    -- what receivers tell a message by that comes twice
        job TEXT CHECK ((job IS NULL) != (batch IS NULL)),
        batch TEXT,                 -- of a message about a batch
        event TEXT NOT NULL,
        url TEXT NOT NULL,
        host TEXT NOT NULL,         -- scheme, name and port of it: one message at a time goes there
        is_own INTEGER NOT NULL,    -- whether it is the job's or batch's own webhook, and not of the settings
        secret TEXT,                -- of its own webhook, if it has one
        body TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
        attempts INTEGER NOT NULL DEFAULT 0,   -- since it was sent, or sent again by hand
        next_at REAL CHECK ((next_at IS NOT NULL) = (status = 'pending')),
        error TEXT,                 -- why the last attempt failed
        created_at REAL NOT NULL,
        ended_at REAL CHECK ((ended_at IS NOT NULL) = (status != 'pending'))
    ) STRICT""",
    "CREATE INDEX deliveries_due ON deliveries (status, next_at)",
    "CREATE INDEX deliveries_by_status ON deliveries (status, seq)",
    "CREATE INDEX deliveries_ended ON deliveries (ended_at)",
)

MIGRATIONS = (
    Migration(1, "the first tables", _VERSION_1),
    Migration(
        2,
        "no leases (the service knows which worker lives); how a job was planned when it was submitted",
        ("ALTER TABLE jobs DROP COLUMN lease_until", "ALTER TABLE jobs ADD COLUMN plan TEXT"),
    ),
    Migration(
        3,
        "pictures besides the image",
        ("ALTER TABLE jobs ADD COLUMN other_inputs TEXT NOT NULL DEFAULT '[]'",),
    ),
    Migration(
        4,
        "stars, tags, a trash, a queue that can be paused, batches, devices, users; the outbox, and webhooks",
        (
            "ALTER TABLE jobs ADD COLUMN starred INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE jobs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'",
            "ALTER TABLE jobs ADD COLUMN picture_name TEXT NOT NULL DEFAULT ''",
            "CREATE INDEX jobs_by_output ON jobs (output COLLATE NOCASE)",  # as some disks tell names apart
            "ALTER TABLE jobs ADD COLUMN deleted_at REAL",  # seconds since 1970; NULL: not in the trash
            "CREATE INDEX jobs_tagged ON jobs (deleted_at) WHERE tags != '[]'",
            "CREATE TABLE queue (paused INTEGER NOT NULL) STRICT",  # one row
            "INSERT INTO queue VALUES (0)",
            """CREATE TABLE batches (
                seq INTEGER PRIMARY KEY,
                id TEXT NOT NULL UNIQUE,
                name TEXT NOT NULL,
                fields TEXT NOT NULL,       -- of a request: what its rows do not say
                idempotency_key TEXT UNIQUE,
                webhook TEXT,
                created_at REAL NOT NULL    -- seconds since 1970
            ) STRICT""",
            """CREATE TABLE batch_rows (
                batch TEXT NOT NULL,
                number INTEGER NOT NULL,    -- from 1
                name TEXT NOT NULL,         -- of the picture, for people
                fields TEXT NOT NULL,
                picture TEXT,               -- the file that waits to become a job's, NULL once it has
                job TEXT,                   -- stays when the job is deleted
                error TEXT,                 -- why it did not become one
                PRIMARY KEY (batch, number)
            ) STRICT, WITHOUT ROWID""",
            """CREATE INDEX batch_rows_waiting ON batch_rows (batch, number)
               WHERE job IS NULL AND error IS NULL""",
            "ALTER TABLE jobs ADD COLUMN batch TEXT",
            "CREATE INDEX jobs_by_batch ON jobs (batch) WHERE batch IS NOT NULL",
            "ALTER TABLE jobs ADD COLUMN webhook TEXT",
            "ALTER TABLE jobs ADD COLUMN request_id TEXT",
            "ALTER TABLE jobs ADD COLUMN wanted_device TEXT",  # NULL: any
            "ALTER TABLE jobs ADD COLUMN needed_bytes INTEGER",  # free on a device; NULL: not known
            "ALTER TABLE jobs ADD COLUMN device TEXT",  # that it runs on, or ran on last
            # Those of the service that runs, or ran last: free_bytes is NULL until a worker has measured it.
            "CREATE TABLE devices (id TEXT PRIMARY KEY, free_bytes INTEGER) STRICT",
            # Whose weights are where, in a cluster; jobs do not ask about an engine that is nowhere in it.
            # Columns in the order of the key: SQLite's quick_check reports NULLs where they are not.
            """CREATE TABLE device_models (
                engine TEXT NOT NULL,
                device TEXT NOT NULL,
                PRIMARY KEY (engine, device)
            ) STRICT, WITHOUT ROWID""",
            *_OUTBOX,
            *_DELIVERIES,
            *_USERS,
        ),
    ),
)
