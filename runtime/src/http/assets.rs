//! Files that are part of the program: scripts and styles of its own pages, and the client (S62). What a browser
//! already has is not sent again, and what it gets is compressed if it can read that.

use std::hash::{DefaultHasher, Hasher};
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, HeaderMap, IF_NONE_MATCH};

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

/// Something that can be sent, as it is and compressed.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) content_type: &'static str,
    pub(super) plain: Coded,
    gzip: Coded,
}

/// One form of an asset, and the tag that stands for exactly these bytes.
#[derive(Debug)]
pub(super) struct Coded {
    pub(super) content: Bytes,
    pub(super) tag: String,
    /// `Content-Encoding`.
    pub(super) encoding: Option<&'static str>,
}

impl Asset {
    pub(super) fn new(content_type: &'static str, content: Bytes) -> Self {
        // Whoever could make two contents with the same tag could change the program, too.
        let mut hasher = DefaultHasher::new();
        hasher.write(&content);
        let tag = format!("{:x}-{:016x}", content.len(), hasher.finish());
        Self {
            content_type,
            gzip: Coded {
                content: gzip(&content),
                tag: format!("\"{tag}-gzip\""),
                encoding: Some("gzip"),
            },
            plain: Coded {
                content,
                tag: format!("\"{tag}\""),
                encoding: None,
            },
        }
    }

    /// The form a browser can read best.
    pub(super) fn for_browser(&self, headers: &HeaderMap) -> &Coded {
        if accepts_gzip(headers) {
            &self.gzip
        } else {
            &self.plain
        }
    }
}

/// Compressed once, when the server starts.
fn gzip(content: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory does not fail.
    let written = encoder.write_all(content).and_then(|()| encoder.finish());
    written.unwrap_or_default().into()
}

/// RFC 9110, 12.5.3: the coding is named and not with a weight of zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).iter();
    let mut codings = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        name.trim().eq_ignore_ascii_case("gzip") && weight.parse::<f32>().is_ok_and(|weight| weight > 0.0)
    })
}

impl Coded {
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

/// Assets by their paths.
pub(super) type Assets = Vec<(&'static str, Asset)>;

/// The client.
pub(super) fn client() -> Assets {
    assets(CLIENT)
}

/// Scripts and styles of the pages.
pub(super) fn site() -> Assets {
    assets(SITE)
}

fn assets(files: &[Embedded]) -> Assets {
    let asset = |&(path, content): &Embedded| {
        let content_type = match path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=UTF-8",
            Some(_) | None => "text/javascript; charset=UTF-8",
        };
        (path, Asset::new(content_type, Bytes::from_static(content)))
    };
    files.iter().map(asset).collect()
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
        let asset =
            |text: &'static str| Asset::new("text/javascript", Bytes::from_static(text.as_bytes())).plain;
        assert_eq!(asset("a").tag, asset("a").tag);
        assert_ne!(asset("a").tag, asset("b").tag);
        assert!(asset("a").tag.starts_with('"') && asset("a").tag.ends_with('"'));
    }

    #[test]
    fn who_gets_it_compressed() {
        let asset = Asset::new("text/javascript", Bytes::from(vec![b'x'; 10_000]));
        let encoding = |value: &str| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().unwrap())]);
            asset.for_browser(&headers).encoding
        };
        for value in ["gzip", "br, GZip", "deflate, gzip;q=0.5", "gzip; q=1"] {
            assert_eq!(encoding(value), Some("gzip"), "{value}");
        }
        for value in ["", "br", "gzip;q=0", "gzip;q=0.000", "xgzip", "gzip;q=x"] {
            assert_eq!(encoding(value), None, "{value}");
        }
        assert_eq!(asset.for_browser(&HeaderMap::new()).encoding, None);
        let mut unpacked = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(asset.gzip.content.as_ref());
        std::io::Read::read_to_end(&mut decoder, &mut unpacked).unwrap();
        assert_eq!(unpacked, asset.plain.content);
        assert!(asset.gzip.content.len() < 100 && asset.gzip.tag != asset.plain.tag);
    }

    #[test]
    fn what_the_browser_has() {
        let asset = Asset::new("text/javascript", Bytes::from_static(b"a")).plain;
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
