-- Small JSON values that workers keep for a tenant.
CREATE TABLE memo (
    tenant      INTEGER NOT NULL,
    collection  TEXT NOT NULL,
    key         TEXT NOT NULL,
    value       TEXT NOT NULL,
    revision    INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (tenant, collection, key)
) STRICT, WITHOUT ROWID;
