//! Money as whole nano-dollars: exact, checked, never a float.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in nano-dollars (1e-9 US dollar), never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub u64);

/// Error of an amount such as `$2.50` that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount of money: write dollars, such as $0.05 or $2.50 (at most 9 decimals)")]
pub struct MoneyError(pub String);

const NANOS: u64 = 1_000_000_000;

impl Money {
    /// No money.
    pub const ZERO: Money = Money(0);

    /// Reads `$2.50` or `2.50`, exactly.
    ///
    /// # Errors
    /// [`MoneyError`] for any other text: a sign, more than 9 decimals, more than 18 billion dollars.
    pub fn parse(text: &str) -> Result<Money, MoneyError> {
        let bad = || MoneyError(text.chars().take(40).collect());
        let plain = text.trim();
        let plain = plain.strip_prefix('$').unwrap_or(plain);
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let nanos: u64 = format!("{fraction:0<9}").parse().map_err(|_| bad())?;
        whole.checked_mul(NANOS).and_then(|n| n.checked_add(nanos)).map(Money).ok_or_else(bad)
    }

    /// Adds amounts. Returns `None` when the sum does not fit.
    #[must_use]
    pub fn checked_add(self, other: Money) -> Option<Money> {
        self.0.checked_add(other.0).map(Money)
    }

    /// Subtracts amounts. Returns `None` when `other` is larger.
    #[must_use]
    pub fn checked_sub(self, other: Money) -> Option<Money> {
        self.0.checked_sub(other.0).map(Money)
    }
}

impl fmt::Display for Money {
    /// Formats dollars with at least two decimals and no superfluous zeros after them: `$0.05`, `$0.000135`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0 % NANOS);
        let kept = fraction.trim_end_matches('0').len().max(2);
        write!(f, "${}.{}", self.0 / NANOS, &fraction[..kept])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_shown_reads_back_exactly(nanos in any::<u64>()) {
            prop_assert_eq!(Money::parse(&Money(nanos).to_string()), Ok(Money(nanos)));
        }
    }

    #[test]
    fn amounts_as_people_write_them() {
        assert_eq!(Money::parse("$0.05"), Ok(Money(50_000_000)));
        assert_eq!(Money::parse("2"), Ok(Money(2_000_000_000)));
        for text in ["", "$", "-1", "1e3", "0.0000000001", ".5", "99999999999"] {
            assert!(Money::parse(text).is_err(), "{text}");
        }
    }
}
