//! Lines of at most 120 columns, without colours.
use std::io::Write as _;

use ec2sim::Millis;

const WIDTH: usize = 120;
const INDENT: usize = 37;

/// One line of the timeline; what does not fit goes on below its last column.
pub(super) fn line(elapsed: Millis, who: &str, kind: &str, text: &str) -> String {
    let head = format!("{:>6}  {who:<18}  {kind:<7}", tenths(elapsed));
    let indent = " ".repeat(INDENT);
    let mut lines = Vec::new();
    for (number, part) in folded(text, WIDTH - INDENT).iter().enumerate() {
        let head = if number == 0 { &head } else { &indent };
        lines.push(format!("{head:<INDENT$}{part}"));
    }
    lines.join("\n")
}

/// `12.3 s`
pub(super) fn seconds(time: Millis) -> String {
    format!("{} s", tenths(time))
}

fn tenths(time: Millis) -> String {
    format!("{}.{}", time / 1000, (time % 1000).abs() / 100)
}

/// Prints it now, also into a pipe. A reader that has gone ends the demo like any error.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(last) = lines.last_mut() else { continue };
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= width {
            last.extend([" ", word]);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_folded_between_words_and_none_is_lost() {
        let text = "word ".repeat(60);
        let line = line(61_950, "seismic-ml", "event", &text);
        assert!(line.starts_with("  61.9  seismic-ml          event"), "{line}");
        assert!(line.lines().all(|line| line.chars().count() <= WIDTH), "{line}");
        assert_eq!(line.matches("word").count(), 60);
    }
}
