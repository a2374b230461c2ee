//! Parameters of queries: name and meaning.

/// Names with their meanings.
type Parameters = &'static [(&'static str, &'static str)];

pub(crate) const PAGING: Parameters =
    &[("limit", "Rows at most, 1 to 1,000"), ("cursor", "`next_cursor` of the page before")];
pub(crate) const AUDIT_FILTERS: Parameters = &[
    ("tenant", "Only acts on this tenant's data; the key's own tenant by default"),
    ("all", "`true`: acts on the data of all tenants, for admins of tenant 1"),
    ("limit", "Rows at most, 1 to 1,000"),
    ("cursor", "`next_cursor` of the page before"),
];
pub(crate) const DELIVERY_FILTERS: Parameters = &[
    ("state", "Only deliveries in this state: pending, delivered or failed"),
    ("limit", "Rows at most, 1 to 1,000"),
    ("cursor", "`next_cursor` of the page before"),
];
pub(crate) const NEXT: Parameters = &[("count", "Number of times, 1 to 1,000; five by default")];
pub(crate) const DETAILS: Parameters = &[
    ("wait_ms", "Wait for the end, at most 60,000 ms"),
    ("details", "`true`: also what lists leave out, such as the input and the failed attempts"),
];
pub(crate) const TASK_FILTERS: Parameters = &[
    ("state", "Only tasks in this state, or in several with commas between"),
    ("run", "Only steps of this run"),
    ("since", "Only tasks submitted at this time or later"),
    ("until", "Only tasks submitted before this time"),
    ("q", "Only tasks with this text in id, worker, step, key or error"),
    ("category", "Only tasks with an error of this category"),
    ("degraded", "`true`: only tasks with a degraded answer"),
    ("queue", "Only tasks of this queue"),
    ("worker", "Only tasks for this worker"),
    ("dead", "`true`: only tasks that crashed their workers"),
    ("steps", "`true`: also the steps of runs"),
    ("before", "Only those older than this one, by its id"),
    ("limit", "Rows at most, 1 to 1,000"),
    ("cursor", "`next_cursor` of the page before"),
];
pub(crate) const RUN_FILTERS: Parameters = &[
    ("workflow", "Only runs of this workflow"),
    ("open", "`true`: only runs that have not ended"),
    ("before", "Only those older than this one, by its id"),
    ("state", "Only runs in this state, or in several with commas between"),
    ("since", "Only runs started at this time or later"),
    ("until", "Only runs started before this time"),
    ("q", "Only runs with this text in id, workflow, starter or error"),
    ("paused", "`true`: only paused runs; `false`: only others"),
    ("degraded", "`true`: only runs with a degraded step"),
    ("limit", "Rows at most, 1 to 1,000"),
    ("cursor", "`next_cursor` of the page before"),
];
pub(crate) const STEPS: Parameters = &[
    ("outputs", "`false`: without outputs"),
    ("limit", "Rows at most, 1 to 1,000"),
    ("cursor", "`next_cursor` of the page before"),
];
pub(crate) const JOURNAL: Parameters =
    &[("from", "The number of the first entry"), ("limit", "Entries at most, 1 to 1,000")];
pub(crate) const DEAD_FILTERS: Parameters = &[
    ("queue", "Only tasks of this queue"),
    ("worker", "Only tasks for this worker"),
    ("limit", "Rows at most, 1 to 1,000"),
    ("cursor", "`next_cursor` of the page before"),
];
pub(crate) const FILE_NAME: Parameters = &[("name", "Its name; Content-Type is its media type")];
pub(crate) const DIFF: Parameters = &[
    ("from", "The earlier version; by default the one before `to`"),
    ("to", "The later version; by default the newest"),
];
pub(crate) const AFTER: Parameters = &[
    ("after", "Begin after this entry; equal to the header Last-Event-ID"),
    ("texts", "`true`: also the output of models, as it comes"),
];
pub(crate) const LOGS: Parameters = &[
    ("tail", "Lines at most, 1 to 1,000; default 100"),
    ("q", "Only lines with this text"),
    ("before", "Only lines before this number"),
    ("follow", "`true`: as server-sent events, as they come"),
];
pub(crate) const LIVE: Parameters =
    &[("cursor", "Continue after this event"), ("ticket", "A ticket, for clients that cannot send headers")];
pub(crate) const SOCKET: Parameters = &[
    ("cursor", "Continue after this event"),
    ("run", "Only this run, with the output of its models"),
    ("ticket", "A ticket, for clients that cannot send headers"),
];

pub(crate) const COST: Parameters = &[
    ("by", "task, run, worker, queue, key, token, provider, model, tenant or day; several with commas"),
    ("per", "hour, day or month (UTC): each row divided by time"),
    ("from", "Only calls that began at this time or later: the whole hour, or the whole period"),
    ("to", "Only calls that began before this time; default now"),
    ("worker", "Only calls of this worker's tasks, or of the script of that name"),
    ("run", "Only calls of this run's tasks"),
    ("model", "Only calls of this model, as the provider calls it"),
    ("limit", "Rows at most, 1 to 1,000"),
];
pub(crate) const CALLS: Parameters = &[
    ("task", "Only calls of this task"),
    ("run", "Only calls of this run"),
    ("provider", "Only calls of this provider"),
    ("model", "Only calls of this model, as the provider calls it"),
    ("state", "Only calls in this state"),
    ("since", "Only calls begun at this time or later"),
    ("until", "Only calls begun before this time"),
    ("limit", "Rows at most, 1 to 1,000"),
    ("cursor", "`next_cursor` of the page before"),
];
pub(crate) const ITEMS: Parameters = &[
    ("step", "The path of the step, such as `classify`"),
    ("state", "Only items in this state"),
    ("limit", "Rows at most, 1 to 1,000"),
    ("cursor", "`next_cursor` of the page before"),
];
pub(crate) const ITEM_STATES: Parameters = &[("step", "The path of the step, such as `classify`")];
pub(crate) const TICKET: Parameters = &[("ticket", "A ticket, for clients that cannot send headers")];
pub(crate) const SERIES: Parameters = &[
    ("metric", "throughput, failures, wait_p50, depth and so on, with commas between"),
    ("by", "all, queue, worker, provider or model"),
    ("from", "The beginning (RFC 3339); an hour before the end by default"),
    ("to", "The end; now by default"),
    ("step", "Milliseconds between two values"),
];
pub(crate) const SEARCH: Parameters =
    &[("q", "An id, a number, or a part of a name"), ("limit", "Hits at most, 1 to 100")];
pub(crate) const SUBMIT: Parameters = &[
    ("wait_ms", "Wait for the end, at most 60,000 ms"),
    ("results", "The stream of results that gets the end; ignored when it is not open"),
];
pub(crate) const RESULTS: Parameters =
    &[("results", "The stream of results that gets the ends; ignored when it is not open")];
