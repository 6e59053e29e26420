//! What large objects are made of.

use crate::ids::{Malformed, Region};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

/// A region of 24 characters; another one for each number below 260.
pub(super) fn region(n: u32) -> Result<Region, Malformed> {
    let letter = char::from_digit(10 + n / 10, 36).unwrap_or('z');
    Region::parse(format!("us-{}-{}", letter.to_string().repeat(19), n % 10))
}

/// A text of that many characters that begins with the number.
pub(super) fn numbered(n: u32, length: usize) -> String {
    format!("{n:<length$}").replace(' ', "x")
}

pub(super) fn text(letter: char, length: usize) -> String {
    std::iter::repeat_n(letter, length).collect()
}

pub(super) const fn time() -> Time {
    Time(Timestamp::UNIX_EPOCH)
}
