//! The URL of a page and its Origin (protocol.md 2.2): whatever a client escapes, in whichever order, arrives as it was;
//! of what is missing the first error is told; no site passes for another.

use arbitrary::{Result, Unstructured};
use comet_core::wire::{self, Dialect, RefusalReason, is_ws_route, normalise_path, origin_allowed};

const TENANTS: u32 = 5;

/// The first byte chooses: an URL made of choices, any target, or an Origin.
pub fn hello(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => any_target(rest),
        1 => {
            let _ = origin(&mut Unstructured::new(rest));
        }
        _ => {
            let _ = url(&mut Unstructured::new(rest));
        }
    }
}

fn any_target(target: &[u8]) {
    let _ = wire::hello(target, Some(target), &["a.example".to_owned()], TENANTS);
    if let Ok(path) = std::str::from_utf8(target) {
        let normal = normalise_path(path);
        assert_eq!(is_ws_route(path), is_ws(path), "segment by segment");
        assert!(
            path.ends_with(normal) || normal == "/",
            "only the beginning is changed"
        );
    }
}

/// The route of WebSocket requests (protocol.md 2.1), read segment by segment: one `comet-server` may come first.
fn is_ws(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    let path = path.trim_start_matches('/');
    let path = match path.strip_prefix("comet-server/") {
        Some(behind) => behind.trim_start_matches('/'),
        None => path,
    };
    path.starts_with("ws/")
}

