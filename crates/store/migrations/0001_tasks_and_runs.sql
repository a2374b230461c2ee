-- Schema 1. Times are milliseconds since 1970; states, reasons and kinds are the numbers of the enums in core.
-- References are checked at the end of a turn, so that a row that met a conflict is told as one.
-- Every hot index is partial: rows that have ended leave it, so that history does not slow the queue.

CREATE TABLE sequence (
    kind  INTEGER PRIMARY KEY,
    next  INTEGER NOT NULL
) STRICT;
INSERT INTO sequence (kind, next) VALUES (0, 1), (1, 1), (2, 1), (3, 1);

-- Names of queues, workers and workflows, so that index entries hold small integers. Concurrency keys are not here:
-- they may be as many as there are customers.
CREATE TABLE name (
    id    INTEGER PRIMARY KEY,
    text  TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE version (
    id          INTEGER PRIMARY KEY,
    tenant      INTEGER NOT NULL,
    workflow    INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    sha256      BLOB NOT NULL,
    file        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    source      BLOB NOT NULL,
    UNIQUE (tenant, workflow, number)
) STRICT;

-- Written once, never changed. Either the bytes, or the hash and length of a file in blobs/.
CREATE TABLE payload (
    id      INTEGER PRIMARY KEY,
    sha256  TEXT,
    length  INTEGER,
    bytes   BLOB,
    CHECK ((bytes IS NULL) = (sha256 IS NOT NULL AND length IS NOT NULL))
) STRICT;

CREATE TABLE run (
    id          INTEGER PRIMARY KEY,
    tenant      INTEGER NOT NULL,
    workflow    INTEGER NOT NULL,
    version     INTEGER NOT NULL REFERENCES version (id) DEFERRABLE INITIALLY DEFERRED,
    created_at  INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    stopped_by  INTEGER,
    ended_at    INTEGER,
    detail      TEXT,
    strategy    TEXT    NOT NULL,
    inputs_id   INTEGER REFERENCES payload (id) DEFERRABLE INITIALLY DEFERRED,
    outputs_id  INTEGER REFERENCES payload (id) DEFERRABLE INITIALLY DEFERRED,
    inputs      BLOB,
    outputs     BLOB,
    due_at      INTEGER,
    extra       TEXT
) STRICT;
CREATE INDEX run_due ON run (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX run_open ON run (id) WHERE status < 10;
CREATE INDEX run_workflow ON run (tenant, workflow);
CREATE INDEX run_ended ON run (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX run_inputs ON run (inputs_id) WHERE inputs_id IS NOT NULL;
CREATE INDEX run_outputs ON run (outputs_id) WHERE outputs_id IS NOT NULL;

CREATE TABLE journal (
    run    INTEGER NOT NULL REFERENCES run (id) DEFERRABLE INITIALLY DEFERRED,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    event  TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

-- First what never changes, then what each turn may change, then what may be long.
CREATE TABLE task (
    id          INTEGER PRIMARY KEY,
    tenant      INTEGER NOT NULL,
    queue       INTEGER NOT NULL,
    worker      INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    run         INTEGER REFERENCES run (id) DEFERRABLE INITIALLY DEFERRED,
    scope       INTEGER,
    slot        INTEGER,
    key         TEXT,
    requires    INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    crashes     INTEGER NOT NULL,
    rank        INTEGER,
    at          INTEGER,
    due_at      INTEGER,
    reason      INTEGER,
    needs       INTEGER,
    waits_for   TEXT,
    nonce       INTEGER,
    host        INTEGER,
    started_at  INTEGER,
    ended_at    INTEGER,
    dead        INTEGER,
    detail      TEXT,
    policy      TEXT,
    input_id    INTEGER REFERENCES payload (id) DEFERRABLE INITIALLY DEFERRED,
    output_id   INTEGER REFERENCES payload (id) DEFERRABLE INITIALLY DEFERRED,
    input       BLOB,
    output      BLOB,
    path        TEXT
) STRICT;
-- The lanes of ready tasks in the order of claiming; also what is running, and the counts of everything open. `requires`
-- is the name of the labels that a host must have, 0 when any will do.
CREATE INDEX task_open ON task (state, tenant, queue, worker, requires, rank) WHERE state < 10;
CREATE INDEX task_due ON task (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX task_held ON task (reason, rank) WHERE state = 4;
CREATE INDEX task_held_key ON task (reason, key, rank) WHERE state = 4;
CREATE INDEX task_held_run ON task (run, id) WHERE state = 4 AND reason = 3;
-- A step has one row: a second one is a step that was started twice.
CREATE UNIQUE INDEX task_step ON task (run, scope, slot) WHERE run IS NOT NULL;
CREATE INDEX task_unsuccessful ON task (tenant, state) WHERE state > 10;
CREATE INDEX task_ended ON task (ended_at) WHERE ended_at IS NOT NULL AND run IS NULL;
CREATE INDEX task_input ON task (input_id) WHERE input_id IS NOT NULL;
CREATE INDEX task_output ON task (output_id) WHERE output_id IS NOT NULL;

CREATE TABLE attempt (
    task        INTEGER NOT NULL REFERENCES task (id) DEFERRABLE INITIALLY DEFERRED,
    epoch       INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    error       TEXT NOT NULL,
    PRIMARY KEY (task, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    tenant  INTEGER NOT NULL,
    key     TEXT NOT NULL,
    body    BLOB NOT NULL,
    kind    INTEGER NOT NULL,
    first   INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    until   INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_until ON idempotency (until);

-- What somebody paused by hand: 0 a queue, 1 a worker. A row stays when it is resumed and says who did it.
CREATE TABLE gate (
    tenant  INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    name    INTEGER NOT NULL,
    paused  INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, name)
) STRICT, WITHOUT ROWID;

-- The task whose answer may be given again to the same question. It refers to nothing: a task that is gone is a miss.
CREATE TABLE answer (
    tenant  INTEGER NOT NULL,
    key     BLOB NOT NULL,
    task    INTEGER NOT NULL,
    until   INTEGER NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_until ON answer (until);
