//! How much a provider may be asked: a window over the last minute, and what the provider's own answers say.
//!
//! A token bucket that fills to its limit lets nearly twice the limit through in its first minute. Here every call of
//! the last minute is remembered, so that no minute, wherever it begins, holds more than the limit. What a call turned
//! out not to need is given back to the moment it was taken from.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kapelle_core::DurationMs;
use reqwest::header::HeaderMap;

use crate::config::RateLimits;

/// A minute, and a little for the time that a request is on its way.
const WINDOW_MS: u64 = 60_500;
/// A provider is never taken to ask for more than an hour.
const LONGEST_RESET_MS: u64 = 3_600_000;

/// The rate of one provider.
pub(crate) struct Rate {
    limits: RateLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: VecDeque<Taken>,
    tokens: u64,
    next: u64,
    requests_left: Option<Left>,
    tokens_left: Option<Left>,
}

struct Taken {
    number: u64,
    at_ms: u64,
    tokens: u64,
}

/// What the provider said is left until a moment.
#[derive(Clone, Copy)]
struct Left {
    amount: u64,
    until_ms: u64,
}

/// The right to send one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permit {
    number: u64,
    tokens: u64,
}

impl Rate {
    pub(crate) fn new(limits: RateLimits) -> Rate {
        Rate { limits, state: Mutex::default() }
    }

