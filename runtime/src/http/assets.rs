//! Files that are part of the program: scripts and styles of its own pages, and the client (S62). What a browser
//! already has is not sent again.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;
use hyper::header::{HeaderMap, IF_NONE_MATCH};

/// A file of the program: its path without the leading slash, and its content.
type Embedded = (&'static str, &'static [u8]);

macro_rules! embedded {
    ($folder:literal: $($path:literal)*) => { &[$(($path, include_bytes!(concat!($folder, $path)) as &[u8])),*] };
}

/// The client, for `<script src>` and for `import` (S62).
const CLIENT: &[Embedded] = embedded!("../../../client/dist/": "CometServerApi.js" "comet-client.js");

/// Scripts and styles of the pages.
const SITE: &[Embedded] = embedded!["":
    "site/console.css"
    "site/console.js"
    "site/console_complete.js"
    "site/console_prompt.js"
    "site/console_results.js"
    "site/console_schema.js"
    "site/console_sql.js"
    "site/console_tester.js"
    "site/demo.css"
    "site/demo.js"
    "site/demo_chat.js"
    "site/demo_identity.js"
    "site/demo_live.js"
    "site/demo_talks.js"
    "site/demo_view.js"
    "site/dom.js"
    "site/index.js"
    "site/storage.js"
    "site/style.css"
];

/// Something that can be sent, and the tag that stands for its content.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) content_type: &'static str,
    pub(super) content: Bytes,
    pub(super) tag: String,
}

impl Asset {
    pub(super) fn new(content_type: &'static str, content: Bytes) -> Self {
        // Whoever could make two contents with the same tag could change the program, too.
        let mut hasher = DefaultHasher::new();
        hasher.write(&content);
        let tag = format!("\"{:x}-{:016x}\"", content.len(), hasher.finish());
        Self {
            content_type,
            content,
            tag,
        }
    }

    /// True if the browser has it (RFC 9110, 13.1.2).
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(IF_NONE_MATCH).iter();
        let mut tags = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        tags.any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag
        })
    }
}

/// Every embedded file by its path.
pub(super) fn all() -> Vec<(&'static str, Asset)> {
    let asset = |&(path, content): &Embedded| {
        let content_type = match path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=UTF-8",
            Some(_) | None => "text/javascript; charset=UTF-8",
        };
        (path, Asset::new(content_type, Bytes::from_static(content)))
    };
    CLIENT.iter().chain(SITE).map(asset).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A file that was added to the folder and forgotten here would be missed only in a browser.
    #[test]
    fn every_file_of_the_site_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/site");
        let names = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let files: BTreeSet<String> = names
            .filter(|name| !name.ends_with(".html"))
            .map(|name| format!("site/{name}"))
            .collect();
        let embedded: BTreeSet<String> = SITE.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(embedded, files);
    }

    #[test]
    fn tags_follow_the_content() {
        let asset = |text: &'static str| Asset::new("text/javascript", Bytes::from_static(text.as_bytes()));
        assert_eq!(asset("a").tag, asset("a").tag);
        assert_ne!(asset("a").tag, asset("b").tag);
        assert!(asset("a").tag.starts_with('"') && asset("a").tag.ends_with('"'));
    }

    #[test]
    fn what_the_browser_has() {
        let asset = Asset::new("text/javascript", Bytes::from_static(b"a"));
        let known = |value: &str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, value.parse().unwrap())]);
            asset.is_known(&headers)
        };
        assert!(known(&asset.tag));
        assert!(known(&format!("W/{}", asset.tag)));
        assert!(known(&format!("\"x\", {}", asset.tag)));
        assert!(known("*"));
        assert!(!known("\"x\""));
        assert!(!known(asset.tag.trim_matches('"')));
        assert!(!asset.is_known(&HeaderMap::new()));
    }
}
