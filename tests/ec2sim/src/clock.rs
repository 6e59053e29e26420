//! Time as EC2 writes it.

use jiff::Timestamp;

/// Milliseconds since 1970 by the simulator's own clock.
pub type Millis = i64;

/// One second.
pub const SECOND: Millis = 1_000;

/// One minute.
pub const MINUTE: Millis = 60 * SECOND;

/// One hour.
pub const HOUR: Millis = 60 * MINUTE;

fn timestamp(at: Millis) -> Timestamp {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// An instant as a request has it: `2026-11-24T07:46:58Z`.
pub(crate) fn instant(text: &str) -> Option<Millis> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// The second that an instant lies in: launch and attach times have no fraction.
pub(crate) fn whole(at: Millis) -> Millis {
    at - at.rem_euclid(SECOND)
}

/// `2026-11-24T07:46:58.123Z`
pub(crate) fn iso(at: Millis) -> String {
    format!("{}.{:03}Z", timestamp(at).strftime("%Y-%m-%dT%H:%M:%S"), at.rem_euclid(SECOND))
}

/// `2026-11-24 07:46:58 GMT`, as in a state transition reason.
pub(crate) fn spoken(at: Millis) -> String {
    timestamp(at).strftime("%Y-%m-%d %H:%M:%S GMT").to_string()
}

/// `Tue, 24 Nov 2026 07:46:58 GMT`, as in the Date header.
pub(crate) fn date(at: Millis) -> String {
    timestamp(at).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::{date, iso, spoken, whole};

    #[test]
    fn an_instant_is_written_in_each_of_ec2s_three_ways() {
        let at = 1_795_506_418_123;
        assert_eq!(iso(at), "2026-11-24T07:46:58.123Z");
        assert_eq!(iso(whole(at)), "2026-11-24T07:46:58.000Z");
        assert_eq!(spoken(at), "2026-11-24 07:46:58 GMT");
        assert_eq!(date(at), "Tue, 24 Nov 2026 07:46:58 GMT");
    }
}
