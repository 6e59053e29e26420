//! Health and metrics over HTTP. `/livez` is about the loops of this process; `/readyz` says what it waits for.
use std::{collections::VecDeque, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{metrics::Metrics, progress::Progress, wait};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// A connection on which no request has come for so long is closed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections at once. One more closes the oldest: who holds many open keeps the kubelet from nothing.
const CONNECTIONS: usize = 128;
/// Where no connection can be taken, all file descriptors of the process are in use.
const AGAIN: Duration = Duration::from_millis(100);

/// What the process still waits for; none when it is ready.
pub(crate) type Readiness = watch::Receiver<Option<&'static str>>;

pub(crate) async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    progress: Progress,
    readiness: Readiness,
    stop: CancellationToken,
) {
    let app = Router::new()
        .route("/livez", get(live).with_state(progress))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(render).with_state(metrics));
    let mut connections = JoinSet::new();
    let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        oldest.retain(|connection| !connection.is_finished());
        match accepted {
            Ok((stream, _)) => oldest.push_back(connections.spawn(connection(stream, app.clone()))),
            Err(_) => wait::unless_cancelled(AGAIN, &stop).await,
        }
        if oldest.len() > CONNECTIONS
            && let Some(oldest) = oldest.pop_front()
        {
            oldest.abort();
        }
    }
}

async fn connection(stream: TcpStream, app: Router) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    // One that the peer left, or that was closed for its idleness, is done.
    drop(server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).await);
}

async fn live(State(progress): State<Progress>) -> (StatusCode, String) {
    match progress.stuck() {
        None => (StatusCode::OK, "ok".to_owned()),
        Some(stuck) => (StatusCode::SERVICE_UNAVAILABLE, stuck),
    }
}

async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    match *readiness.borrow() {
        None => (StatusCode::OK, "ok"),
        Some(waits_for) => (StatusCode::SERVICE_UNAVAILABLE, waits_for),
    }
}

async fn render(State(metrics): State<Metrics>) -> impl IntoResponse {
    match metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::{Instant, timeout},
    };

    use super::*;
    use crate::progress::Loop;

    async fn served(progress: Progress) -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, (_, readiness)) = (CancellationToken::new(), watch::channel(None));
        tokio::spawn(serve(listener, Metrics::new(), progress, readiness, stop.clone()));
        (address, stop)
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }

    #[tokio::test]
    async fn livez_is_answered_while_a_client_holds_many_idle_connections_of_which_few_stay() {
        let (address, stop) = served(Progress::default()).await;
        let mut idle = Vec::new();
        for _ in 0..300 {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let reply = timeout(Duration::from_secs(1), get(address, "/livez")).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 OK") && reply.ends_with("ok"), "{reply}");
        let mut open = 0;
        for stream in &mut idle {
            open += usize::from(timeout(Duration::from_millis(1), stream.read(&mut [0])).await.is_err());
        }
        assert!(open <= 128, "{open} of 300 idle connections stay open");
        stop.cancel();
    }

    #[tokio::test]
    async fn a_connection_whose_request_does_not_come_is_closed_also_after_an_answer() {
        let (address, stop) = served(Progress::default()).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET /livez HTTP/1.1\r\nhost: ").await.unwrap();
        let mut kept = TcpStream::connect(address).await.unwrap();
        kept.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let start = Instant::now();
        for stream in [&mut slow, &mut kept] {
            let mut answer = Vec::new();
            // An end or a reset: closed.
            let _closed = timeout(PATIENCE * 3, stream.read_to_end(&mut answer)).await.unwrap();
        }
        assert!(start.elapsed() >= PATIENCE / 2, "{:?}", start.elapsed());
        stop.cancel();
    }

    #[tokio::test]
    async fn livez_fails_and_names_the_region_whose_loop_does_not_come_round() {
        let progress = Progress::default();
        progress.round(&saved_template_core::place::Place::own("us-west-2".parse().unwrap()), Loop::Sweep);
        let (address, stop) = served(progress).await;
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200 OK"));
        tokio::time::pause();
        tokio::time::advance(Duration::from_mins(10)).await;
        tokio::time::resume();
        let reply = get(address, "/livez").await;
        assert!(reply.starts_with("HTTP/1.1 503") && reply.contains("us-west-2"), "{reply}");
        stop.cancel();
    }
}
