-- Schema 3: what worker hosts said of their workers, files that tenants gave, and what the session log has yet to write.

CREATE TABLE host_workers (
    tenant  INTEGER NOT NULL,
    name    TEXT NOT NULL,
    spec    TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- The bytes are in blobs/, once for all; a row lets its tenant have them.
CREATE TABLE artifact (
    tenant      INTEGER NOT NULL,
    sha256      TEXT NOT NULL,
    name        TEXT NOT NULL,
    media_type  TEXT NOT NULL,
    bytes       INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (tenant, sha256)
) STRICT, WITHOUT ROWID;

-- One row a turn, deleted once its lines are in the file; the newest stays, so that numbers go on. `ended` has 13 bytes
-- a task: its number, its attempt and its state, little-endian.
CREATE TABLE session (
    seq    INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    ended  BLOB NOT NULL,
    notes  TEXT NOT NULL
) STRICT;
