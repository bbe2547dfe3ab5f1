//! The doors of `crate::fuzzing` to requests on the browser port.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri, Version};

use super::access::Asked;
use super::proxies::client_address;
use super::routes::{Route, route};
use super::{console, demo, static_files};
use crate::config::TrustedProxies;
use crate::ws;

/// A request as somebody sent it. What HTTP itself forbids in names and values is left out.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `GET`, or anything else.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Names and values.
    pub headers: Vec<(&'a str, Vec<u8>)>,
    /// The other end of the connection.
    pub peer: SocketAddr,
}

/// Everything the server concludes from a request before it does anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Understood {
    /// The name of its route.
    pub route: &'static str,
    /// The file it may name, below the base directory.
    pub file: Option<String>,
    /// The address that counts.
    pub client: IpAddr,
    /// A browser on this machine, and no proxy between.
    pub this_machine: bool,
    /// No page of another site.
    pub own_page: bool,
    /// The body is said to be JSON.
    pub brings_json: bool,
    /// The headers that answer a WebSocket handshake, if it is a good one.
    pub handshake: Option<Vec<(String, Vec<u8>)>>,
    /// User and password of the console.
    pub login: Option<(String, String)>,
}

/// Understands a request as the server does.
pub fn request(request: &Request<'_>, trusted: &TrustedProxies) -> Understood {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let method = Method::from_bytes(request.method.as_bytes()).unwrap_or(Method::GET);
    let route = route(&method, request.target);
    let file = if let Route::File { path } = route {
        static_files::relative_path(path)
    } else {
        None
    };
    let client = client_address(request.peer, &headers, trusted);
    let handshake = ws::accept::answer(&headers).ok().map(|headers| {
        let plain = |(name, value): (HeaderName, HeaderValue)| (name.to_string(), value.as_bytes().to_vec());
        headers.into_iter().map(plain).collect()
    });
    let asked = Asked {
        version: Version::HTTP_11,
        uri: request.target.parse::<Uri>().unwrap_or_default(),
        headers,
        peer: request.peer,
    };
    Understood {
        route: name(&route),
        file,
        client,
        this_machine: asked.is_from_this_machine(),
        own_page: asked.is_of_our_own_page(),
        brings_json: asked.brings_json(),
        handshake,
        login: console::credentials(&asked),
    }
}

fn name(route: &Route<'_>) -> &'static str {
    match route {
        Route::WebSocket { .. } => "websocket",
        Route::Info => "info",
        Route::Index => "index",
        Route::Demo => "demo",
        Route::DemoApi => "demo api",
        Route::Console => "console",
        Route::ConsoleQuery => "console query",
        Route::File { .. } => "file",
        Route::Options => "options",
        Route::OptionsOfEndpoint => "options of endpoint",
        Route::Nothing => "nothing",
    }
}

/// What a body means to the endpoints; `None`: refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bodies {
    /// The statements for `/console/query`.
    pub statements: Option<Vec<String>>,
    /// The action for `/demo/api`, in its own words.
    pub action: Option<String>,
}

/// Reads a body as both endpoints do.
pub fn bodies(body: &[u8]) -> Bodies {
    Bodies {
        statements: console::statements(body),
        action: demo::action(body),
    }
}
