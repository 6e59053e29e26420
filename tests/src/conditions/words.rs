//! Messages without what differs from run to run.

/// A message in which ids, times and durations are shown as such.
pub(super) fn normal(message: &str) -> String {
    let mut text = String::new();
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_alphanumeric() { word(rest) } else { first.len_utf8() };
        let (part, after) = rest.split_at(length);
        if let Some(after) = time(rest) {
            text.push_str("(time)");
            rest = after;
            continue;
        }
        text.push_str(match part {
            _ if is_id(part) => "…",
            _ if is_duration(part, after) => "N",
            _ => part,
        });
        rest = after;
    }
    text
}

/// Whether a message is a sentence that lacks none of its parts, such as an id that should stand between two spaces.
pub(super) fn are_whole(message: &str) -> bool {
    let has_gap = ["  ", "()", "( ", " )", " ,", " ;", " :"].iter().any(|gap| message.contains(gap));
    message.trim() == message && message.contains(' ') && !message.starts_with([',', ';', ':']) && !has_gap
}

/// How long the word is that the text begins with.
fn word(text: &str) -> usize {
    text.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(text.len())
}

/// EC2's ids, digests, account numbers: eight or more hexadecimal digits.
fn is_id(word: &str) -> bool {
    let is_hex = |letter: u8| letter.is_ascii_digit() || (b'a'..=b'f').contains(&letter);
    word.len() >= 8 && word.bytes().all(is_hex) && word.bytes().any(|letter| letter.is_ascii_digit())
}

fn is_duration(word: &str, after: &str) -> bool {
    let is_number = !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_digit());
    is_number && after.strip_prefix(" s").is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// What follows an instant such as 2026-01-31T23:59:59Z, if the text begins with one.
fn time(text: &str) -> Option<&str> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00Z";
    let begin = text.as_bytes().get(..SHAPE.len())?;
    let fits = |(is, shape): (&u8, &u8)| if *shape == b'0' { is.is_ascii_digit() } else { is == shape };
    begin.iter().zip(SHAPE).all(fits).then(|| text.get(SHAPE.len()..)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_alone_and_a_sentence_with_a_gap_are_not_whole() {
        for message in ["the machine may be saved", "no device /dev/sdz (it has /dev/sda1): correct it"] {
            assert!(are_whole(message), "{message}");
        }
        for message in [
            "",
            " ",
            "x",
            "is saved ",
            "image  is pending",
            "the existing , 0/2 regions",
            "no ()",
            "; and more",
            "at : no",
        ] {
            assert!(!are_whole(message), "{message:?}");
        }
    }

    #[test]
    fn ids_times_and_durations_do_not_differ_from_run_to_run() {
        let rows = [
            ("i-0910a2dec89025cc1 runs again after 21 s", "i-… runs again after N s"),
            ("ami-099dfda573db6d447 of 2026-11-24T12:30:59Z, 3/3 regions", "ami-… of (time), 3/3 regions"),
            ("quake-r1-0a1b2c3d4e5f is taken", "quake-r1-… is taken"),
            ("us-west-2 has 47 tags; 2 sources, facade", "us-west-2 has 47 tags; 2 sources, facade"),
            ("restart-owed.1a2b3c4d…", "restart-owed.……"),
        ];
        for (message, wanted) in rows {
            assert_eq!(normal(message), wanted);
            assert_eq!(normal(wanted), wanted, "once is enough");
        }
    }
}