    /// Takes the right to send a request of so many tokens, its answer included.
    ///
    /// # Errors
    /// How long until it would fit; nothing is taken then.
    pub(crate) fn take(&self, now_ms: u64, tokens: u64) -> Result<Permit, DurationMs> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let wait = self.wait(state, now_ms, tokens);
        if wait > DurationMs(0) {
            return Err(wait);
        }
        let number = state.next;
        state.next += 1;
        state.tokens += tokens;
        state.taken.push_back(Taken { number, at_ms: now_ms, tokens });
        for (left, amount) in [(&mut state.requests_left, 1), (&mut state.tokens_left, tokens)] {
            if let Some(left) = left {
                left.amount = left.amount.saturating_sub(amount);
            }
        }
        Ok(Permit { number, tokens })
    }

    /// How long such a request would have to wait now; nothing is taken.
    pub(crate) fn waits(&self, now_ms: u64, tokens: u64) -> DurationMs {
        self.wait(&mut self.lock(), now_ms, tokens)
    }

    /// Whether nothing limits the provider, by configuration or as far as its answers tell.
    pub(crate) fn is_open(&self, now_ms: u64) -> bool {
        let mut state = self.lock();
        self.limits.is_open()
            && self.wait(&mut state, now_ms, 0) == DurationMs(0)
            && state.requests_left.is_none()
            && state.tokens_left.is_none()
    }

    /// Puts the true number of tokens in the place of the estimate.
    pub(crate) fn correct(&self, permit: Permit, tokens: u64) {
        let mut state = self.lock();
        let Some(at) = state.taken.iter().rposition(|taken| taken.number == permit.number) else { return };
        state.taken[at].tokens = tokens;
        state.tokens = state.tokens.saturating_sub(permit.tokens).saturating_add(tokens);
        if let Some(left) = &mut state.tokens_left {
            left.amount = (left.amount + permit.tokens).saturating_sub(tokens);
        }
    }

    /// Gives back the right to a request that was not sent.
    pub(crate) fn give_back(&self, permit: Permit) {
        self.correct(permit, 0);
        let mut state = self.lock();
        if let Some(at) = state.taken.iter().rposition(|taken| taken.number == permit.number) {
            state.taken.remove(at);
        }
    }

    /// Learns from the headers of an answer.
    pub(crate) fn learn(&self, now_ms: u64, headers: &HeaderMap) {
        let (requests, tokens) = (read(headers, "requests", now_ms), read(headers, "tokens", now_ms));
        if requests.is_none() && tokens.is_none() {
            return;
        }
        let mut state = self.lock();
        if requests.is_some() {
            state.requests_left = requests;
        }
        if tokens.is_some() {
            state.tokens_left = tokens;
        }
    }

    fn wait(&self, state: &mut State, now_ms: u64, tokens: u64) -> DurationMs {
        let gone = now_ms.saturating_sub(WINDOW_MS);
        while state.taken.front().is_some_and(|taken| taken.at_ms <= gone && now_ms >= WINDOW_MS) {
            let tokens = state.taken.pop_front().map_or(0, |taken| taken.tokens);
            state.tokens = state.tokens.saturating_sub(tokens);
        }
        let mut until = now_ms;
        let frees = |at: usize| state.taken.get(at).map_or(now_ms, |taken| taken.at_ms + WINDOW_MS);
        if let Some(limit) = self.limits.requests_per_minute.map(|limit| limit.max(1) as usize)
            && state.taken.len() >= limit
        {
            until = until.max(frees(state.taken.len() - limit));
        }
        if let Some(limit) = self.limits.tokens_per_minute {
            // A request above the whole limit goes alone; the provider says what it thinks of it.
            let needed = tokens.min(limit);
            let (mut held, mut at) = (state.tokens, 0);
            while held + needed > limit && at < state.taken.len() {
                held = held.saturating_sub(state.taken[at].tokens);
                until = until.max(frees(at));
                at += 1;
            }
        }
        for (left, amount) in [(&mut state.requests_left, 1), (&mut state.tokens_left, tokens)] {
            match left {
                Some(known) if known.until_ms <= now_ms => *left = None,
                Some(known) if known.amount < amount => until = until.max(known.until_ms),
                _ => {}
            }
        }
        DurationMs(until - now_ms)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left of `requests` or `tokens`, in the headers of OpenAI (`x-ratelimit-remaining-tokens`, reset as a span)
/// or of Anthropic (`anthropic-ratelimit-tokens-remaining`, reset as a date).
fn read(headers: &HeaderMap, what: &str, now_ms: u64) -> Option<Left> {
    let text = |name: String| headers.get(name).and_then(|value| value.to_str().ok()).map(|t| t.trim().to_owned());
    if let Some(amount) = text(format!("x-ratelimit-remaining-{what}")) {
        let span = text(format!("x-ratelimit-reset-{what}")).and_then(|span| span_ms(&span))?;
        return Some(Left { amount: amount.parse().ok()?, until_ms: now_ms + span.min(LONGEST_RESET_MS) });
    }
    let amount = text(format!("anthropic-ratelimit-{what}-remaining"))?.parse().ok()?;
    let reset: jiff::Timestamp = text(format!("anthropic-ratelimit-{what}-reset"))?.parse().ok()?;
    // The date is read against the answer's own, so that a wrong clock here does no harm.
    let date = headers.get("date").and_then(|value| value.to_str().ok());
    let now = jiff::fmt::rfc2822::parse(date?).ok()?.timestamp();
    let span = u64::try_from(reset.as_millisecond().saturating_sub(now.as_millisecond())).unwrap_or(0);
    Some(Left { amount, until_ms: now_ms + span.min(LONGEST_RESET_MS) })
}

/// A span such as `6m0s`, `1.5s`, `20ms`, `1h2m`, in milliseconds.
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

    #[test]
    fn six_hundred_calls_under_a_limit_of_sixty_take_nine_minutes_and_no_minute_holds_more() {
        let rate = rate(Some(60), None);
        let (mut now, mut sent) = (1_000, Vec::new());
        while sent.len() < 600 {
            match rate.take(now, 1) {
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
                while let Err(wait) = rate.take(now, tokens) {
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
        let first = rate.take(0, 90).unwrap();
        assert!(rate.take(1, 50).is_err());
        rate.correct(first, 20);
        let second = rate.take(2, 50).unwrap();
        assert!(rate.take(3, 1).is_err(), "two requests were sent");
        rate.give_back(second);
        assert_eq!(rate.waits(4, 80), DurationMs(0));
        assert!(rate.waits(4, 81) > DurationMs(0));
    }

    #[test]
    fn what_the_provider_says_is_learned() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
        };
        let rate = rate(None, None);
        rate.learn(0, &headers(&[("x-ratelimit-remaining-requests", "1"), ("x-ratelimit-reset-requests", "6m0s")]));
        assert!(rate.take(10, 5).is_ok());
        assert_eq!(rate.take(10, 5), Err(DurationMs(359_990)));
        assert!(rate.take(360_000, 5).is_ok(), "the window has rolled");
        rate.learn(
            400_000,
            &headers(&[
                ("anthropic-ratelimit-tokens-remaining", "0"),
                ("anthropic-ratelimit-tokens-reset", "2026-10-21T07:28:30Z"),
                ("date", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ]),
        );
        assert_eq!(rate.waits(400_000, 5), DurationMs(30_000));
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
