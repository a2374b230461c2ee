//! Numbers in JSON text, and whether a double holds them exactly.

/// Significant digits that every double keeps.
const DIGITS_KEPT: usize = 15;

/// Tells whether a double that was read from a decimal text stands for the same number: its shortest form has the
/// digits of the text. `0.1` does, `0.10000000000000001` and `12345678901234567890123` do not.
#[must_use]
pub fn is_exact_double(text: &str, float: f64) -> bool {
    if !float.is_finite() {
        return false;
    }
    let Some((digits, exponent)) = decimal(text) else { return false };
    // The smallest normal double is 2.2e-308; below it fewer digits are kept.
    if digits.is_empty() || (digits.len() <= DIGITS_KEPT && (-290..290).contains(&exponent)) {
        return true;
    }
    decimal(&format!("{float:e}")) == Some((digits, exponent))
}

/// Returns the significant digits of a decimal number, and the power of ten that they are multiplied by. The sign is
/// dropped.
fn decimal(text: &str) -> Option<(String, i64)> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, power.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all: String = [whole, fraction].concat();
    let led = all.trim_start_matches('0');
    let digits = led.trim_end_matches('0');
    if digits.is_empty() {
        return Some((String::new(), 0));
    }
    let shift = i64::try_from(led.len() - digits.len()).ok()? - i64::try_from(fraction.len()).ok()?;
    Some((digits.to_owned(), power.checked_add(shift)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_is_exact_where_it_gives_the_digits_back() {
        let exact = |text: &str| is_exact_double(text, text.parse().unwrap());
        for text in ["0", "-0", "0.1", "1E5", "1e+300", "1.10", "123456789012345680000", "5e-324", "100.000", "0e999"] {
            assert!(exact(text), "{text}");
        }
        for text in [
            "12345678901234567890123",
            "18446744073709551617",
            "0.1000000000000000055511151231257827",
            "1e400",
            "-1e400",
            "1e-400",
            "3.14159265358979323846",
            "1.7976931348623157081e308",
        ] {
            assert!(!exact(text), "{text}");
        }
    }
}
