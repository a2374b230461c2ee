-- Schema 10: spending by hour and by day (UTC), so that a report reads sums and not calls. `span` is 0 for hours and 1
-- for days; `start` is their number since 1970. A sum outlives the calls that it counts.
CREATE TABLE spend (
    span      INTEGER NOT NULL,
    tenant    INTEGER NOT NULL,
    start     INTEGER NOT NULL,
    worker    TEXT NOT NULL,
    queue     TEXT NOT NULL,
    key       TEXT NOT NULL,
    provider  TEXT NOT NULL,
    model     TEXT NOT NULL,
    spent     INTEGER NOT NULL,
    unknown   INTEGER NOT NULL,
    calls     INTEGER NOT NULL,
    given     INTEGER NOT NULL,
    input     INTEGER NOT NULL,
    output    INTEGER NOT NULL,
    PRIMARY KEY (span, tenant, start, worker, queue, key, provider, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX spend_hours ON spend (start) WHERE span = 0;

-- The calls that are still stored.
INSERT INTO spend
SELECT span, tenant, start, worker, queue, key, provider, model,
       CAST(min(total(cost), 9e18) AS INTEGER),
       CAST(min(total(iif(state = 3, cost, 0)), 9e18) AS INTEGER),
       sum(state IN (1, 2, 3)), sum(state = 4),
       CAST(min(total(iif(state = 4, 0, input)), 9e18) AS INTEGER),
       CAST(min(total(iif(state = 4, 0, output)), 9e18) AS INTEGER)
FROM (
    SELECT wide.span, call.tenant,
           (call.at - ((call.at % wide.length) + wide.length) % wide.length) / wide.length AS start,
           coalesce((SELECT atom FROM json_tree(call.payer) AS item WHERE item.key = 'worker' LIMIT 1), '') AS worker,
           coalesce((SELECT atom FROM json_tree(call.payer) AS item WHERE item.key = 'queue' LIMIT 1), '') AS queue,
           coalesce((SELECT atom FROM json_tree(call.payer) AS item WHERE item.key = 'key' LIMIT 1), '') AS key,
           call.provider, call.model, call.state, call.cost, call.input, call.output
    FROM model_call AS call,
         (SELECT 0 AS span, 3600000 AS length UNION ALL SELECT 1, 86400000) AS wide
    WHERE call.state <> 0
)
GROUP BY span, tenant, start, worker, queue, key, provider, model;
