//! Answers to HTTP requests with the headers of protocol.md 2.1.

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW,
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, SEC_WEBSOCKET_VERSION, SERVER,
};
use hyper::{Response, StatusCode};

use super::pages;
use super::routes::Route;
use super::static_files::{NotServed, Served, StaticFiles};
use crate::config::Settings;
use crate::ws::accept::BadUpgrade;

pub(crate) type Answer = Response<Full<Bytes>>;
pub(crate) type Answered = Result<Answer, Infallible>;

const PRODUCT: HeaderValue = HeaderValue::from_static("comet-server");
const COMET_SERVER: HeaderName = HeaderName::from_static("comet-server");
const HTML: &str = "text/html; charset=UTF-8";
const TEXT: &str = "text/plain; charset=UTF-8";
const METHODS: &str = "POST, GET";
const METHODS_OF_FILES: &str = "GET";

/// Pages and files, made once.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    node_name: String,
    index: Bytes,
    demo: Bytes,
    files: Option<StaticFiles>,
}

impl Site {
    pub(crate) fn new(settings: &Settings, cometql_port: Option<u16>) -> Self {
        let files = |base: &Path| StaticFiles::new(base, settings.content_types.clone());
        Self {
            node_name: settings.core.node_name.to_string(),
            index: pages::index(&settings.core.product).into(),
            demo: pages::demo(&settings.core.product, cometql_port).into(),
            files: settings.base_dir.as_deref().map(files),
        }
    }

    /// Answers what is no WebSocket request.
    pub(crate) async fn answer(&self, route: Route<'_>, ready: bool) -> Answer {
        match route {
            Route::Info => self.info(ready),
            Route::Index => page(self.index.clone()),
            Route::Demo => page(self.demo.clone()),
            Route::File { path } => match self.file(path.to_owned()).await {
                Ok(served) => file(served),
                Err(NotServed::Missing) => not_found(),
                Err(NotServed::Busy) => busy(),
            },
            Route::Options => plain(StatusCode::OK, TEXT, Bytes::from_static(b"+OK")),
            Route::Nothing | Route::WebSocket { .. } => not_found(),
        }
    }

    /// The liveness probe (Q2).
    fn info(&self, ready: bool) -> Answer {
        let (status, word) = match ready {
            true => (StatusCode::OK, "ok"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "unready"),
        };
        let node = quoted(&self.node_name);
        let body = format!("{{\"status\":\"{word}\",\"node\":{node}}}");
        plain(status, "application/json", body.into())
    }

    async fn file(&self, path: String) -> Result<Served, NotServed> {
        let files = self.files.clone().ok_or(NotServed::Missing)?;
        // Only a panic could come instead of an answer.
        tokio::task::spawn_blocking(move || files.read(&path))
            .await
            .unwrap_or(Err(NotServed::Missing))
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if u32::from(char) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

/// The answer to a bad request on the WebSocket route (protocol.md 2.1, 2.3).
pub(crate) fn bad_upgrade(why: BadUpgrade) -> Answer {
    let (status, text) = match why {
        BadUpgrade::NotAnUpgrade => (StatusCode::BAD_REQUEST, "this address is for WebSockets\n"),
        BadUpgrade::NoKey => (StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is missing\n"),
        BadUpgrade::LongKey => (StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is too long\n"),
        BadUpgrade::WrongVersion => (
            StatusCode::UPGRADE_REQUIRED,
            "only WebSocket version 13 is spoken\n",
        ),
    };
    let mut answer = plain(status, TEXT, Bytes::from_static(text.as_bytes()));
    answer
        .headers_mut()
        .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    answer
}

/// 101 Switching Protocols.
pub(crate) fn upgrade(headers: Vec<(HeaderName, HeaderValue)>) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().extend(headers);
    answer
}

fn not_found() -> Answer {
    plain(StatusCode::NOT_FOUND, TEXT, Bytes::from_static(b"not found\n"))
}

fn busy() -> Answer {
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        TEXT,
        Bytes::from_static(b"too many files are being sent, come back later\n"),
    )
}

fn page(content: Bytes) -> Answer {
    cached(plain(StatusCode::OK, HTML, content))
}

fn file(served: Served) -> Answer {
    let mut answer = cached(plain(StatusCode::OK, &served.content_type, served.content));
    for name in [ACCESS_CONTROL_ALLOW_METHODS, ALLOW] {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(METHODS_OF_FILES));
    }
    answer
}

fn cached(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    answer
}

fn plain(status: StatusCode, content_type: &str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    // A configured type that is no header value is a configuration nobody can mean.
    let content_type = HeaderValue::from_str(content_type);
    headers.insert(
        CONTENT_TYPE,
        content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ALLOW, HeaderValue::from_static(METHODS));
    let allowed = HeaderValue::from_static("origin, content-type, accept");
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(SERVER, PRODUCT);
    headers.insert(COMET_SERVER, PRODUCT);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Q2: the name as it is, whatever it contains.
    #[test]
    fn node_names_are_quoted() {
        assert_eq!(quoted("NoName"), "\"NoName\"");
        assert_eq!(quoted("a\"b\\c\nü"), "\"a\\\"b\\\\c\\u000aü\"");
    }

    #[test]
    fn the_headers_of_protocol_2_1() {
        let answer = not_found();
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "POST, GET"),
            ("allow", "POST, GET"),
            ("access-control-allow-headers", "origin, content-type, accept"),
            ("server", "comet-server"),
            ("comet-server", "comet-server"),
            ("connection", "close"),
        ] {
            assert_eq!(answer.headers()[name], value, "{name}");
        }
        let served = Served {
            content_type: "a/b; charset=UTF-8".to_owned(),
            content: Bytes::from_static(&[1]),
        };
        let answer = file(served);
        assert_eq!(answer.headers()["allow"], "GET");
        assert_eq!(answer.headers()["cache-control"], "max-age=3600");
    }
}
