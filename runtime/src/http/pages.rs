//! The two pages the server has of its own: what runs here, and a demonstration. No external asset, no script of
//! others.

/// What runs here. `{PRODUCT}` is filled in.
const INDEX: &str = include_str!("site/index.html");
/// Shows messages as they arrive and how to send them. `{SQL}` is filled in.
const DEMO: &str = include_str!("site/demo.html");

/// The page at `/`.
pub(crate) fn index(product: &str) -> String {
    INDEX.replace("{PRODUCT}", &escape(product))
}

/// The page at `/demo`. `cometql_port` is `None` if that port is off.
pub(crate) fn demo(product: &str, cometql_port: Option<u16>) -> String {
    let connect = cometql_port.map_or_else(
        || "(the CometQL port is switched off)".to_owned(),
        |port| format!("mysql -h 127.0.0.1 -P {port} -u root -p CometQL_v1"),
    );
    DEMO.replace("{PRODUCT}", &escape(product))
        .replace("{CONNECT}", &escape(&connect))
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
        for page in [
            index("comet-server <1>"),
            demo("comet-server <1>", Some(3307)),
            demo("x", None),
        ] {
            for placeholder in ["{PRODUCT}", "{CONNECT}", "<1>", "http://", "https://", "src="] {
                assert!(!page.contains(placeholder), "{placeholder}");
            }
            assert!(page.contains("color-scheme") && page.contains("width=device-width"));
        }
        assert!(demo("x", Some(4000)).contains("-P 4000"));
    }
}
