-- Schema 6: how many of the recorded answers to a request an attempt on a worker host was given again. Such an attempt outlives its
-- server, and so must this. What former attempts of its task were given goes when it is written.
CREATE TABLE given (
    task         INTEGER NOT NULL REFERENCES task (id) DEFERRABLE INITIALLY DEFERRED,
    attempt      INTEGER NOT NULL,
    fingerprint  BLOB NOT NULL,
    count        INTEGER NOT NULL,
    PRIMARY KEY (task, attempt, fingerprint)
) STRICT, WITHOUT ROWID;
