//! A reply is whole or it is none: the SDK reads a list that ends too early as a shorter list, and an empty list would be
//! evidence that something is gone.
use std::{
    pin::Pin,
    task::{Context, Poll},
};

use aws_sdk_ec2::{
    config::{ConfigBag, Intercept, RuntimeComponents},
    error::BoxError,
};
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_types::body::SdkBody;
use http_body::{Body, Frame};

/// Longer than any end tag of EC2.
const LONGEST: usize = 128;

/// Every reply of EC2 is one element, named after its operation: `</StopInstancesResponse>`, or `<…Response/>`.
fn is_end(tag: &[u8]) -> bool {
    let Some(inner) = tag.strip_prefix(b"<").and_then(|tag| tag.strip_suffix(b">")) else { return false };
    let name = inner.strip_prefix(b"/").unwrap_or(inner);
    let name = name.split(|byte| byte.is_ascii_whitespace() || *byte == b'/').next();
    (inner.starts_with(b"/") || inner.ends_with(b"/")) && name.is_some_and(|name| name.ends_with(b"Response"))
}

/// Refuses replies whose last element is not closed; their outcome is not known.
#[derive(Debug)]
pub(crate) struct Whole;

impl Intercept for Whole {
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
        if response.status().is_success() {
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            let watched = Watched { body: Box::pin(body), tag: Vec::new(), is_over: false };
            *response.body_mut() = SdkBody::from_body_1_x(watched);
        }
        Ok(())
    }
}

/// A body that fails if it does not end as a reply does.
struct Watched {
    body: Pin<Box<SdkBody>>,
    /// Its last tag, as far as it was seen; no longer than [`LONGEST`].
    tag: Vec<u8>,
    is_over: bool,
}

impl Watched {
    fn see(&mut self, data: &[u8]) {
        let data = match data.iter().rposition(|byte| *byte == b'<') {
            Some(at) => {
                self.tag.clear();
                data.get(at..).unwrap_or_default()
            }
            None => data,
        };
        let room = LONGEST - self.tag.len();
        self.tag.extend(data.trim_ascii_end().iter().take(room));
    }
}

impl Body for Watched {
    type Data = <SdkBody as Body>::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        let polled = self.body.as_mut().poll_frame(context);
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.see(data);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) if !self.is_over && !is_end(&self.tag) => {
                self.is_over = true;
                Poll::Ready(Some(Err("the reply ended before its last element was closed".into())))
            }
            other @ (Poll::Ready(_) | Poll::Pending) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_ends_with_the_end_of_its_element_however_that_is_written() {
        for tag in [
            "</StopInstancesResponse>",
            "</StopInstancesResponse >",
            "</ec2:StopInstancesResponse>",
            "<DescribeTagsResponse/>",
            "<DescribeTagsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"/>",
        ] {
            assert!(is_end(tag.as_bytes()), "{tag}");
        }
        for tag in
            ["", "<StopInstancesResponse>", "</item>", "</StopInstancesRespons", "<item/>", "Response>"]
        {
            assert!(!is_end(tag.as_bytes()), "{tag}");
        }
    }

    #[test]
    fn a_tag_is_seen_across_the_pieces_that_a_body_comes_in() {
        let mut watched = Watched { body: Box::pin(SdkBody::empty()), tag: Vec::new(), is_over: false };
        for piece in ["<a>", "x</StopInst", "ancesRes", "ponse>", "\n"] {
            watched.see(piece.as_bytes());
        }
        assert!(is_end(&watched.tag));
    }
}
