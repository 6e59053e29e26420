//! A reply is whole or it is none: the SDK reads a list that ends too early, or breaks inside, as a shorter list, and an
//! empty list would be evidence that something is gone. And it can be read, whatever somebody has written into a tag.
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use aws_sdk_ec2::{
    config::{ConfigBag, Intercept, RuntimeComponents},
    error::BoxError,
};
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_types::body::SdkBody;
use http_body::{Body, Frame};
use xmlparser::{ElementEnd, Token, Tokenizer};

/// The longest reply that is held: a full page of EC2's is a tenth of it.
const LONGEST: usize = 64 << 20;

/// Whether the SDK's tokenizer comes to the end of it, and every element is closed. Every reply of EC2 is one element,
/// named after its operation: `</StopInstancesResponse>`, or `<…Response/>`.
fn is_whole(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let mut open = Vec::new();
    let mut is_named = false;
    for token in Tokenizer::from(text) {
        match token {
            Ok(Token::ElementStart { prefix, local, .. }) => {
                is_named |= open.is_empty() && local.ends_with("Response");
                open.push((prefix.as_str(), local.as_str()));
            }
            Ok(Token::ElementEnd { end: ElementEnd::Empty, .. }) => drop(open.pop()),
            Ok(Token::ElementEnd { end: ElementEnd::Close(prefix, local), .. })
                if open.pop() != Some((prefix.as_str(), local.as_str())) =>
            {
                return false;
            }
            // The SDK gives up an element with an entity in an attribute that it does not know, and all after it.
            Ok(Token::Attribute { value, .. }) if value.contains('&') => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    is_named && open.is_empty()
}

/// The text with `U+FFFD` for what XML cannot hold: one such tag, whoever wrote it, would keep the whole region from
/// being read. What is no UTF-8 stays as it is, and is refused.
fn legible(text: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(text) {
        Ok(text) if text.contains(is_illegible) => {
            text.replace(is_illegible, char::REPLACEMENT_CHARACTER.encode_utf8(&mut [0; 4])).into_bytes()
        }
        Ok(text) => text.into_bytes(),
        Err(error) => error.into_bytes(),
    }
}

/// Source: "Extensible Markup Language (XML) 1.0", production 2.
const fn is_illegible(character: char) -> bool {
    matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Refuses good replies that are not whole; their outcome is not known. Makes all of them legible.
#[derive(Debug)]
pub(crate) struct ReplyCheck;

impl Intercept for ReplyCheck {
    fn name(&self) -> &'static str {
        "WholeReplies"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let is_good = response.status().is_success();
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let read = Read { body: Box::pin(body), text: Vec::new(), is_good, is_over: false };
        *response.body_mut() = SdkBody::from_body_1_x(read);
        Ok(())
    }
}

/// A body that is handed on when it has ended, if it ended as a reply does.
struct Read {
    body: Pin<Box<SdkBody>>,
    text: Vec<u8>,
    is_good: bool,
    is_over: bool,
}

impl Body for Read {
    type Data = <SdkBody as Body>::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        while !self.is_over {
            match ready!(self.body.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => {
                    let data = frame.data_ref().map_or(&[][..], AsRef::as_ref);
                    if self.text.len().saturating_add(data.len()) > LONGEST {
                        self.is_over = true;
                        self.text = Vec::new();
                        return Poll::Ready(Some(Err("the reply is longer than 64 MiB".into())));
                    }
                    self.text.extend_from_slice(data);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.is_over = true;
                    let text = legible(std::mem::take(&mut self.text));
                    return Poll::Ready(Some(if self.is_good && !is_whole(&text) {
                        Err("the reply is cut or damaged".into())
                    } else {
                        Ok(Frame::data(text.into()))
                    }));
                }
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_whole_when_every_element_is_closed_however_that_is_written() {
        for text in [
            "<AResponse><a/></AResponse>",
            "<?xml version=\"1.0\"?>\n<AResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><a >&lt;</a >\n</AResponse >\n",
            "<ec2:AResponse></ec2:AResponse>",
            "<AResponse/>",
            "<AResponse><!-- c --><![CDATA[<]]></AResponse>",
        ] {
            assert!(is_whole(text.as_bytes()), "{text}");
        }
        for text in [
            "",
            "<?xml version=\"1.0\"?>",
            "<AResponse>",
            "<AResponse><a></AResponse>",
            "<AResponse></a></AResponse>",
            "<AResponse><a></b></AResponse>",
            "<AResponse><l><item</l></AResponse>",
            "<AResponse><l><item</item></l></AResponse>",
            "<AResponse><a b></a></AResponse>",
            "<AResponse><a b=\"&c;\"/></AResponse>",
            "<AResponse></AResponse>x",
            "<AResponse></AResponse></AResponse>",
            "<AResponse></ARespons",
            "</AResponse>",
            "<item/>",
            "AResponse>",
        ] {
            assert!(!is_whole(text.as_bytes()), "{text}");
        }
        assert!(!is_whole(b"<AResponse>\xff</AResponse>"));
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced_and_nothing_else() {
        for (text, read) in [
            ("quake\0", "quake\u{fffd}"),
            ("\u{1b}[31m\u{8}\u{b}\u{c}\u{1f}", "\u{fffd}[31m\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            ("\u{fffe}\u{ffff}", "\u{fffd}\u{fffd}"),
            ("\t\r\n \u{7f}\u{9b}é🌋\u{2028}\u{fffd}", "\t\r\n \u{7f}\u{9b}é🌋\u{2028}\u{fffd}"),
        ] {
            assert_eq!(String::from_utf8(legible(text.as_bytes().to_vec())).unwrap(), read);
        }
        assert_eq!(legible(vec![b'x', 0xff, 0]), [b'x', 0xff, 0], "no text at all is not mended");
    }
}
