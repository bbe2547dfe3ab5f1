//! Answers to HTTP requests with the headers of protocol.md 2.1.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW,
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, REFERRER_POLICY, RETRY_AFTER, SEC_WEBSOCKET_VERSION, SERVER, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::assets::Asset;
use super::json::quoted;
use super::pages;
use super::static_files::Served;
use crate::ws::accept::BadUpgrade;

pub(crate) type Answer = Response<Full<Bytes>>;
pub(crate) type Answered = Result<Answer, Infallible>;

const PRODUCT: HeaderValue = HeaderValue::from_static("comet-server");
const COMET_SERVER: HeaderName = HeaderName::from_static("comet-server");
const TEXT: &str = "text/plain; charset=UTF-8";
const JSON: &str = "application/json";
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("10");
const METHODS: &str = "POST, GET";
const METHODS_OF_FILES: &str = "GET";
const METHODS_OF_ENDPOINTS: &str = "POST";
const AN_HOUR: HeaderValue = HeaderValue::from_static("max-age=3600");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// Why an endpoint does nothing; told as JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
    /// Seconds after which it may work.
    pub(super) retry_after: Option<u64>,
}

impl Refusal {
    pub(super) const fn new(status: StatusCode, text: &'static str) -> Self {
        Self {
            status,
            text,
            retry_after: None,
        }
    }

    pub(super) const fn later(status: StatusCode, text: &'static str, seconds: u64) -> Self {
        Self {
            status,
            text,
            retry_after: Some(seconds),
        }
    }

    pub(super) fn answer(self) -> Answer {
        let mut answer = endpoint(self.status, format!("{{\"error\":{}}}", quoted(self.text)));
        let headers = answer.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // No scheme a browser knows: it would ask for the password itself.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("CometQL"));
        }
        answer
    }
}

/// The liveness probe (Q2).
pub(super) fn info(node_name: &str, ready: bool) -> Answer {
    let (status, word) = match ready {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unready"),
    };
    let node = quoted(node_name);
    let body = format!("{{\"status\":\"{word}\",\"node\":{node}}}");
    plain(status, JSON, body.into())
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

/// 200 to any OPTIONS.
pub(super) fn options() -> Answer {
    plain(StatusCode::OK, TEXT, Bytes::from_static(b"+OK"))
}

/// 200 to OPTIONS on an endpoint: pages of other sites are allowed nothing.
pub(super) fn options_of_endpoint() -> Answer {
    own(StatusCode::OK, TEXT, Bytes::from_static(b"+OK"))
}

/// 404 with a text.
pub(super) fn missing(text: &'static str) -> Answer {
    plain(StatusCode::NOT_FOUND, TEXT, Bytes::from_static(text.as_bytes()))
}

pub(super) fn not_found() -> Answer {
    missing("not found\n")
}

/// 503 to a WebSocket that there is no memory for (protocol.md 8.7).
pub(super) fn no_memory() -> Answer {
    let text = Bytes::from_static(b"the server is full, come back later\n");
    let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, TEXT, text);
    answer.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    answer
}

pub(super) fn busy() -> Answer {
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        TEXT,
        Bytes::from_static(b"too many files are being sent, come back later\n"),
    )
}

/// A page of our own. It changes with the program, so browsers ask each time whether it is still the same.
pub(super) fn page(page: &Asset, asked: &HeaderMap) -> Answer {
    let mut answer = unless_known(page, asked);
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, ASK_AGAIN);
    let policy = HeaderValue::from_static(pages::CONTENT_SECURITY_POLICY);
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// A script or style of a page. An old one would not fit a new page.
pub(super) fn part_of_page(asset: &Asset, asked: &HeaderMap) -> Answer {
    own_file(asset, asked, ASK_AGAIN)
}

/// The client.
pub(super) fn client(asset: &Asset, asked: &HeaderMap) -> Answer {
    own_file(asset, asked, AN_HOUR)
}

fn own_file(asset: &Asset, asked: &HeaderMap, caching: HeaderValue) -> Answer {
    let mut answer = unless_known(asset, asked);
    answer.headers_mut().insert(CACHE_CONTROL, caching);
    only_get(answer)
}

fn unless_known(asset: &Asset, asked: &HeaderMap) -> Answer {
    let coded = asset.for_browser(asked);
    let (status, content) = match coded.is_known(asked) {
        true => (StatusCode::NOT_MODIFIED, Bytes::new()),
        false => (StatusCode::OK, coded.content.clone()),
    };
    let mut answer = plain(status, asset.content_type, content);
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = coded.encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if let Ok(tag) = HeaderValue::from_str(&coded.tag) {
        headers.insert(ETAG, tag);
    }
    answer
}

/// A file of the administrator.
pub(super) fn file(served: Served) -> Answer {
    let mut answer = plain(StatusCode::OK, &served.content_type, served.content);
    answer.headers_mut().insert(CACHE_CONTROL, AN_HOUR);
    only_get(answer)
}

fn only_get(mut answer: Answer) -> Answer {
    for name in [ACCESS_CONTROL_ALLOW_METHODS, ALLOW] {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(METHODS_OF_FILES));
    }
    answer
}

/// JSON for a page of our own and for nobody else.
pub(super) fn endpoint(status: StatusCode, json: String) -> Answer {
    let mut answer = own(status, JSON, json.into());
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// What pages of other sites may read.
fn plain(status: StatusCode, content_type: &str, body: Bytes) -> Answer {
    let mut answer = own(status, content_type, body);
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ALLOW, HeaderValue::from_static(METHODS));
    let allowed = HeaderValue::from_static("origin, content-type, accept");
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    answer
}

fn own(status: StatusCode, content_type: &str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    // A configured type that is no header value is a configuration nobody can mean.
    let content_type = HeaderValue::from_str(content_type);
    headers.insert(
        CONTENT_TYPE,
        content_type.unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    headers.insert(ALLOW, HeaderValue::from_static(METHODS_OF_ENDPOINTS));
    headers.insert(SERVER, PRODUCT);
    headers.insert(COMET_SERVER, PRODUCT);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
