-- Schema 12: schedules, and what became of their times.

-- `waits` is 1 while a fire waits for the end of an earlier one.
CREATE TABLE schedule (
    tenant    INTEGER NOT NULL,
    name      TEXT NOT NULL,
    spec      TEXT NOT NULL,
    state     TEXT NOT NULL,
    due_at    INTEGER,
    waits     INTEGER NOT NULL,
    revision  INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedule_due ON schedule (due_at, tenant, name) WHERE due_at IS NOT NULL;
CREATE INDEX schedule_waits ON schedule (tenant, name) WHERE waits = 1;

CREATE TABLE fire (
    tenant     INTEGER NOT NULL,
    schedule   TEXT NOT NULL,
    scheduled  INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    started    INTEGER NOT NULL,
    outcome    TEXT NOT NULL,
    PRIMARY KEY (tenant, schedule, scheduled, kind)
) STRICT, WITHOUT ROWID;
