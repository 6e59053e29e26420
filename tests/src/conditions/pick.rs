//! The example of a reason: of all messages that objects had, the one that tells most.
use std::{cmp::Reverse, collections::BTreeSet};

/// What tells a reader what to do: commands, fields and flags, and that it is done again without help.
const HELP: [&str; 5] = ["aws ec2 ", "kubectl ", "spec.", " --", "tried again"];
/// Where a clause begins.
const BREAKS: [&str; 5] = [": ", "; ", ". ", ", or ", ", and "];
/// How a clause begins that asks for something.
const VERBS: [&str; 16] = [
    "allow",
    "correct",
    "deregister",
    "detach",
    "enable",
    "free",
    "make",
    "name",
    "remove",
    "save",
    "select",
    "set",
    "start",
    "take",
    "try",
    "use",
];

/// A kind of thing that a message may name.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Thing {
    Machine,
    Image,
    Storage,
    Region,
    Revision,
    Time,
    Progress,
}

/// The message that tells most. In this order: one that stands for no other reason (`is_shared`), one that says what to
/// do, more kinds of things named, fewer letters; among equals the first of the alphabet.
pub(super) fn most_telling<'m>(
    messages: impl IntoIterator<Item = &'m str>,
    is_shared: impl Fn(&str) -> bool,
) -> Option<&'m str> {
    let rank = |message: &&'m str| {
        let brevity = Reverse((message.chars().count(), *message));
        (!is_shared(message), says_what_to_do(message), things(message).len(), brevity)
    };
    messages.into_iter().max_by_key(rank)
}

fn says_what_to_do(message: &str) -> bool {
    let asks = |clause: &str| clause.split(' ').next().is_some_and(|word| VERBS.contains(&word));
    let after = |point: &str| message.split(point).skip(1).any(asks);
    HELP.iter().any(|help| message.contains(help)) || BREAKS.iter().any(|point| after(point))
}

/// The kinds of things that a message without run-specific parts names.
fn things(message: &str) -> BTreeSet<Thing> {
    let words: Vec<&str> = message
        .split([' ', ',', ';', ':', '"'])
        .map(|word| word.trim_matches(['.', '(', ')', '[', ']']))
        .filter(|word| !word.is_empty())
        .collect();
    let alone = words.iter().filter_map(|word| thing(word));
    let pairs = words.iter().zip(words.iter().skip(1)).filter_map(|(word, next)| match (*word, *next) {
        ("revision", number) if is_number(number) => Some(Thing::Revision),
        ("N", "s") => Some(Thing::Time),
        _ => None,
    });
    let time = message.contains("(time)").then_some(Thing::Time);
    alone.chain(pairs).chain(time).collect()
}

fn thing(word: &str) -> Option<Thing> {
    let is_share = || word.split_once('/').is_some_and(|(part, whole)| is_number(part) && is_number(whole));
    match word {
        "i-…" => Some(Thing::Machine),
        "ami-…" => Some(Thing::Image),
        "snap-…" | "vol-…" => Some(Thing::Storage),
        _ if is_region(word) => Some(Thing::Region),
        _ if word.strip_suffix('%').is_some_and(is_number) || is_share() => Some(Thing::Progress),
        _ => None,
    }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_digit())
}

/// Such as us-west-2 and us-gov-west-1.
fn is_region(word: &str) -> bool {
    let is_lower = |part: &str| !part.is_empty() && part.bytes().all(|letter| letter.is_ascii_lowercase());
    let parts: Vec<&str> = word.split('-').collect();
    match parts.as_slice() {
        [area, middle @ .., number] => {
            area.len() == 2
                && !middle.is_empty()
                && is_lower(area)
                && middle.iter().all(|part| is_lower(part))
                && number.len() == 1
                && is_number(number)
        }
        [] | [_] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_messages_the_one_that_tells_more_is_shown_whatever_their_order() {
        let rows = [
            // It says what to do.
            ("i-… in us-west-2 has 49 tags of 50", "too many tags: remove some"),
            ("i-… is busy", "i-… is busy; tried again at (time)"),
            ("ami-… is disabled in us-west-2", "it is disabled: aws ec2 enable-image --image-id ami-…"),
            ("the machine waits", "spec.suspend is true: revision 1 waits until it is false"),
            ("the starter of i-… is unknown", "unknown: start the controller in its region"),
            // It names more.
            ("no image is available yet", "no image yet in us-west-2"),
            ("the image is asked for", "image ami-… is pending, 75% or more"),
            ("i-… runs again", "i-… runs again after N s"),
            ("2 copies are available", "0/2 copies available: us-east-2 50%; us-west-1 0%"),
            ("Stopping: i-… is being stopped", "Stopping: i-… is being stopped until (time)"),
            ("snapshots are locked", "the snapshot 'x' of vol-… is locked"),
            ("revision one has its image", "revision 4 has its image"),
            // It says the same in fewer words.
            ("i-… was stopped by somebody else meanwhile and stays stopped", "i-… is stopped"),
            ("us-east-2 50%; us-west-1 0%", "us-east-2 25%"),
            // It is the first of the alphabet.
            ("no copies in us-west-2", "no copies in us-east-2"),
        ];
        for (less, more) in rows {
            assert_eq!(most_telling([less, more], |_| false), Some(more));
            assert_eq!(most_telling([more, less], |_| false), Some(more));
        }
        assert_eq!(most_telling([], |_| false), None);
    }

    #[test]
    fn a_message_that_stands_for_another_reason_too_is_shown_only_where_there_is_no_other() {
        let held = "ami-… in us-west-2 is held: start the controller with --take-over=…";
        let own = "cannot read us-west-2";
        let is_shared = |message: &str| message == held;
        assert_eq!(most_telling([held, own], is_shared), Some(own));
        assert_eq!(most_telling([held], is_shared), Some(held));
    }

    #[test]
    fn the_name_of_a_call_a_zone_and_a_word_within_another_are_no_things_and_no_advice() {
        for message in ["StartInstances: startled", "us-west-2a", "a-b-1x", "settings: settled", "at a time"]
        {
            assert!(!says_what_to_do(message), "{message}");
            assert_eq!(things(message), BTreeSet::new(), "{message}");
        }
        assert_eq!(things("(us-gov-west-1)"), [Thing::Region].into());
        assert_eq!(
            things("revision 1 is ami-… of i-…, 3/3 regions after N s"),
            [Thing::Machine, Thing::Image, Thing::Revision, Thing::Time, Thing::Progress].into()
        );
    }
}
