//! EC2's Query protocol: one form for each call, its region in the signature's scope.

use std::{net::TcpListener, sync::Arc, time::Duration};

use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, Request as HttpRequest, Response, body::Incoming, header::HeaderValue,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    ACCOUNT,
    clock::{Millis, date},
    request::{Params, Reply, Request},
    serve::{
        Shared,
        body::{Closed, Text},
        control,
    },
};

pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&shared), request));
            // A connection that a fault rule closed, or that the peer left, is done.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(shared: Arc<Shared>, request: HttpRequest<Incoming>) -> Result<Response<Text>, Closed> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    if let Some(path) = head.uri.path().strip_prefix("/_ec2sim/") {
        return Ok(control::answer(&shared, &head.method, path, &body));
    }
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let mut params: Params = form_urlencoded::parse(query).into_owned().collect();
    if head.method == Method::POST {
        params.extend(form_urlencoded::parse(&body).into_owned());
    }
    let (access_key, region) = scope(&head.headers, &params).unwrap_or_default();
    params.retain(|name, _| !name.starts_with("X-Amz-"));
    params.remove("Version");
    let request = Request {
        action: params.remove("Action").unwrap_or_default(),
        params,
        access_key: access_key.clone(),
        agent: header(&head.headers, "user-agent").to_owned(),
    };
    let is_account = access_key.len() == 12 && access_key.bytes().all(|byte| byte.is_ascii_digit());
    let account = if is_account { access_key.as_str() } else { ACCOUNT };

    let admission = shared.sim().admit(shared.now(), account, &region, &request);
    pause(admission.delay()).await;
    let reply = shared.sim().carry_out(shared.now(), account, &region, &request, &admission);
    pause(reply.delay).await;
    if let Some(pid) = reply.kill {
        signal(pid, Signal::KILL);
    }
    if let Some((pid, ms)) = reply.freeze {
        signal(pid, Signal::STOP);
        if let Some(ms) = ms {
            tokio::spawn(async move {
                pause(ms).await;
                signal(pid, Signal::CONT);
            });
        }
    }
    if reply.is_swallowed {
        // Until the caller leaves.
        std::future::pending::<()>().await;
    }
    if reply.is_closed { Err(Closed) } else { Ok(response(&reply, shared.now())) }
}

/// The access key and the region of a signature, from its header or from a signed query.
fn scope(headers: &HeaderMap, params: &Params) -> Option<(String, String)> {
    let authorization = header(headers, "authorization");
    let credential = authorization
        .split_once("Credential=")
        .map(|(_, rest)| rest)
        .or_else(|| params.get("X-Amz-Credential").map(String::as_str))?;
    let mut parts = credential.split([',', ' ']).next()?.split('/');
    let key = parts.next()?;
    let region = parts.nth(1)?;
    Some((key.to_owned(), region.to_owned()))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn pause(ms: Millis) {
    let Ok(ms) = u64::try_from(ms) else { return };
    if ms > 0 {
        #[expect(clippy::disallowed_methods, reason = "a delay is what the rule asks for")]
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid).filter(|pid| !pid.is_init()) {
        let _gone_already = kill_process(pid, signal);
    }
}

fn response(reply: &Reply, now: Millis) -> Response<Text> {
    let mut response = plain(reply.status, "text/xml;charset=UTF-8", reply.body.clone());
    if reply.breaks {
        response = response.map(Text::broken);
    } else if let Some(ms) = reply.drips {
        response = response.map(|text| text.dripping(Box::pin(pause(ms))));
    }
    let id = reply.text("requestId").or_else(|| reply.text("RequestID")).unwrap_or_default();
    let date = reply.date.clone().unwrap_or_else(|| date(now));
    let headers = response.headers_mut();
    for (name, value) in [("date", date.as_str()), ("x-amzn-requestid", id), ("server", "AmazonEC2")] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(hyper::header::HeaderName::from_static(name), value);
        }
    }
    response
}

pub(crate) fn plain(status: u16, kind: &'static str, body: String) -> Response<Text> {
    let mut response = Response::new(Text::new(body));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
