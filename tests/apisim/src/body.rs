//! Bodies of replies.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Response, header};
use http_body::{Body, Frame};
use serde_json::Value;

use crate::{refusal::Refusal, watch::Watch};

/// What kube's client sends, and reads in return.
pub(crate) type Bytes = <kube::client::Body as Body>::Data;

/// The body of a reply: all of it at once, or the events of a watch as they come.
#[derive(Debug)]
pub struct ReplyBody(Content);

#[derive(Debug)]
enum Content {
    Once(Option<Vec<u8>>),
    Watch(Box<Watch>),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.0 {
            Content::Once(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text.into())))),
            Content::Watch(watch) => {
                watch.poll(context).map(|next| next.map(|line| line.map(|line| Frame::data(line.into()))))
            }
        }
    }
}

fn reply(code: u16, media: &str, content: Content) -> Response<ReplyBody> {
    let mut reply = Response::new(ReplyBody(content));
    *reply.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    if let Ok(media) = media.parse() {
        reply.headers_mut().insert(header::CONTENT_TYPE, media);
    }
    reply
}

pub(crate) fn object(code: u16, object: &Value) -> Response<ReplyBody> {
    reply(code, "application/json", Content::Once(Some(object.to_string().into_bytes())))
}

pub(crate) fn watch(watch: Watch) -> Response<ReplyBody> {
    reply(200, "application/json", Content::Watch(Box::new(watch)))
}

pub(crate) fn refusal(refusal: &Refusal) -> Response<ReplyBody> {
    if refusal.code == 404 && refusal.reason.is_empty() {
        let text = refusal.message.clone().into_bytes();
        return reply(refusal.code, "text/plain; charset=utf-8", Content::Once(Some(text)));
    }
    object(refusal.code, &refusal.status())
}
