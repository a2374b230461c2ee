-- Schema 8: what a key may do besides its role, or is kept to: workers and queues of its hosts, models, approvals. JSON.
ALTER TABLE access_key ADD COLUMN scope TEXT NOT NULL DEFAULT '{}';
