//! Rate limits of a provider: a window over the last minute, and the limits in the provider's own answers. The window
//! belongs to the whole provider, as configured. Limits in answers are kept per model, since providers count each model
//! or deployment apart.
//!
//! A token bucket that fills to its limit lets nearly twice the limit through in its first minute. Here every call of
//! the last minute is remembered where a limit is set, so that no minute, wherever it begins, holds more than the
//! limit. Tokens that a call turned out not to need are released at the moment they were reserved.
//!
//! A caller that will call soon may be promised a call ([`Rate::promise`]). The promise counts against the limit until
//! the call is made, until it is released, or for ten seconds; the call then belongs to the minute in which it is made.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::transport::header::HeaderMap;
use kapelle_core::DurationMs;

use crate::config::RateLimits;

/// A minute and the time that a request is on its way, in milliseconds.
const WINDOW_MS: u64 = 60_500;
/// Longest reset time that is believed, in milliseconds.
const LONGEST_RESET_MS: u64 = 3_600_000;
/// Life of a promise, in milliseconds.
const PROMISE_MS: u64 = 10_000;
/// Number of known models; any caller may name one.
const MODELS_MAX: usize = 1_024;
/// Tokens of a call, as assumed before the first one.
const TYPICAL_TOKENS: u64 = 1_000;

/// Rate limits and recent calls of one provider.
pub(crate) struct Rate {
    limits: RateLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: VecDeque<Taken>,
    tokens: u64,
    next: u64,
    promised: VecDeque<Promised>,
    models: HashMap<String, Learned>,
}

/// Limits learned for one model.
#[derive(Default)]
struct Learned {
    requests_left: Option<Left>,
    tokens_left: Option<Left>,
    /// Average tokens of the last calls.
    typical: Option<u64>,
    /// Time until which the provider refuses all calls, in milliseconds.
    off_until_ms: u64,
}

struct Promised {
    model: String,
    call: Taken,
}

struct Taken {
    number: u64,
    at_ms: u64,
    tokens: u64,
}

/// Amount that is left until a moment, according to the provider.
#[derive(Clone, Copy)]
struct Left {
    amount: u64,
    until_ms: u64,
}

/// Requests and tokens that rate limits leave for a model now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLeft {
    /// Configured limit of requests in a minute.
    pub requests_per_minute: Option<u64>,
    /// Configured limit of tokens in a minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests left now, by the configuration and the provider's answers; `None` when neither limits them.
    pub requests: Option<u64>,
    /// Tokens left now, likewise.
    pub tokens: Option<u64>,
    /// Wait of the next call of average size.
    pub wait: DurationMs,
}

/// Permission to send one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permit {
    number: u64,
    tokens: u64,
}

/// A call that is promised to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Promise(u64);

impl State {
    /// Finds a permit among the recent calls. Numbers rise, and a long stream ends after many later calls.
    fn place(&self, permit: Permit) -> Option<usize> {
        self.taken.binary_search_by_key(&permit.number, |taken| taken.number).ok()
    }

    /// Returns the learned limits of a model, to be updated. Names come from callers, so their number is bounded.
    fn model(&mut self, now_ms: u64, model: &str) -> &mut Learned {
        if self.models.len() >= MODELS_MAX && !self.models.contains_key(model) {
            self.models.retain(|_, learned| learned.holds(now_ms));
            if self.models.len() >= MODELS_MAX {
                self.models.clear();
            }
        }
        self.models.entry(model.to_owned()).or_default()
    }

    fn typical(&self, model: &str) -> u64 {
        self.models.get(model).and_then(|learned| learned.typical).unwrap_or(TYPICAL_TOKENS)
    }

    fn off(&self, now_ms: u64, model: &str) -> u64 {
        self.models.get(model).map_or(0, |learned| learned.off_until_ms.saturating_sub(now_ms))
    }
}

