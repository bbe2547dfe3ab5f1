//! What the two endpoints have in common: whose page asks, and its body.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use comet_core::limit::Wait;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};

use super::access::Asked;
use super::answer::Refusal;
use super::proxies::client_address;
use crate::rt::time::timeout;
use crate::shared::Shared;

const FOREIGN: Refusal = Refusal::new(StatusCode::FORBIDDEN, "only a page of this server may ask this");
const NO_JSON: Refusal = Refusal::new(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "Content-Type must be application/json",
);
const TOO_LARGE: Refusal = Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long");
const TOO_SLOW: Refusal = Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive");
const BROKEN: Refusal = Refusal::new(StatusCode::BAD_REQUEST, "the request did not arrive");

/// The server stops, or does not take what was asked.
pub(super) const UNABLE: Refusal = Refusal::later(
    StatusCode::SERVICE_UNAVAILABLE,
    "the server cannot do this at present",
    5,
);
/// All places are taken.
pub(super) const FULL: Refusal =
    Refusal::later(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once", 1);

/// Refuses what a page of another site could have sent.
pub(super) fn check_sender(asked: &Asked) -> Result<(), Refusal> {
    if !asked.is_of_our_own_page() {
        return Err(FOREIGN);
    }
    if !asked.brings_json() {
        return Err(NO_JSON);
    }
    Ok(())
}

/// The address whose turns are counted.
pub(super) fn client(asked: &Asked, shared: &Shared) -> IpAddr {
    client_address(asked.peer, &asked.headers, &shared.ws.trusted_proxies)
}

/// No turn left.
pub(super) fn too_often(text: &'static str, wait: Wait) -> Refusal {
    Refusal::later(StatusCode::TOO_MANY_REQUESTS, text, wait.seconds())
}

/// Reads a body of at most `bytes_max`, in the time a request may take to arrive (Q1).
pub(super) async fn read(body: Incoming, bytes_max: usize, shared: &Shared) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(TOO_LARGE);
    }
    let limit = Duration::from_millis(shared.ws.handshake_timeout_ms);
    match timeout(limit, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(TOO_LARGE),
        Ok(Err(_)) => Err(BROKEN),
        Err(_) => Err(TOO_SLOW),
    }
}
