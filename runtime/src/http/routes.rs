//! What a request line means (protocol.md 2.1). Pure.

use hyper::Method;

/// The meaning of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Route<'a> {
    /// A WebSocket request; the target begins `/ws/`.
    WebSocket { target: &'a str },
    /// The liveness probe.
    Info,
    /// The page that says what runs here.
    Index,
    /// The chat that shows what the server can do.
    Demo,
    /// What the back end of a site does, for the chat.
    DemoApi,
    /// The page where one types CometQL.
    Console,
    /// What the page asks.
    ConsoleQuery,
    /// Perhaps a file; the path is not decoded yet.
    File { path: &'a str },
    /// The answer to OPTIONS.
    Options,
    /// The answer to OPTIONS on an endpoint, which pages of other sites may not use.
    OptionsOfEndpoint,
    /// 404.
    Nothing,
}

/// Finds the route of a request. `target` is the path and query as sent.
pub(crate) fn route<'a>(method: &Method, target: &'a str) -> Route<'a> {
    let Some(target) = normalise(target) else {
        return match *method == Method::OPTIONS {
            true => Route::Options,
            false => Route::Nothing,
        };
    };
    let path = without_query(target);
    let endpoint = match path {
        "/console/query" => Some(Route::ConsoleQuery),
        "/demo/api" => Some(Route::DemoApi),
        _ => None,
    };
    match (method, endpoint) {
        (&Method::OPTIONS, Some(_)) => Route::OptionsOfEndpoint,
        (&Method::OPTIONS, None) => Route::Options,
        (&Method::POST, endpoint) => endpoint.unwrap_or(Route::Nothing),
        (&Method::GET, _) if target.starts_with("/ws/") => Route::WebSocket { target },
        (&Method::GET | &Method::HEAD, _) => match path {
            "/" => Route::Index,
            "/info" => Route::Info,
            "/demo" => Route::Demo,
            "/console" => Route::Console,
            path => Route::File { path },
        },
        _ => Route::Nothing,
    }
}

/// Leading slashes collapse to one, then one leading segment `comet-server` is removed.
fn normalise(target: &str) -> Option<&str> {
    let slashes = target.len() - target.trim_start_matches('/').len();
    let target = target.get(slashes.checked_sub(1)?..)?;
    match target.strip_prefix("/comet-server") {
        Some("") => Some("/"),
        Some(rest) if rest.starts_with('/') => Some(rest),
        Some(rest) if rest.starts_with(['?', '#']) => Some("/"),
        Some(_) | None => Some(target),
    }
}

/// Query string and fragment name no other file (Q3).
fn without_query(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_websocket_route() {
        for target in [
            "/ws/a=b",
            "//ws/a=b",
            "////ws/a=b",
            "/comet-server/ws/a=b",
            "//comet-server/ws/a=b",
        ] {
            assert_eq!(
                route(&Method::GET, target),
                Route::WebSocket { target: "/ws/a=b" },
                "{target}"
            );
        }
        assert_eq!(
            route(&Method::GET, "/ws/?a=b"),
            Route::WebSocket { target: "/ws/?a=b" }
        );
        assert_eq!(route(&Method::GET, "/ws"), Route::File { path: "/ws" });
        assert_eq!(
            route(&Method::GET, "/comet-server/comet-server/ws/a"),
            Route::File {
                path: "/comet-server/ws/a"
            }
        );
    }

    /// Q2, Q3.
    #[test]
    fn queries_and_prefixes_change_no_route() {
        for target in [
            "/info",
            "/info?x",
            "//info",
            "/comet-server/info",
            "/comet-server/info?v=1#y",
        ] {
            assert_eq!(route(&Method::GET, target), Route::Info, "{target}");
        }
        for target in [
            "/",
            "/?x",
            "//",
            "/comet-server",
            "/comet-server/",
            "/comet-server?x",
        ] {
            assert_eq!(route(&Method::GET, target), Route::Index, "{target}");
        }
        assert_eq!(route(&Method::HEAD, "/demo?x"), Route::Demo);
        let file = Route::File {
            path: "/js/CometServerApi.js",
        };
        assert_eq!(
            route(&Method::GET, "/comet-server/js/CometServerApi.js?v=1"),
            file
        );
        assert_eq!(
            route(&Method::GET, "/comet-serverx"),
            Route::File {
                path: "/comet-serverx"
            }
        );
    }

    #[test]
    fn endpoints_are_asked_by_post_only() {
        for target in ["/demo/api", "//demo/api?x", "/comet-server/demo/api"] {
            assert_eq!(route(&Method::POST, target), Route::DemoApi, "{target}");
            assert_eq!(
                route(&Method::OPTIONS, target),
                Route::OptionsOfEndpoint,
                "{target}"
            );
            for method in [Method::GET, Method::HEAD] {
                assert!(matches!(route(&method, target), Route::File { .. }), "{target}");
            }
            assert_eq!(route(&Method::PUT, target), Route::Nothing, "{target}");
        }
        assert_eq!(
            route(&Method::POST, "/comet-server//console/query"),
            Route::Nothing
        );
        assert_eq!(
            route(&Method::POST, "//comet-server/console/query"),
            Route::ConsoleQuery
        );
        assert_eq!(route(&Method::GET, "/console?x"), Route::Console);
        for target in [
            "/console",
            "/demo",
            "/console/query/",
            "/console/query2",
            "/demo/api/x",
        ] {
            assert_eq!(route(&Method::POST, target), Route::Nothing, "{target}");
        }
    }

    #[test]
    fn other_methods() {
        assert_eq!(route(&Method::OPTIONS, "*"), Route::Options);
        assert_eq!(route(&Method::OPTIONS, "/ws/a"), Route::Options);
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert_eq!(route(&method, "/info"), Route::Nothing);
            assert_eq!(route(&method, "/ws/a=b"), Route::Nothing);
        }
        for target in ["*", "", "x/info"] {
            assert_eq!(route(&Method::GET, target), Route::Nothing, "{target}");
        }
    }
}
