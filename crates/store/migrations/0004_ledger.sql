-- Schema 3: money and model calls. Amounts are nano-dollars; kinds and states are the numbers of the enums.

INSERT INTO sequence (kind, next) VALUES (4, 1);

-- What an account may spend. `base` is what a file said: while it says the same, a limit raised by hand stays.
CREATE TABLE budget (
    kind    INTEGER NOT NULL,
    name    TEXT NOT NULL,
    tenant  INTEGER NOT NULL,
    most    INTEGER NOT NULL,
    base    INTEGER NOT NULL,
    warned  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (kind, name, tenant)
) STRICT, WITHOUT ROWID;

-- What an account has spent: on a day where its kind is the day, else in all (day 0).
CREATE TABLE account (
    kind      INTEGER NOT NULL,
    name      TEXT NOT NULL,
    tenant    INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    spent     INTEGER NOT NULL,
    unknown   INTEGER NOT NULL,
    calls     INTEGER NOT NULL,
    input     INTEGER NOT NULL,
    output    INTEGER NOT NULL,
    revision  INTEGER NOT NULL,
    PRIMARY KEY (kind, name, tenant, day)
) STRICT, WITHOUT ROWID;

-- One row for each call that was sent, and for each answer that a task was given from elsewhere.
CREATE TABLE model_call (
    id           INTEGER PRIMARY KEY,
    tenant       INTEGER NOT NULL,
    task         INTEGER,
    attempt      INTEGER NOT NULL,
    run          INTEGER,
    epoch        INTEGER NOT NULL,
    payer        TEXT NOT NULL,
    operation    TEXT NOT NULL,
    provider     TEXT NOT NULL,
    model        TEXT NOT NULL,
    fingerprint  BLOB NOT NULL,
    state        INTEGER NOT NULL,
    reserved     INTEGER NOT NULL,
    cost         INTEGER NOT NULL,
    input        INTEGER NOT NULL,
    output       INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    ended_at     INTEGER,
    request_id   TEXT,
    answer_id    INTEGER,
    answer       TEXT
) STRICT;
CREATE INDEX model_call_open ON model_call (id) WHERE state = 0;
CREATE INDEX model_call_task ON model_call (task, epoch, answer_id) WHERE task IS NOT NULL;
CREATE INDEX model_call_loose ON model_call (at) WHERE task IS NULL;

-- The call whose answer may be given to whoever of the tenant asks the same. It refers to nothing: a call that is gone
-- is a miss.
CREATE TABLE kept_call (
    tenant       INTEGER NOT NULL,
    fingerprint  BLOB NOT NULL,
    call         INTEGER NOT NULL,
    until        INTEGER NOT NULL,
    PRIMARY KEY (tenant, fingerprint)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_call_until ON kept_call (until);