/// What a page wanted to say.
struct Wanted {
    key: Option<Vec<u8>>,
    user: Option<(&'static str, Option<u32>)>,
    dev: Option<(&'static str, u32)>,
    version: Option<(&'static str, Option<Dialect>)>,
}

const USERS: [(&str, Option<u32>); 11] = [
    ("1", Some(1)),
    ("0042", Some(42)),
    ("2147483647", Some(2_147_483_647)),
    ("", None),
    ("0", None),
    ("-1", None),
    ("+1", None),
    ("undefined", None),
    ("2147483648", None),
    ("99999999999999999999", None),
    ("1 ", None),
];
const DEVS: [(&str, u32); 8] = [
    ("0", 0),
    ("4", 4),
    ("5", 0),
    ("003", 3),
    ("", 0),
    ("x", 0),
    ("-1", 0),
    ("4294967297", 0),
];
const VERSIONS: [(&str, Option<Dialect>); 9] = [
    ("3.25", Some(Dialect::V3)),
    ("4", Some(Dialect::V4)),
    ("004.09", Some(Dialect::V4)),
    ("5.0", Some(Dialect::V5)),
    ("18446744073709551620.1", Some(Dialect::V5)),
    ("", None),
    ("4.", None),
    ("4.1.2", None),
    ("v4", None),
];

fn wanted(choices: &mut Unstructured<'_>) -> Result<Wanted> {
    let there = |choices: &mut Unstructured<'_>| choices.ratio(15, 16);
    Ok(Wanted {
        key: there(choices)?.then(|| key(choices)).transpose()?,
        user: there(choices)?
            .then(|| choices.choose(&USERS).copied())
            .transpose()?,
        dev: there(choices)?
            .then(|| choices.choose(&DEVS).copied())
            .transpose()?,
        version: there(choices)?
            .then(|| choices.choose(&VERSIONS).copied())
            .transpose()?,
    })
}

fn url(choices: &mut Unstructured<'_>) -> Result<()> {
    let wanted = wanted(choices)?;
    let uuid: String = (0..choices.int_in_range(0..=32)?)
        .map(|at| char::from(b'a' + at % 26))
        .collect();
    let mut parts = Vec::new();
    let mut put = |choices: &mut Unstructured<'_>, name: &str, value: Option<&[u8]>| -> Result<()> {
        if let Some(value) = value {
            let part = [
                &escaped(choices, name.as_bytes())?[..],
                b"=",
                &escaped(choices, value)?,
            ]
            .concat();
            let at = choices.int_in_range(0..=parts.len())?;
            parts.insert(at, part);
        }
        Ok(())
    };
    let name = *choices.choose(&["sesion", "session"])?;
    put(choices, name, wanted.key.as_deref())?;
    put(choices, "myid", wanted.user.map(|(text, _)| text.as_bytes()))?;
    put(choices, "devid", wanted.dev.map(|(text, _)| text.as_bytes()))?;
    put(choices, "v", wanted.version.map(|(text, _)| text.as_bytes()))?;
    put(choices, "uuid", Some(uuid.as_bytes()))?;
    put(choices, "api", Some(b"js"))?;
    let start = choices.choose(&[
        "/ws/",
        "/ws/?",
        "//ws/",
        "/comet-server/ws/",
        "//comet-server///ws/",
    ])?;
    let mut target = start.as_bytes().to_vec();
    target.extend(parts.join(&b'&'));
    target.extend(
        choices
            .choose(&["", " HTTP/1.1", "&sesion=second&myid=9&devid=1&v=3"])?
            .bytes(),
    );
    judge(&wanted, &uuid, &target);
    Ok(())
}

fn judge(wanted: &Wanted, uuid: &str, target: &[u8]) {
    let shown = String::from_utf8_lossy(target).into_owned();
    // The part at the end stands in for whatever was left out.
    let second = shown.ends_with("&sesion=second&myid=9&devid=1&v=3");
    let missing = if second {
        None
    } else if wanted.key.is_none() || wanted.user.is_none() {
        Some(RefusalReason::NoCredentials)
    } else if wanted.dev.is_none() {
        Some(RefusalReason::NoDevId)
    } else {
        wanted.version.is_none().then_some(RefusalReason::BadVersion)
    };
    let malformed = matches!(wanted.version, Some((_, None)));
    let reason = missing.or_else(|| malformed.then_some(RefusalReason::BadVersion));
    let hello = match (wire::hello(target, None, &[], TENANTS), reason) {
        (Ok(hello), None) => hello,
        (Err(refusal), Some(reason)) => return assert_eq!(refusal.reason, reason, "{shown}"),
        (found, wanted) => panic!("{found:?} instead of {wanted:?}: {shown}"),
    };
    if let Some((_, user)) = wanted.user {
        assert_eq!(hello.user.map(|user| user.get()), user, "{shown}");
    }
    if let Some((_, dev)) = wanted.dev {
        assert_eq!(hello.dev.0, dev, "{shown}");
    }
    if let Some((_, Some(dialect))) = wanted.version {
        assert_eq!(hello.dialect, dialect, "{shown}");
    }
    if let Some(key) = &wanted.key {
        let text = String::from_utf8_lossy(key);
        let none = text.is_empty() || text.len() > 600 || text.contains('\0');
        let none = none || matches!(&**key, b"undefined" | b"null");
        let expected = (!none).then_some(&*text);
        assert_eq!(hello.key.as_ref().map(|key| key.reveal()), expected, "{shown}");
    }
    assert_eq!(hello.uuid.as_str(), uuid, "{shown}");
}

fn key(choices: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(match choices.int_in_range(0..=7u8)? {
        0 => choices
            .choose(&["", "undefined", "null", "%", "a%2", "+"])?
            .as_bytes()
            .to_vec(),
        1 => vec![b'k'; choices.int_in_range(598..=602)?],
        _ => {
            let length = choices.int_in_range(0..=40)?;
            choices.bytes(choices.len().min(length))?.to_vec()
        }
    })
}

/// Some bytes escaped: all that would mean something else in an URL, and others by choice.
fn escaped(choices: &mut Unstructured<'_>, value: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let eager = choices.ratio(1, 4)?;
    for byte in value {
        let must = matches!(byte, b'&' | b'%' | b' ' | b'=');
        if must || eager {
            out.extend(format!("%{byte:02X}").bytes());
        } else {
            out.push(*byte);
        }
    }
    Ok(out)
}

fn origin(choices: &mut Unstructured<'_>) -> Result<()> {
    let list = [
        "Example.com",
        "*.wild.org",
        "https://only.tls",
        "port.net:8443",
        "*almost.com",
    ];
    let list = list.map(str::to_owned);
    let scheme = *choices.choose(&["http", "https", "HTTPS", "null", ""])?;
    let front = choices.choose(&[
        "",
        "a.",
        ".",
        "x",
        "a.b.",
        "evil.com@",
        "evil.com/",
        "evil.com#",
        "evil.com\\",
    ])?;
    let host = *choices.choose(&[
        "example.com",
        "EXAMPLE.COM",
        "wild.org",
        "only.tls",
        "port.net",
        "almost.com",
    ])?;
    let back = choices.choose(&["", ".evil.com", ".", "%00", ",", " ", "/"])?;
    let port = *choices.choose(&["", ":80", ":443", ":8443", ":", ":99999", ":8443:1"])?;
    let text = format!("{scheme}://{front}{host}{back}{port}");
    let plain = front.is_empty() && back.is_empty();
    let sub_domain = matches!(*front, "a." | "a.b.") && back.is_empty();
    let good_port = matches!(port, "" | ":80" | ":443" | ":8443");
    let tls = scheme.eq_ignore_ascii_case("https");
    let expected = good_port
        && match host {
            "example.com" | "EXAMPLE.COM" => plain,
            "wild.org" => sub_domain,
            "only.tls" => plain && tls,
            "port.net" => plain && port == ":8443",
            _ => false,
        };
    assert_eq!(origin_allowed(Some(text.as_bytes()), &list), expected, "{text}");
    assert!(!origin_allowed(None, &list), "no Origin, no entry");
    let any = choices.bytes(choices.len().min(60))?;
    let text = String::from_utf8_lossy(any).to_ascii_lowercase();
    if origin_allowed(Some(any), &list) {
        let ours = [
            "://example.com",
            ".wild.org",
            "https://only.tls",
            "://port.net:8443",
        ];
        assert!(ours.iter().any(|site| text.contains(site)), "{text}");
    }
    Ok(())
}
