//! The tables.
//!
//! A record is containerd's own protobuf message: a type of the wire that may gain fields and never
//! changes one, so it is also the format on disk. Beside it stand only the columns that are looked up.

/// Format of the tables; a newer one is refused rather than misread.
pub(super) const FORMAT: i64 = 1;

/// Creates what is missing.
pub const TABLES: &str = "
CREATE TABLE IF NOT EXISTS facts (
    name TEXT PRIMARY KEY, value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS namespaces (
    name TEXT PRIMARY KEY, record BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS containers (
    namespace TEXT NOT NULL, id TEXT NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (namespace, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS images (
    namespace TEXT NOT NULL, name TEXT NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (
    namespace TEXT NOT NULL, digest TEXT NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (namespace, digest)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blobs_by_digest ON blobs (digest);
CREATE TABLE IF NOT EXISTS snapshots (
    number INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL, snapshotter TEXT NOT NULL, key TEXT NOT NULL,
    parent INTEGER REFERENCES snapshots (number), kind INTEGER NOT NULL,
    size INTEGER NOT NULL DEFAULT 0, inodes INTEGER NOT NULL DEFAULT 0,
    unsynced_since_boot TEXT, record BLOB NOT NULL,
    UNIQUE (namespace, snapshotter, key)
);
CREATE INDEX IF NOT EXISTS snapshots_by_parent ON snapshots (parent);
CREATE TABLE IF NOT EXISTS leases (
    namespace TEXT NOT NULL, id TEXT NOT NULL, record BLOB NOT NULL,
    PRIMARY KEY (namespace, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lease_resources (
    namespace TEXT NOT NULL, lease TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (namespace, lease, type, id)
) WITHOUT ROWID;
";
