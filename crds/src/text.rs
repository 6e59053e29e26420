//! Texts of others that are shown: cut, and without what steers a terminal; digests of those that are only told apart.

use sha2::{Digest, Sha256};

/// At most so many bytes (three or more) of a text, ending in `…` if something is left out, and never within a character.
///
/// Whatever steers a terminal, a log or the direction of writing becomes a space: names, tags and messages from EC2 are
/// written by others.
pub fn cut(text: String, max_bytes: usize) -> String {
    const ELLIPSIS: &str = "…";
    let mut text = if text.contains(steers) { text.replace(steers, " ") } else { text };
    if text.len() > max_bytes {
        let mut end = max_bytes.saturating_sub(ELLIPSIS.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(ELLIPSIS);
    }
    text
}

/// Control characters, line and paragraph separators, and what turns the direction of writing.
pub fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The first hexadecimal digits of the SHA-256 of a text.
pub fn hex_digest(text: &str, digits: usize) -> String {
    Sha256::digest(text)
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .take(digits)
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::MAX_MESSAGE_BYTES;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = cut("é".repeat(600), MAX_MESSAGE_BYTES);
        assert!(message.len() <= MAX_MESSAGE_BYTES && message.ends_with("é…"), "{} bytes", message.len());
        assert_eq!(cut("short".to_owned(), MAX_MESSAGE_BYTES), "short");
    }

    #[test]
    fn a_text_from_elsewhere_forges_no_line_and_steers_no_terminal() {
        let text = "no\r\nlevel=ERROR \u{1b}[31mred\u{9b}0m\u{0}\u{202e}gpj.exe\u{2028}é🌋".to_owned();
        assert_eq!(cut(text, MAX_MESSAGE_BYTES), "no  level=ERROR  [31mred 0m  gpj.exe é🌋");
    }
}
