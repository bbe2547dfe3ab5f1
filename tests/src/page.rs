//! A browser page on a real WebSocket: what an unmodified client does, without its JavaScript (protocol.md 2).

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::DEADLINE;

/// A connected page.
pub struct Page<S = TcpStream> {
    socket: WebSocketStream<S>,
}

/// The URL path a client of version 4.08 sends (protocol.md 2.2).
pub fn path(user: &str, key: &str, uuid: &str) -> String {
    path_of(0, user, key, "4.08", uuid)
}

/// The URL path of any client.
pub fn path_of(dev: u32, user: &str, key: &str, version: &str, uuid: &str) -> String {
    format!("/ws/sesion={key}&myid={user}&devid={dev}&v={version}&uuid={uuid}&api=js")
}

impl Page<TcpStream> {
    /// Connects; the first frame is F1 and still unread.
    pub async fn open(server: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(server)
            .await
            .expect("the browser port accepts");
        Self::over(stream, &format!("ws://{server}{path}")).await
    }

    /// Connects as a user and reads F1, which must say that the key is right.
    pub async fn login(server: SocketAddr, user: u32, key: &str, uuid: &str) -> Self {
        let mut page = Self::open(server, &path(&user.to_string(), key, uuid)).await;
        let info = page.frame().await;
        assert_eq!(info["authorized"], true, "user {user} is authorized: {info}");
        page
    }

    /// Connects without a key and reads F1.
    pub async fn anonymous(server: SocketAddr) -> Self {
        let mut page = Self::open(server, &path("", "", "")).await;
        let info = page.frame().await;
        assert_eq!(info["authorized"], false, "{info}");
        page
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Page<S> {
    /// Speaks the handshake over any stream.
    pub async fn over(stream: S, url: &str) -> Self {
        let (socket, answer) = tokio_tungstenite::client_async(url, stream)
            .await
            .expect("the handshake");
        assert_eq!(answer.status(), 101);
        Self { socket }
    }

    /// Sends one command, `⏎` standing for LF.
    pub async fn send(&mut self, command: &str) {
        let text = command.replace('⏎', "\n");
        self.socket
            .send(Message::text(text))
            .await
            .expect("the page can send");
    }

    /// Sends any WebSocket message.
    pub async fn send_message(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message).await
    }

    /// Subscribes and waits until the server has done it: the answer to a count comes after it.
    pub async fn subscribe(&mut self, names: &[&str]) {
        self.send(&format!("subscription⏎{}", names.join("⏎"))).await;
        self.send("pipe_count⏎web_ready⏎ready").await;
        self.frame_where(|frame| frame["marker"] == "ready").await;
    }

    /// The next frame; Pings are answered on the way, as browsers do.
    pub async fn frame(&mut self) -> Value {
        self.next().await.expect("a frame, not the end of the connection")
    }

    /// The next frame that `wanted` accepts; others are skipped.
    pub async fn frame_where(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.frame().await;
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// The next frame, or `None` when the connection has ended. A Close frame is a failure: the server never sends one
    /// to a page (Q9).
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let next = tokio::time::timeout(DEADLINE, self.socket.next()).await;
            match next.expect("something within the deadline") {
                Some(Ok(Message::Text(text))) => {
                    return Some(serde_json::from_str(&text).expect("frames are JSON"));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) => panic!("the server sent a Close frame"),
                Some(Ok(other @ (Message::Binary(_) | Message::Frame(_)))) => panic!("unexpected {other:?}"),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// True if the connection ends within the deadline, whatever comes before.
    pub async fn ends(&mut self) -> bool {
        while self.next().await.is_some() {}
        true
    }

    /// Everything that comes until an answer to a question asked now: proves that nothing else is on the way.
    pub async fn drain(&mut self, marker: &str) -> Vec<Value> {
        self.send(&format!("pipe_count⏎web_drain⏎{marker}")).await;
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await;
            if frame["marker"] == marker {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// Waits for a frame no longer than `limit`.
    pub async fn frame_within(&mut self, limit: Duration) -> Option<Value> {
        tokio::time::timeout(limit, self.next()).await.ok().flatten()
    }
}
