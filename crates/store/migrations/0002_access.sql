-- Schema 2: keys, of whose secrets only hashes are kept, and the trail of administrative acts.

CREATE TABLE access_key (
    id          TEXT PRIMARY KEY,
    tenant      INTEGER NOT NULL,
    name        TEXT NOT NULL,
    role        TEXT NOT NULL,
    sha256      BLOB NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq       INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    tenant    INTEGER NOT NULL,
    actor     TEXT NOT NULL,
    action    TEXT NOT NULL,
    resource  TEXT NOT NULL,
    hash      BLOB NOT NULL
) STRICT;
