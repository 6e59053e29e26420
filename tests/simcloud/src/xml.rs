//! Replies as trees. What the SDK's client does with a reply before it reads it is done here too: a good one that ends
//! too early is none, and what XML cannot hold is replaced.
use std::str::FromStr;

use jiff::Timestamp;

/// An element.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    name: String,
    text: String,
    children: Vec<Self>,
}

/// A reply that is no XML, or an element of it that is not of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl Node {
    pub(crate) fn parse(text: &str) -> Result<Self, Unreadable> {
        let node = if text.contains(is_illegible) {
            tree(&text.replace(is_illegible, "\u{fffd}"))
        } else {
            tree(text)
        };
        node.ok_or(Unreadable)
    }

    /// Whether the last element is named as replies are.
    pub(crate) fn is_whole(&self) -> bool {
        self.name.ends_with("Response")
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The entries of a list; one that is absent has none.
    pub(crate) fn items(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.child(name).into_iter().flat_map(|list| &list.children).filter(|child| child.name == "item")
    }

    fn typed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Unreadable> {
        self.text(name).map(|text| text.parse().map_err(|_| Unreadable)).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Unreadable> {
        self.typed(name)
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<i32>, Unreadable> {
        self.typed(name)
    }

    /// In whole seconds.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Unreadable> {
        Ok(self.typed::<Timestamp>(name)?.and_then(whole))
    }
}

pub(crate) fn whole(time: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(time.as_second()).ok()
}

/// Source: "Extensible Markup Language (XML) 1.0", production 2.
const fn is_illegible(character: char) -> bool {
    !matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

fn tree(mut rest: &str) -> Option<Node> {
    let mut open = vec![Node::default()];
    while let Some((text, tail)) = rest.split_once('<') {
        unescape(text, &mut open.last_mut()?.text)?;
        let (tag, tail) = tail.split_once('>')?;
        rest = tail;
        if tag.starts_with('?') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            let node = open.pop().filter(|node| node.name == name)?;
            open.last_mut()?.children.push(node);
            continue;
        }
        let name = tag.split([' ', '/']).next()?.to_owned();
        let node = Node { name, ..Node::default() };
        if tag.ends_with('/') {
            open.last_mut()?.children.push(node);
        } else {
            open.push(node);
        }
    }
    let mut document = open.pop().filter(|_| open.is_empty())?;
    document.children.pop()
}

/// Of the entities, those that the simulator writes.
fn unescape(text: &str, plain: &mut String) -> Option<()> {
    let mut parts = text.split('&');
    plain.push_str(parts.next()?);
    for part in parts {
        let (entity, rest) = part.split_once(';')?;
        plain.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => return None,
        });
        plain.push_str(rest);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_as_it_was_written() {
        let text = "<?xml version=\"1.0\"?>\n<R xmlns=\"x\"><a>1 &lt; 2 &amp;amp;</a><l><item><k>é\u{1}</k></item>\
                    <item/><other/></l><on>true</on><at>2026-11-24T07:46:58.999Z</at><none></none></R>";
        let node = Node::parse(text).unwrap();
        assert_eq!(node.text("a"), Some("1 < 2 &amp;"));
        let keys: Vec<_> = node.items("l").map(|item| item.text("k")).collect();
        assert_eq!(keys, [Some("é\u{fffd}"), None]);
        assert_eq!((node.text("none"), node.text("absent")), (Some(""), None));
        assert_eq!(node.flag("on"), Ok(Some(true)));
        assert_eq!(node.time("at").unwrap().unwrap().to_string(), "2026-11-24T07:46:58Z");
        assert_eq!(
            (node.flag("a"), node.number("none"), node.number("absent")),
            (Err(Unreadable), Err(Unreadable), Ok(None))
        );
    }

    #[test]
    fn what_is_cut_or_crossed_is_unreadable() {
        for text in ["", "<R>", "<R><a></R></a>", "<R>&unknown;</R>", "</R>", "<R", "no XML"] {
            assert_eq!(Node::parse(text), Err(Unreadable), "{text}");
        }
    }

    #[test]
    fn a_reply_is_whole_when_its_elements_are_closed() {
        let whole = |text| Node::parse(text).is_ok_and(|node| node.is_whole());
        assert!(whole("<DescribeTagsResponse><a/></DescribeTagsResponse>\n"));
        for text in [
            "",
            "<DescribeTagsResponse>",
            "<DescribeTagsResponse><a</DescribeTagsResponse>",
            "</DescribeTagsRespon",
        ] {
            assert!(!whole(text), "{text}");
        }
    }
}
