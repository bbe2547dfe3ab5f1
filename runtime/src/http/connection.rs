//! One TCP connection on the browser port: TLS if configured, one HTTP request, then either the end or a WebSocket.
//!
//! Promise: whoever does not finish its header block in time, or makes it too long, is gone (Q1); bytes that follow
//! the request belong to the WebSocket.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comet_core::{ClientInfo, Event, wire};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{ACCEPT_LANGUAGE, HeaderName, ORIGIN, USER_AGENT};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::access::Asked;
use super::answer::{Answer, Answered, bad_upgrade, no_memory, upgrade};
use super::proxies::client_address;
use super::routes::{Route, route};
use super::{console, demo};
use crate::accept::Room;
use crate::memory::{REQUEST_BYTES, TLS_BYTES, Use};
use crate::rt::TcpStream;
use crate::rt::task;
use crate::rt::time::timeout;
use crate::shard::Shard;
use crate::socket::{Rewound, Socket};
use crate::unfinished::Ticket;
use crate::ws::accept;
use crate::ws::conn::Conn;
use crate::ws::reader::Reader;

/// Longest header block (protocol.md 2.1).
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// More headers than this do not fit in so many bytes: the shortest one is `a:` and an LF.
const HEADERS_MAX: usize = HEADER_BYTES_MAX / 3;
/// How long a client may take to receive an answer, after its request is complete.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long the server reads on after its answer, so that the kernel does not drop it.
const LINGER_MAX: Duration = Duration::from_secs(1);

/// What a WebSocket request said.
struct Upgrade {
    hello: Result<wire::Hello, wire::Refusal>,
    client: Arc<ClientInfo>,
}

/// A connection that became a WebSocket.
struct Upgraded {
    socket: Socket,
    /// What was read beyond the request.
    rest: Bytes,
    upgrade: Upgrade,
}

/// Serves one request. What becomes a WebSocket gets a small task of its own: nothing of the request outlives this one.
pub(crate) async fn serve(
    shard: Rc<Shard>,
    tcp: TcpStream,
    peer: SocketAddr,
    room: Option<Room>,
    ticket: Ticket,
) {
    let Some(Upgraded {
        socket,
        rest,
        upgrade,
    }) = request(&shard, tcp, peer).await
    else {
        return;
    };
    drop(ticket);
    let now = shard.lived();
    let conn = shard.register(|id| Conn::new(id, socket, room, now));
    let opened = Event::Opened {
        conn: conn.id,
        hello: upgrade.hello,
        client: upgrade.client,
    };
    drop(task::spawn_local(Reader::new(&shard, conn, opened, &rest)));
}

async fn request(shard: &Rc<Shard>, tcp: TcpStream, peer: SocketAddr) -> Option<Upgraded> {
    let tls = if shard.shared.ws_tls.is_some() {
        TLS_BYTES
    } else {
        0
    };
    let memory = &shard.shared.metrics.memory;
    let _held = memory.hold(Use::Input, REQUEST_BYTES + tls);
    let Some(port) = &shard.shared.ws_tls else {
        let (tcp, rest, upgrade) = http(shard, tcp, peer).await?;
        let socket = Socket::Plain(tcp);
        return Some(Upgraded {
            socket,
            rest,
            upgrade,
        });
    };
    let handshake = port.acceptor().accept(Rewound::new(tcp, Bytes::new()));
    let limit = Duration::from_millis(shard.shared.ws.handshake_timeout_ms);
    let stream = timeout(limit, handshake).await.ok()?.ok()?;
    let (stream, rest, upgrade) = http(shard, stream, peer).await?;
    let socket = Socket::tls(stream);
    Some(Upgraded {
        socket,
        rest,
        upgrade,
    })
}

/// Reads and answers one request. `Some`: the stream, what was read beyond the request, and what it said.
async fn http<S: AsyncRead + AsyncWrite + Unpin>(
    shard: &Rc<Shard>,
    stream: S,
    peer: SocketAddr,
) -> Option<(S, Bytes, Upgrade)> {
    let complete = Cell::new(false);
    let upgraded = RefCell::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        complete.set(true);
        let (head, body) = request.into_parts();
        let asked = Asked {
            version: head.version,
            uri: head.uri,
            headers: head.headers,
            peer,
        };
        Box::pin(answer(shard, head.method, asked, body, &upgraded))
    });
    let mut connection = http1::Builder::new()
        .half_close(true)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let limit = Duration::from_millis(shard.shared.ws.handshake_timeout_ms);
    let mut served = std::pin::pin!(std::future::poll_fn(|cx| connection.poll_without_shutdown(cx)));
    let in_time = match timeout(limit, served.as_mut()).await {
        Err(_) if complete.get() => timeout(ANSWER_MAX, served).await.is_ok(),
        in_time => in_time.is_ok(),
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    match upgraded.take() {
        Some(upgrade) if in_time => return Some((stream, parts.read_buf, upgrade)),
        _ if in_time => hang_up(&mut stream).await,
        _ => {}
    }
    None
}

/// Ends the stream and waits a moment for the other end to do the same.
async fn hang_up<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let drain = async {
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    let _ = timeout(LINGER_MAX, drain).await;
}

async fn answer(
    shard: &Rc<Shard>,
    method: hyper::Method,
    asked: Asked,
    body: Incoming,
    upgraded: &RefCell<Option<Upgrade>>,
) -> Answered {
    let target = asked.uri.path_and_query().map_or("", |target| target.as_str());
    Ok(match route(&method, target) {
        Route::WebSocket { target } => web_socket(shard, target, &asked, upgraded),
        Route::ConsoleQuery => console::query(shard, &asked, body).await,
        Route::DemoApi => demo::api(shard, &asked, body).await,
        page @ (Route::Info
        | Route::Index
        | Route::Demo
        | Route::Console
        | Route::File { .. }
        | Route::Options
        | Route::OptionsOfEndpoint
        | Route::Nothing) => {
            drop(body);
            let shared = &shard.shared;
            shared.site.answer(page, &asked, shared.is_ready()).await
        }
    })
}

/// Fatal refusals are told over the WebSocket, so the request is answered 101 all the same (protocol.md 2.3).
fn web_socket(shard: &Shard, target: &str, asked: &Asked, upgraded: &RefCell<Option<Upgrade>>) -> Answer {
    let headers = &asked.headers;
    let answer_headers = match accept::answer(headers) {
        Ok(headers) => headers,
        Err(why) => return bad_upgrade(why),
    };
    let shared = &shard.shared;
    if shared.metrics.memory.is_full() {
        shared.metrics.turned_away("connection");
        return no_memory();
    }
    let value = |name: HeaderName| headers.get(name).map(|value| value.as_bytes());
    let origin = value(ORIGIN);
    let info = wire::RequestHeaders {
        user_agent: value(USER_AGENT).unwrap_or_default(),
        language: value(ACCEPT_LANGUAGE).unwrap_or_default(),
        origin,
    };
    let ip = client_address(asked.peer, headers, &shared.ws.trusted_proxies);
    *upgraded.borrow_mut() = Some(Upgrade {
        hello: wire::hello_to(
            target.as_bytes(),
            origin,
            |dev| shared.core.origins(dev),
            shared.core.dev_index_size,
        ),
        client: Arc::new(info.client_info(ip)),
    });
    upgrade(answer_headers)
}
