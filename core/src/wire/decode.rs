//! Browser commands (protocol.md 2.6): one text message in, one typed request out.

use super::{BadReason, BadRequest, ClientRequest, ErrorExtra};

/// Decodes one text message. `body_bytes_max` is `main.max_message_body`.
pub fn decode(_text: &str, _body_bytes_max: usize) -> Result<ClientRequest, BadRequest> {
    Err(BadRequest {
        reason: BadReason::UnknownCommand,
        extra: ErrorExtra::Plain,
        report_to: None,
    })
}
