//! `/metrics` and `/ready` on a port of their own, for whoever watches the server.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use crate::rt::time::{sleep, timeout};
use crate::rt::{Listener, TcpStream, task};
use crate::shared::Shared;

/// How long one request may take in all.
const REQUEST_MAX: Duration = Duration::from_secs(10);
const METRICS_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Serves until the task is dropped.
pub(crate) async fn monitor(listener: Listener, shared: Arc<Shared>) {
    let listener = match listener.watched() {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "no metrics"),
    };
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => drop(task::spawn_local(serve(tcp, shared.clone()))),
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(tcp: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request, &shared))));
    let connection = http1::Builder::new()
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(tcp), service);
    // Whoever asks for figures and goes away needs no answer.
    let _ = timeout(REQUEST_MAX, connection).await;
}

fn answer<B>(request: &Request<B>, shared: &Shared) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        "/metrics" => {
            let depth = i64::try_from(shared.events.depth()).unwrap_or(i64::MAX);
            shared.metrics.queue_depth.set(depth);
            (StatusCode::OK, shared.metrics.text())
        }
        "/ready" if shared.is_ready() => (StatusCode::OK, "ready\n".to_owned()),
        "/ready" => (StatusCode::SERVICE_UNAVAILABLE, "unready\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "try /metrics or /ready\n".to_owned()),
    };
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    if request.uri().path() == "/metrics" {
        answer.headers_mut().insert(CONTENT_TYPE, METRICS_TYPE);
    }
    answer
}
