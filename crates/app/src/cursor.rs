//! Cursors of lists. Opaque to clients. A cursor holds an id, which is not secret, because the tenant of a row decides
//! who may see it.

use std::str::FromStr;

use crate::app_error::AppError;
use kapelle_api::Paging;
use kapelle_core::id::IdError;
use kapelle_store::Page;

/// Default rows of a page.
const USUAL: u32 = 100;
/// The most rows of a page.
const MOST: u32 = 1_000;
/// Makes cursors look unlike ids, so that clients do not depend on their form.
const MASK: i64 = 0x5a17_31c9_0f2e_6b44;

/// Returns the page that a query asks for.
///
/// # Errors
/// When the limit is out of bounds or the cursor is invalid.
pub(crate) fn page(of: &Paging) -> Result<Page, AppError> {
    page_of(of.limit, of.cursor.as_deref())
}

/// Returns the page of a limit and a cursor.
///
/// # Errors
/// As [`page`].
pub(crate) fn page_of(limit: Option<u32>, cursor: Option<&str>) -> Result<Page, AppError> {
    let most = limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&most) {
        return Err(AppError::invalid(format!("limit={most}: 1 to {MOST} are possible")));
    }
    Ok(Page { before: cursor.map(read).transpose()?, most })
}

/// Returns the page of a limit, and of a cursor or the id of the row before its first.
///
/// # Errors
/// As [`page`], or an invalid id.
pub(crate) fn page_before<Id: FromStr<Err = IdError>>(
    limit: Option<u32>,
    cursor: Option<&str>,
    before: Option<&str>,
    number: impl Fn(Id) -> i64,
) -> Result<Page, AppError> {
    let page = page_of(limit, cursor)?;
    let before = before.map(|text| text.parse().map(number)).transpose();
    let before = before.map_err(|error| AppError::parameter("before", error))?;
    Ok(Page { before: page.before.or(before), ..page })
}

/// Reads a cursor.
///
/// # Errors
/// When it is invalid.
pub(crate) fn read(cursor: &str) -> Result<i64, AppError> {
    let number = cursor.strip_prefix('c').filter(|rest| rest.len() == 16);
    let number = number.and_then(|rest| u64::from_str_radix(rest, 16).ok()).map(|bits| bits as i64 ^ MASK);
    number
        .filter(|number| *number >= 0)
        .ok_or_else(|| AppError::invalid("invalid cursor; expected `next_cursor` of the page before, unchanged"))
}

/// Returns the cursor after a row, when the page was full.
pub(crate) fn after(rows: usize, most: u32, last: Option<i64>) -> Option<String> {
    (rows >= most as usize).then_some(last).flatten().map(write)
}

fn write(number: i64) -> String {
    format!("c{:016x}", (number ^ MASK) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        for number in [0, 1, 12, i64::MAX] {
            assert_eq!(read(&write(number)).unwrap(), number);
        }
        for text in ["", "c", "12", "c0000", "cffffffffffffffff", "x5a1731c90f2e6b44", "c5a1731c90f2e6b4é"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(page_of(Some(0), None).is_err() && page_of(Some(1_001), None).is_err());
        assert_eq!(after(3, 3, Some(7)).as_deref().map(|cursor| read(cursor).unwrap()), Some(7));
        assert_eq!(after(2, 3, Some(7)), None);
    }
}
