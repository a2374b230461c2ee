//! Chances of conditions, and the numbers of times that follow.

use super::span::{Counts, Span};

/// Observations after which a way that was always taken is taken as certain.
const SURE: u64 = 3;

/// The chance that a step or a way is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Chance {
    /// It follows from the inputs.
    Known(bool),
    /// Number of times that it was taken, of all times that it was possible.
    Seen { taken: u64, of: u64 },
    /// Nothing is known.
    Unknown,
}

impl Chance {
    /// Returns the share of times.
    pub fn share(self) -> f64 {
        match self {
            Chance::Known(is) => f64::from(u8::from(is)),
            Chance::Seen { taken, of } if of > 0 => taken as f64 / of as f64,
            Chance::Seen { .. } | Chance::Unknown => 0.5,
        }
    }

    /// Returns the chance of the other way.
    pub fn other(self) -> Chance {
        match self {
            Chance::Known(is) => Chance::Known(!is),
            Chance::Seen { taken, of } => Chance::Seen { taken: of.saturating_sub(taken), of },
            Chance::Unknown => Chance::Unknown,
        }
    }

    fn is_certain(self) -> bool {
        match self {
            Chance::Known(is) => is,
            Chance::Seen { taken, of } => taken >= of && of >= SURE,
            Chance::Unknown => false,
        }
    }

    /// Returns how often of `times` it is taken: within two standard deviations of the mean.
    pub fn of(self, times: Counts) -> Counts {
        if self.is_certain() {
            return times;
        }
        if self == Chance::Known(false) {
            return Counts { low: 0.0, likely: 0.0, high: 0.0 };
        }
        let share = self.share();
        let spread = |times: f64| 2.0 * (share * (1.0 - share) * times).sqrt();
        // Once is possible whatever the share.
        let high = (share * times.high + spread(times.high)).max(times.high.min(1.0)).min(times.high);
        let low = (share * times.low - spread(times.low)).max(0.0);
        let likely = (share * times.likely).clamp(low, high);
        Counts { low, likely, high }
    }

    /// Returns the duration of what may be taken: likely all of it when it is taken more often than not.
    pub fn duration(self, whole: Span) -> Span {
        match self {
            Chance::Known(false) => Span::ZERO,
            chance if chance.is_certain() => whole,
            chance if chance.share() >= 0.5 => Span::new(0, whole.likely(), whole.high()),
            _ => Span::new(0, 0, whole.high()),
        }
    }

    /// Returns the time of a step that takes one of two ways.
    pub fn either(self, then: Span, otherwise: Span) -> Span {
        let both = then.low() > 0 && otherwise.low() > 0;
        let low = if both { then.low().min(otherwise.low()) } else { then.low().max(otherwise.low()) };
        let likely = if self.share() >= 0.5 { then.likely() } else { otherwise.likely() };
        Span::new(low, likely, then.high().max(otherwise.high()))
    }
}
