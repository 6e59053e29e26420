//! Answers that a client did not expect: values that are new, elements that are missing, tags in any order.

use crate::effect::Effect;

/// The answer as the effects leave it; `chance` decides the order of tags.
pub(crate) fn garble(mut body: String, effects: &[Effect], chance: u64) -> String {
    for effect in effects {
        match effect {
            Effect::Rewrite { element, from, to } => {
                body = each(&body, element, |text| match from {
                    Some(from) if from != text => Some(text.to_owned()),
                    Some(_) | None => Some(to.clone()),
                });
            }
            Effect::Omit { element } => body = each(&body, element, |_| None),
            Effect::ShuffleTags => {
                body = each(&body, "tagSet", |items| Some(turned(items, chance)));
            }
            Effect::Refuse { .. }
            | Effect::Delay { .. }
            | Effect::Drop
            | Effect::Swallow
            | Effect::ApplyAndDrop
            | Effect::ApplyAndTruncate
            | Effect::ApplyAndReset
            | Effect::ApplyAndRefuse { .. }
            | Effect::ApplyAndDrip { .. }
            | Effect::Date { .. }
            | Effect::Kill { .. }
            | Effect::Freeze { .. }
            | Effect::EmptyPage
            | Effect::RepeatPage
            | Effect::StickStopping
            | Effect::FailImage { .. }
            | Effect::FailSnapshots { .. }
            | Effect::NoSnapshots => {}
        }
    }
    body
}

/// Puts other text into each element of that name, or takes the element out.
fn each(body: &str, element: &str, other: impl Fn(&str) -> Option<String>) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let mut parts = body.split(&open);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inside, rest) = part.split_once(&close).unwrap_or((part, ""));
        if let Some(other) = other(inside) {
            text.extend([open.as_str(), &other, &close]);
        }
        text.push_str(rest);
    }
    text
}

/// The items from another one on, and backwards.
fn turned(items: &str, chance: u64) -> String {
    let mut items: Vec<&str> = items.split_inclusive("</item>").collect();
    if !items.is_empty() {
        let count = u64::try_from(items.len()).unwrap_or(1);
        items.rotate_left(usize::try_from(chance % count).unwrap_or_default());
    }
    items.reverse();
    items.concat()
}
