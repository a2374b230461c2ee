-- Schema 13: subscriptions to events, and the outbox of their deliveries.

INSERT INTO sequence (kind, next) VALUES (5, 1);

CREATE TABLE subscription (
    tenant    INTEGER NOT NULL,
    name      TEXT NOT NULL,
    spec      TEXT NOT NULL,
    state     TEXT NOT NULL,
    revision  INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- `state` is 0 while it waits, 1 once it was delivered, 2 when it was given up.
CREATE TABLE delivery (
    id            INTEGER PRIMARY KEY,
    tenant        INTEGER NOT NULL,
    subscription  TEXT NOT NULL,
    event_id      INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    subject       TEXT NOT NULL,
    event         TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    state         INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    next_at       INTEGER NOT NULL,
    ended_at      INTEGER,
    status        INTEGER,
    error         TEXT,
    revision      INTEGER NOT NULL
) STRICT;

CREATE INDEX delivery_due ON delivery (tenant, subscription, next_at, id) WHERE state = 0;
CREATE INDEX delivery_subject ON delivery (tenant, subscription, subject, id) WHERE state = 0;
CREATE INDEX delivery_list ON delivery (tenant, subscription, id);
CREATE INDEX delivery_ended ON delivery (ended_at) WHERE ended_at IS NOT NULL;
