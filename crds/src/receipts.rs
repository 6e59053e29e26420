//! Receipts: which revisions had begun on a machine, in one tag of the machine. They stay when the image, the object
//! and the cluster are gone; a rebuilt cluster reads there what must not be captured again by itself.
use std::fmt;

use crate::revision::LARGEST_REVISION;

/// The newest ten are kept.
const MOST: usize = 10;
/// EC2's limit to the value of a tag, in characters.
const LONGEST_VALUE: usize = 256;
/// Hexadecimal digits of an object.
pub(crate) const DIGITS: usize = 16;

/// One receipt: this revision of this object had begun.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// Digest of the object's owner names, 16 hex ([`crate::Owner::receipt_object`]).
    pub object: String,
    /// The revision.
    pub revision: i32,
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=r{}", self.object, self.revision)
    }
}

impl Receipt {
    /// None of what this controller would not have written: a tag is anybody's to write.
    fn parse(entry: &str) -> Option<Self> {
        let (object, revision) = entry.split_once("=r")?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_object = object.len() == DIGITS && object.bytes().all(is_hex);
        let receipt = Self { object: object.to_owned(), revision: revision.parse().ok()? };
        let is_ours = is_object && (1..=LARGEST_REVISION).contains(&receipt.revision);
        (is_ours && receipt.to_string() == entry).then_some(receipt)
    }
}

/// The receipts on one machine of one installation, the newest first, at most one for each object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipts(Vec<Receipt>);

impl Receipts {
    /// What the value of the tag says; entries that are no receipts are left out.
    pub fn parse(value: &str) -> Self {
        let mut receipts = Self::default();
        for receipt in value.split(' ').filter_map(Receipt::parse) {
            if receipts.revision_of(&receipt.object).is_none() && receipts.0.len() < MOST {
                receipts.0.push(receipt);
            }
        }
        receipts
    }

    /// The revision of an object that had begun.
    pub fn revision_of(&self, object: &str) -> Option<i32> {
        self.0.iter().find(|receipt| receipt.object == object).map(|receipt| receipt.revision)
    }

    /// The one that was written last.
    pub fn newest(&self) -> Option<&Receipt> {
        self.0.first()
    }

    /// The same with this one as the newest, in the place of an earlier one of its object; the oldest are dropped.
    #[must_use]
    pub fn with(self, receipt: &Receipt) -> Self {
        let mut receipts = self.without(&receipt.object);
        receipts.0.insert(0, receipt.clone());
        receipts.0.truncate(MOST);
        while receipts.to_string().len() > LONGEST_VALUE {
            receipts.0.pop();
        }
        receipts
    }

    /// The same without that of an object.
    #[must_use]
    pub fn without(mut self, object: &str) -> Self {
        self.0.retain(|receipt| receipt.object != object);
        self
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Receipts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, receipt) in self.0.iter().enumerate() {
            write!(f, "{}{receipt}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// The revision in a receipt of the earlier form, a tag for each object: `r<revision> <capture>`.
pub fn parse_old(value: &str) -> Option<i32> {
    let (revision, _) = value.strip_prefix('r')?.split_once(' ')?;
    let known = revision.parse().ok().filter(|known| (1..=LARGEST_REVISION).contains(known))?;
    (known.to_string() == revision).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(number: usize) -> String {
        format!("{number:016x}")
    }

    fn receipt(number: usize, revision: i32) -> Receipt {
        Receipt { object: object(number), revision }
    }

    fn written(revisions: impl IntoIterator<Item = (usize, i32)>) -> Receipts {
        revisions.into_iter().fold(Receipts::default(), |receipts, (number, revision)| {
            receipts.with(&receipt(number, revision))
        })
    }

    #[test]
    fn the_newest_is_first_and_an_object_has_one() {
        let receipts = written([(1, 1), (2, 7), (1, 2)]);
        assert_eq!(receipts.to_string(), "0000000000000001=r2 0000000000000002=r7");
        assert_eq!(receipts.newest(), Some(&receipt(1, 2)));
        assert_eq!((receipts.revision_of(&object(2)), receipts.revision_of(&object(3))), (Some(7), None));
        let left = receipts.without(&object(1));
        assert_eq!((left.to_string().as_str(), left.is_empty()), ("0000000000000002=r7", false));
        assert!(left.without(&object(2)).is_empty());
    }

    #[test]
    fn ten_are_kept_and_never_more_than_a_tag_holds() {
        for (revision, kept) in [(1, 10), (99_999, 10), (999_999, 10), (LARGEST_REVISION, 9)] {
            let receipts = written((0..47).map(|number| (number, revision)));
            let value = receipts.to_string();
            assert!(value.len() <= LONGEST_VALUE, "{} characters", value.len());
            assert_eq!(value.split(' ').count(), kept, "r{revision}");
            assert_eq!(receipts.newest(), Some(&receipt(46, revision)));
            assert_eq!(Receipts::parse(&value), receipts, "it is read as it was written");
        }
    }

    #[test]
    fn what_nobody_of_us_would_have_written_is_left_out() {
        let good = "0000000000000001=r2";
        for bad in [
            "",
            "x",
            "r3 0123456789abcdef",
            "0000000000000002=r2147483647",
            "0000000000000002=r1000001",
            "0000000000000002=r0",
            "0000000000000002=r-1",
            "0000000000000002=r+1",
            "0000000000000002=r01",
            "0000000000000002=r",
            "0000000000000002",
            "000000000000000A=r1",
            "00000000000002=r1",
            "0000000000000001=r1000000",
        ] {
            assert_eq!(Receipts::parse(&format!("{good} {bad}")).to_string(), good, "{bad}");
        }
        assert_eq!(
            Receipts::parse(&"0000000000000002=r99999999999999999999 ".repeat(12)),
            Receipts::default()
        );
    }

    #[test]
    fn the_earlier_form_is_read_within_the_same_bounds() {
        for (value, revision) in [
            ("r3 0123456789abcdef", Some(3)),
            ("r1000000 0123456789abcdef", Some(1_000_000)),
            ("r1000001 0123456789abcdef", None),
            ("r2147483647 0123456789abcdef", None),
            ("r0 x", None),
            ("r+1 x", None),
            ("r3", None),
            ("3 x", None),
            ("", None),
        ] {
            assert_eq!(parse_old(value), revision, "{value}");
        }
    }
}
