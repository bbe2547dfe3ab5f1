//! The pages the server has of its own: what runs here, a demonstration, a console. No external asset, and headers
//! that let nobody else's script in.

use bytes::Bytes;

use super::assets::Asset;

const HTML: &str = "text/html; charset=UTF-8";

/// Scripts, styles and connections of this server only; nobody shows the page in a frame of his.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The pages, filled in.
#[derive(Debug)]
pub(super) struct Pages {
    /// `/`
    pub(super) index: Asset,
    /// `/demo`
    pub(super) demo: Asset,
    /// `/console`
    pub(super) console: Asset,
}

impl Pages {
    /// `cometql_port` is `None` if that port is off.
    pub(super) fn new(product: &str, cometql_port: Option<u16>) -> Self {
        let connect = cometql_port.map_or_else(
            || "(the CometQL port is switched off)".to_owned(),
            |port| format!("mysql -h 127.0.0.1 -P {port} -u root -p CometQL_v1"),
        );
        let page = |template: &str| {
            let filled = template
                .replace("{PRODUCT}", &escape(product))
                .replace("{CONNECT}", &escape(&connect));
            Asset::new(HTML, Bytes::from(filled))
        };
        Self {
            index: page(include_str!("site/index.html")),
            demo: page(include_str!("site/demo.html")),
            console: page(include_str!("site/console.html")),
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_filled_in_and_ask_nobody_else() {
        for pages in [
            Pages::new("comet-server <1>", Some(3307)),
            Pages::new("comet-server <1>", None),
        ] {
            for page in [pages.index, pages.demo, pages.console] {
                let text = str::from_utf8(&page.plain.content).unwrap();
                for unwanted in ["{PRODUCT}", "{CONNECT}", "<1>", "http://", "https://", "src=\"//"] {
                    assert!(!text.contains(unwanted), "{unwanted}");
                }
                assert!(text.contains("color-scheme") && text.contains("width=device-width"));
            }
        }
    }

    /// The policy would stop them, and the page would be dead.
    #[test]
    fn nothing_is_written_into_the_pages_that_their_policy_forbids() {
        let pages = Pages::new("x", Some(3307));
        for page in [pages.index, pages.demo, pages.console] {
            let text = str::from_utf8(&page.plain.content).unwrap().to_ascii_lowercase();
            for unwanted in [
                "<style",
                " style=",
                " onclick=",
                " onload=",
                "javascript:",
                "<form action",
            ] {
                assert!(!text.contains(unwanted), "{unwanted}");
            }
            for script in text.split("<script").skip(1) {
                assert!(script.split('>').next().unwrap().contains("src="), "{script}");
            }
        }
    }
}
