-- Schema 9: the runs that a run started are found by it.
CREATE INDEX run_parent ON run (json_extract(extra, '$.parent.run')) WHERE extra IS NOT NULL;