impl Learned {
    /// Tells whether a limit that the provider named still applies.
    fn holds(&self, now_ms: u64) -> bool {
        let left = [self.requests_left, self.tokens_left].into_iter().flatten().any(|left| left.until_ms > now_ms);
        left || self.off_until_ms > now_ms
    }
}

impl Rate {
    pub(crate) fn new(limits: RateLimits) -> Rate {
        Rate { limits, state: Mutex::default() }
    }

    /// Reserves the right to send a request of that many tokens to a model, its answer included.
    ///
    /// # Errors
    /// The wait until it would fit; nothing is then reserved.
    pub(crate) fn take(&self, now_ms: u64, call: (&str, u64)) -> Result<Permit, DurationMs> {
        self.take_from(&mut self.lock(), now_ms, call)
    }

    /// Promises a future call of a model, of average size. Returns `None` when no rate limit is known.
    ///
    /// # Errors
    /// The wait until it would fit; nothing is then promised.
    pub(crate) fn promise(&self, now_ms: u64, model: &str) -> Result<Option<Promise>, DurationMs> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if !self.is_limited() && !state.models.get(model).is_some_and(|learned| learned.holds(now_ms)) {
            return Ok(None);
        }
        let tokens = state.typical(model);
        let off = state.off(now_ms, model);
        let wait = self.wait(state, now_ms, (model, tokens)).max(DurationMs(off));
        if wait > DurationMs(0) {
            return Err(wait);
        }
        let number = state.next;
        state.next += 1;
        let call = Taken { number, at_ms: now_ms, tokens };
        state.promised.push_back(Promised { model: model.to_owned(), call });
        Ok(Some(Promise(number)))
    }

    /// Turns a promise into a permit of this moment.
    ///
    /// # Errors
    /// The wait until it would fit, when the call is larger than promised, or the promise has expired. The promise is
    /// then void.
    pub(crate) fn redeem(&self, promise: Promise, now_ms: u64, call: (&str, u64)) -> Result<Permit, DurationMs> {
        let mut state = self.lock();
        state.promised.retain(|promised| promised.call.number != promise.0);
        self.take_from(&mut state, now_ms, call)
    }

    /// Releases a promise.
    pub(crate) fn break_promise(&self, promise: Promise) {
        self.lock().promised.retain(|promised| promised.call.number != promise.0);
    }

    /// Records that the provider accepts no calls for that model for this long.
    pub(crate) fn off(&self, now_ms: u64, model: &str, wait: DurationMs) {
        let mut state = self.lock();
        let learned = state.model(now_ms, model);
        learned.off_until_ms = learned.off_until_ms.max(now_ms + wait.0.min(LONGEST_RESET_MS));
    }

    /// Tells whether a limit is configured: only then are calls remembered.
    fn is_limited(&self) -> bool {
        self.limits.requests_per_minute.is_some() || self.limits.tokens_per_minute.is_some()
    }

    fn take_from(&self, state: &mut State, now_ms: u64, (model, tokens): (&str, u64)) -> Result<Permit, DurationMs> {
        let wait = self.wait(state, now_ms, (model, tokens));
        if wait > DurationMs(0) {
            return Err(wait);
        }
        let number = state.next;
        state.next += 1;
        if self.is_limited() {
            state.tokens = state.tokens.saturating_add(tokens);
            state.taken.push_back(Taken { number, at_ms: now_ms, tokens });
        }
        if let Some(learned) = state.models.get_mut(model) {
            for (left, amount) in [(&mut learned.requests_left, 1), (&mut learned.tokens_left, tokens)] {
                if let Some(left) = left {
                    left.amount = left.amount.saturating_sub(amount);
                }
            }
        }
        Ok(Permit { number, tokens })
    }

    /// Returns the wait of the next call of a model for a promise. Nothing is promised.
    pub(crate) fn waits(&self, now_ms: u64, model: &str) -> DurationMs {
        let mut state = self.lock();
        let tokens = state.typical(model);
        let off = DurationMs(state.off(now_ms, model));
        self.wait(&mut state, now_ms, (model, tokens)).max(off)
    }

    /// Returns what the rate limits leave for a model now.
    pub(crate) fn left(&self, now_ms: u64, model: &str) -> RateLeft {
        let mut guard = self.lock();
        let state = &mut *guard;
        let tokens = state.typical(model);
        // Drops what is older than the window.
        let wait = self.wait(state, now_ms, (model, tokens)).0.max(state.off(now_ms, model));
        let calls = (state.taken.len() + state.promised.len()) as u64;
        let held = state.promised.iter().fold(state.tokens, |sum, one| sum.saturating_add(one.call.tokens));
        let learned = state.models.get(model);
        let least = |own: Option<u64>, told: Option<Left>| {
            let told = told.filter(|left| left.until_ms > now_ms).map(|left| left.amount);
            own.into_iter().chain(told).min()
        };
        let (requests, tokens) = (self.limits.requests_per_minute.map(u64::from), self.limits.tokens_per_minute);
        let own = |limit: Option<u64>, used: u64| limit.map(|limit| limit.saturating_sub(used));
        RateLeft {
            requests_per_minute: requests,
            tokens_per_minute: tokens,
            requests: least(own(requests, calls), learned.and_then(|learned| learned.requests_left)),
            tokens: least(own(tokens, held), learned.and_then(|learned| learned.tokens_left)),
            wait: DurationMs(wait),
        }
    }

    /// Replaces the estimated tokens by the true number.
    pub(crate) fn correct(&self, permit: Permit, model: &str, tokens: u64) {
        let mut state = self.lock();
        if self.is_limited() {
            let Some(at) = state.place(permit) else { return };
            state.taken[at].tokens = tokens;
            state.tokens = state.tokens.saturating_sub(permit.tokens).saturating_add(tokens);
        }
        if tokens == 0 && !state.models.contains_key(model) {
            return;
        }
        let learned = state.model(0, model);
        if tokens > 0 {
            let typical = |typical: u64| typical.saturating_mul(7).saturating_add(tokens) / 8;
            learned.typical = Some(learned.typical.map_or(tokens, typical));
        }
        if let Some(left) = &mut learned.tokens_left {
            left.amount = left.amount.saturating_add(permit.tokens).saturating_sub(tokens);
        }
    }

    /// Releases the permit of a request that was not sent.
    pub(crate) fn give_back(&self, permit: Permit, model: &str) {
        self.correct(permit, model, 0);
        let mut state = self.lock();
        if let Some(at) = state.place(permit) {
            state.taken.remove(at);
        }
    }

    /// Learns from the headers of an answer of that model.
    pub(crate) fn learn(&self, now_ms: u64, model: &str, headers: &HeaderMap) {
        let (requests, tokens) = (read(headers, "requests", now_ms), read(headers, "tokens", now_ms));
        if requests.is_none() && tokens.is_none() {
            return;
        }
        let mut state = self.lock();
        let learned = state.model(now_ms, model);
        if requests.is_some() {
            learned.requests_left = requests;
        }
        if tokens.is_some() {
            learned.tokens_left = tokens;
        }
    }

    fn wait(&self, state: &mut State, now_ms: u64, (model, tokens): (&str, u64)) -> DurationMs {
        let gone = now_ms.saturating_sub(WINDOW_MS);
        while state.taken.front().is_some_and(|taken| taken.at_ms <= gone && now_ms >= WINDOW_MS) {
            let tokens = state.taken.pop_front().map_or(0, |taken| taken.tokens);
            state.tokens = state.tokens.saturating_sub(tokens);
        }
        while state.promised.front().is_some_and(|promised| promised.call.at_ms + PROMISE_MS <= now_ms) {
            state.promised.pop_front();
        }
        let sum = |sum: u64, promised: &Promised| sum.saturating_add(promised.call.tokens);
        let promised = state.promised.iter().fold(0, sum);
        let mut until = now_ms.max(self.fits_at(state, now_ms, tokens, promised));
        let of_model = || state.promised.iter().filter(|promised| promised.model == model);
        let (requests, promised) = (of_model().count() as u64, of_model().fold(0, sum));
        let Some(learned) = state.models.get_mut(model) else { return DurationMs(until - now_ms) };
        for (left, amount, promised) in
            [(&mut learned.requests_left, 1, requests), (&mut learned.tokens_left, tokens, promised)]
        {
            match left {
                Some(known) if known.until_ms <= now_ms => *left = None,
                Some(known) if known.amount < amount.saturating_add(promised) => until = until.max(known.until_ms),
                _ => {}
            }
        }
        DurationMs(until - now_ms)
    }

    /// Returns the moment at which a call fits the configured limits.
    fn fits_at(&self, state: &State, now_ms: u64, tokens: u64, promised: u64) -> u64 {
        let calls = state.taken.len() + state.promised.len();
        let most = self.limits.requests_per_minute.map_or(usize::MAX, |limit| limit.max(1) as usize);
        // A request above the whole limit is sent alone; the provider decides on it.
        let needed = self.limits.tokens_per_minute.map_or(0, |limit| tokens.min(limit));
        let all = self.limits.tokens_per_minute.unwrap_or(u64::MAX);
        let mut held = state.tokens.saturating_add(promised);
        if calls < most && held.saturating_add(needed) <= all {
            return now_ms;
        }
        let taken = state.taken.iter().map(|taken| (taken.at_ms + WINDOW_MS, taken.tokens));
        let due = state.promised.iter().map(|promised| (promised.call.at_ms + PROMISE_MS, promised.call.tokens));
        let mut frees: Vec<(u64, u64)> = taken.chain(due).collect();
        frees.sort_unstable();
        let mut until = now_ms;
        for (gone, (at, tokens)) in frees.into_iter().enumerate() {
            if calls - gone < most && held.saturating_add(needed) <= all {
                break;
            }
            held = held.saturating_sub(tokens);
            until = until.max(at);
        }
        until
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the rest of `requests` or `tokens` from the headers of OpenAI (`x-ratelimit-remaining-tokens`, reset as a
/// span) or of Anthropic (`anthropic-ratelimit-tokens-remaining`, reset as a date).
fn read(headers: &HeaderMap, what: &str, now_ms: u64) -> Option<Left> {
    let text = |name: String| headers.get(name).and_then(|value| value.to_str().ok()).map(|t| t.trim().to_owned());
    if let Some(amount) = text(format!("x-ratelimit-remaining-{what}")) {
        let span = text(format!("x-ratelimit-reset-{what}")).and_then(|span| span_ms(&span))?;
        return Some(Left { amount: amount.parse().ok()?, until_ms: now_ms + span.min(LONGEST_RESET_MS) });
    }
    let amount = text(format!("anthropic-ratelimit-{what}-remaining"))?.parse().ok()?;
    let reset: jiff::Timestamp = text(format!("anthropic-ratelimit-{what}-reset"))?.parse().ok()?;
    // The date is compared with the answer's own, so that a wrong local clock does no harm.
    let date = headers.get("date").and_then(|value| value.to_str().ok());
    let now = jiff::fmt::rfc2822::parse(date?).ok()?.timestamp();
    let span = u64::try_from(reset.as_millisecond().saturating_sub(now.as_millisecond())).unwrap_or(0);
    Some(Left { amount, until_ms: now_ms + span.min(LONGEST_RESET_MS) })
}

/// Parses a span such as `6m0s`, `1.5s`, `20ms` or `1h2m` into milliseconds.
fn span_ms(text: &str) -> Option<u64> {
    let (mut total, mut rest) = (0f64, text);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        total += number
            * match &rest[end..unit_end] {
                "ms" => 1.0,
                "s" => 1_000.0,
                "m" => 60_000.0,
                "h" => 3_600_000.0,
                "d" => 86_400_000.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    (total.is_finite() && total >= 0.0).then(|| total.min(LONGEST_RESET_MS as f64).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(requests: Option<u32>, tokens: Option<u64>) -> Rate {
        Rate::new(RateLimits { requests_per_minute: requests, tokens_per_minute: tokens })
    }

    fn waits(rate: &Rate, now_ms: u64, tokens: u64) -> DurationMs {
        rate.wait(&mut rate.lock(), now_ms, ("m", tokens))
    }

    #[test]
    fn six_hundred_calls_under_a_limit_of_sixty_take_nine_minutes_and_no_minute_holds_more() {
        let rate = rate(Some(60), None);
        let (mut now, mut sent) = (1_000, Vec::new());
        while sent.len() < 600 {
            match rate.take(now, ("m", 1)) {
                Ok(_) => sent.push(now),
                Err(wait) => now += wait.0,
            }
        }
        for window in sent.windows(61) {
            assert!(window[60] - window[0] > 60_000, "61 calls within a minute");
        }
        assert!(now < 10 * 61_000, "{now}");
    }

    proptest! {
        #[test]
        fn no_minute_holds_more_tokens_than_the_limit(calls in prop::collection::vec((0u64..900, 0u64..30_000), 1..80)) {
            let rate = rate(None, Some(1_000));
            let (mut now, mut sent) = (0u64, Vec::new());
            for (tokens, pause) in calls {
                now += pause;
                while let Err(wait) = rate.take(now, ("m", tokens)) {
                    prop_assert!(wait.0 > 0);
                    now += wait.0;
                }
                sent.push((now, tokens));
            }
            for &(from, _) in &sent {
                let within: u64 = sent.iter().filter(|(at, _)| (from..from + 60_000).contains(at)).map(|(_, t)| t).sum();
                prop_assert!(within <= 1_000);
            }
        }
    }

    #[test]
    fn what_was_not_needed_is_given_back() {
        let rate = rate(Some(2), Some(100));
        let first = rate.take(0, ("m", 90)).unwrap();
        assert!(rate.take(1, ("m", 50)).is_err());
        rate.correct(first, "m", 20);
        let second = rate.take(2, ("m", 50)).unwrap();
        assert!(rate.take(3, ("m", 1)).is_err(), "two requests were sent");
        rate.give_back(second, "m");
        assert_eq!(waits(&rate, 4, 80), DurationMs(0));
        assert!(waits(&rate, 4, 81) > DurationMs(0));
    }

    proptest! {
        /// Mixes promised calls with others. No minute holds more than the limit, and a promised call that was made in
        /// time did not wait (where tokens are not limited).
        #[test]
        fn promised_calls_are_of_the_minute_in_which_they_are_made(
            steps in prop::collection::vec((0u8..4, 0u64..6_000), 1..150),
        ) {
            let rate = rate(Some(5), None);
            let (mut now, mut sent, mut promises) = (0u64, Vec::new(), Vec::new());
            for (what, pause) in steps {
                now += pause;
                match what {
                    0 | 1 => {
                        if let Ok(promise) = rate.promise(now, "m") {
                            promises.push((promise.unwrap(), now));
                        }
                    }
                    2 if !promises.is_empty() => {
                        let (promise, at) = promises.remove(0);
                        let taken = rate.redeem(promise, now, ("m", 1));
                        prop_assert!(taken.is_ok() || now >= at + PROMISE_MS);
                        if taken.is_ok() {
                            sent.push(now);
                        }
                    }
                    3 if !promises.is_empty() => rate.break_promise(promises.remove(0).0),
                    _ => if rate.take(now, ("m", 1)).is_ok() {
                        sent.push(now);
                    },
                }
            }
            for window in sent.windows(6) {
                prop_assert!(window[5] - window[0] > 60_000, "6 calls within a minute: {:?}", window);
            }
        }
    }

    #[test]
    fn without_a_limit_no_call_is_remembered() {
        let free = rate(None, None);
        for now_ms in 0..1_000 {
            let permit = free.take(now_ms, ("m", 7)).unwrap();
            free.correct(permit, "m", 9);
        }
        assert!(free.lock().taken.is_empty() && free.lock().typical("m") == 9);
        free.give_back(free.take(1_000, ("m", 7)).unwrap(), "m");
    }

    #[test]
    fn nobody_is_promised_what_nobody_counts_and_a_provider_that_is_off_promises_nothing() {
        let free = rate(None, None);
        assert_eq!(free.promise(0, "m"), Ok(None));
        free.off(0, "m", DurationMs(700));
        assert_eq!((free.promise(100, "m"), free.promise(700, "m")), (Err(DurationMs(600)), Ok(None)));
        let tokens = rate(None, Some(2_500));
        let first = tokens.promise(0, "m").unwrap().unwrap();
        assert!(tokens.promise(0, "m").unwrap().is_some() && tokens.promise(0, "m").is_err());
        tokens.break_promise(first);
        let permit = tokens.take(1, ("m", 1_500)).unwrap();
        tokens.correct(permit, "m", 40);
        assert!((0..30).all(|_| tokens.promise(2, "m").unwrap().is_some()), "calls turned out to be small");
    }

    #[test]
    fn what_the_provider_says_is_learned() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
        };
        let rate = rate(None, None);
        rate.learn(
            0,
            "m",
            &headers(&[("x-ratelimit-remaining-requests", "1"), ("x-ratelimit-reset-requests", "6m0s")]),
        );
        assert!(rate.take(10, ("m", 5)).is_ok());
        assert!((0..5).all(|_| rate.take(10, ("other", 5)).is_ok()), "another model has a limit of its own");
        assert_eq!(rate.take(10, ("m", 5)), Err(DurationMs(359_990)));
        assert!(rate.take(360_000, ("m", 5)).is_ok(), "the window has rolled");
        rate.learn(
            400_000,
            "m",
            &headers(&[
                ("anthropic-ratelimit-tokens-remaining", "0"),
                ("anthropic-ratelimit-tokens-reset", "2026-10-21T07:28:30Z"),
                ("date", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ]),
        );
        assert_eq!(waits(&rate, 400_000, 5), DurationMs(30_000));
    }

    #[test]
    fn what_is_learned_and_promised_of_a_model_holds_for_it_alone_and_names_are_bounded() {
        let rate = rate(None, None);
        rate.off(0, "a", DurationMs(700));
        assert_eq!((rate.waits(0, "a"), rate.waits(0, "b")), (DurationMs(700), DurationMs(0)));
        assert_eq!((rate.promise(0, "a"), rate.promise(0, "b")), (Err(DurationMs(700)), Ok(None)));
        for number in 0..3 * MODELS_MAX {
            rate.correct(rate.take(0, (&number.to_string(), 1)).unwrap(), &number.to_string(), u64::MAX);
        }
        assert!(rate.lock().models.len() <= MODELS_MAX);
        let limited = Rate::new(RateLimits { requests_per_minute: Some(2), tokens_per_minute: None });
        assert!(limited.take(0, ("a", 1)).is_ok() && limited.take(0, ("b", 1)).is_ok());
        assert!(limited.take(0, ("c", 1)).is_err(), "the configured limit is the provider's");
    }

    #[test]
    fn spans_are_read_or_left() {
        for (text, ms) in
            [("6m0s", Some(360_000)), ("1.5s", Some(1_500)), ("20ms", Some(20)), ("12", None), ("x", None)]
        {
            assert_eq!(span_ms(text), ms, "{text}");
        }
    }
}
