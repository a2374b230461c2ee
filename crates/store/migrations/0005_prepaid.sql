-- Schema 5: blocks of money, drawn for calls that are yet to be made. The id is that of the call.

CREATE TABLE block (
    id       INTEGER PRIMARY KEY,
    tenant   INTEGER NOT NULL,
    task     INTEGER,
    attempt  INTEGER NOT NULL,
    run      INTEGER,
    epoch    INTEGER NOT NULL,
    payer    TEXT NOT NULL,
    amount   INTEGER NOT NULL,
    at       INTEGER NOT NULL
) STRICT;
