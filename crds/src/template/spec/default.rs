//! Defaults that more than one part of the spec has.

pub(super) const fn one() -> i32 {
    1
}
