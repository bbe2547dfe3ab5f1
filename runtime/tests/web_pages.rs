//! Pages, their files and the client as browsers get them (protocol.md 2.1, S62).

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod harness;

use std::collections::BTreeSet;

use harness::request::Request;
use harness::{Server, server, server_with};

const SCRIPT: &str = "text/javascript; charset=UTF-8";

/// Paths a page or script names: `src`, `href` and `import`, below the folder it is in.
fn named(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in ["src=\"", "href=\"", "from \"./", "import \"./"] {
        for rest in text.split(start).skip(1) {
            let path = rest.split('"').next().unwrap();
            let is_page = !path.contains('.') || path.starts_with(['#', '$']) || path.contains(':');
            if !is_page && path != "./" {
                found.insert(path.to_owned());
            }
        }
    }
    found
}

fn get(server: &Server, path: &str) -> harness::request::Answer {
    Request::get(path).send(server.ws())
}

/// S62: the classic script and the module, under every spelling.
#[test]
fn the_client_is_served() {
    let server = server();
    for (name, part) in [("CometServerApi.js", "cometApi"), ("comet-client.js", "export")] {
        let plain = get(&server, &format!("/{name}"));
        assert_eq!(plain.status, 200);
        assert!(plain.body.contains(part), "{name}");
        for path in [
            format!("//{name}"),
            format!("/comet-server/{name}?v=4.08"),
            format!("//comet-server/{name}#x"),
            format!("/{}", name.replace('.', "%2e")),
        ] {
            let answer = get(&server, &path);
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.body, plain.body, "{path}");
            assert_eq!(answer.header("content-type"), Some(SCRIPT));
            assert_eq!(answer.header("cache-control"), Some("max-age=3600"));
            assert_eq!(
                answer.header("access-control-allow-origin"),
                Some("*"),
                "for other sites' pages"
            );
            assert_eq!(answer.header("allow"), Some("GET"));
        }
    }
    for path in [
        "/cometserverapi.js",
        "/CometServerApi.js/",
        "/x/CometServerApi.js",
        "/site",
        "/site/",
    ] {
        assert_eq!(get(&server, path).status, 404, "{path}");
    }
    for path in [
        "/site/../CometServerApi.js",
        "/site%2f..%2fCometServerApi.js",
        "/CometServerApi.js%00",
    ] {
        assert_eq!(get(&server, path).status, 404, "{path}");
    }
}

#[test]
fn what_the_browser_has_is_not_sent_again() {
    let server = server();
    for path in ["/CometServerApi.js", "/site/style.css", "/", "/demo", "/console"] {
        let first = get(&server, path);
        let tag = first.header("etag").unwrap().to_owned();
        for value in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = Request::get(path)
                .header("If-None-Match", &value)
                .send(server.ws());
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{path} {value}");
            assert_eq!(again.header("etag"), Some(tag.as_str()));
            assert_eq!(again.header("cache-control"), first.header("cache-control"));
        }
        let other = Request::get(path)
            .header("If-None-Match", "\"x\"")
            .send(server.ws());
        assert_eq!((other.status, other.body), (200, first.body.clone()), "{path}");
        let head = Request::new("HEAD", path).send(server.ws());
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(
            head.header("content-length"),
            Some(first.body.len().to_string().as_str())
        );
        assert_eq!(head.header("etag"), Some(tag.as_str()));
    }
}

/// A page runs our scripts and nobody else's, is in nobody's frame, and is never an old one.
#[test]
fn pages_are_locked() {
    let server = server();
    for path in ["/", "/demo", "//demo?x", "/comet-server/console", "/comet-server"] {
        let page = get(&server, path);
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=UTF-8"));
        assert_eq!(
            page.header("content-security-policy"),
            Some(
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                 connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
        );
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("cache-control"), Some("no-cache"));
    }
}

/// Nothing a page or a script names is missing.
#[test]
fn everything_the_pages_need_is_there() {
    let server = server();
    let mut waiting = vec!["index".to_owned(), "demo".to_owned(), "console".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let target = if path == "index" {
            "/".to_owned()
        } else {
            format!("/{path}")
        };
        let answer = get(&server, &target);
        assert_eq!(answer.status, 200, "{path}");
        let expected = match path.rsplit_once('.') {
            Some((_, "js")) => SCRIPT,
            Some((_, "css")) => "text/css; charset=UTF-8",
            Some(_) | None => "text/html; charset=UTF-8",
        };
        assert_eq!(answer.header("content-type"), Some(expected), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let is_client = path == "comet-client.js" || path == "CometServerApi.js";
        let cache = if is_client { "max-age=3600" } else { "no-cache" };
        assert_eq!(
            answer.header("cache-control"),
            Some(cache),
            "{path}: of one version all"
        );
        let folder = if path.starts_with("site/") { "site/" } else { "" };
        waiting.extend(
            named(&answer.body)
                .into_iter()
                .map(|name| format!("{folder}{name}")),
        );
    }
    assert!(seen.len() > 10, "{seen:?}");
}

/// The administrator's file wins, as long as it is one that is served and no part of our pages: what a site keeps in a
/// folder of this name must not run in the console.
#[test]
fn files_of_the_administrator_come_first() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("CometServerApi.js"), "mine").unwrap();
    std::fs::create_dir(dir.path().join("comet-client.js")).unwrap();
    std::fs::create_dir(dir.path().join("site")).unwrap();
    std::fs::write(dir.path().join("site/style.css"), "body{}").unwrap();
    std::fs::write(dir.path().join("demo"), "no page").unwrap();
    let with_types = |types: &[(&str, &str)]| {
        server_with(|settings| {
            settings.base_dir = Some(dir.path().to_owned());
            settings.content_types = types
                .iter()
                .map(|&(of, value)| (of.to_owned(), value.to_owned()))
                .collect();
        })
    };
    let server = with_types(&[("js", "application/javascript"), ("css", "text/css")]);
    let mine = get(&server, "/comet-server/CometServerApi.js");
    assert_eq!((mine.status, mine.body.as_str()), (200, "mine"));
    assert_eq!(
        mine.header("content-type"),
        Some("application/javascript; charset=UTF-8")
    );
    for path in ["/site/style.css", "/comet-server/%73ite/style.css"] {
        let style = get(&server, path).body;
        assert!(style.len() > 100, "{path}: the pages keep theirs");
    }
    assert!(
        get(&server, "/comet-client.js").body.contains("export"),
        "a folder is no file"
    );
    assert!(
        get(&server, "/demo").body.contains("<!doctype html>"),
        "pages are not files"
    );
    let server = with_types(&[("css", "text/css")]);
    let ours = get(&server, "/CometServerApi.js");
    assert!(
        ours.body.contains("cometApi"),
        "an extension that is not listed is not served"
    );
}

#[test]
fn other_methods_find_nothing() {
    let server = server();
    for (method, path) in [
        ("POST", "/"),
        ("POST", "/demo"),
        ("POST", "/console"),
        ("POST", "/CometServerApi.js"),
        ("POST", "/demo/api/x"),
        ("PUT", "/demo/api"),
        ("GET", "/demo/api"),
        ("GET", "/console/query"),
        ("HEAD", "/console/query"),
        ("DELETE", "/site/style.css"),
    ] {
        let answer = Request::new(method, path).send(server.ws());
        assert_eq!(answer.status, 404, "{method} {path}");
    }
}
