//! Every row of protocol.md 2.2, each bound at n and n + 1.

use proptest::prelude::*;

use super::*;

const TENANTS: u32 = 100;

fn good(target: &str) -> Hello {
    match hello(target.as_bytes(), None, &[], TENANTS) {
        Ok(hello) => hello,
        Err(refusal) => panic!("{target:?} was refused: {refusal:?}"),
    }
}

fn refusal(target: &str) -> (u16, Dialect) {
    match hello(target.as_bytes(), None, &[], TENANTS) {
        Ok(hello) => panic!("{target:?} was taken as {hello:?}"),
        Err(refusal) => (refusal.reason.number(), refusal.dialect),
    }
}

fn key(hello: &Hello) -> Option<&str> {
    hello.key.as_ref().map(Token::reveal)
}

fn user(hello: &Hello) -> Option<u32> {
    hello.user.map(UserId::get)
}

#[test]
fn the_canonical_url_in_all_spellings() {
    // S5, S21, protocol.md 2.1
    for prefix in [
        "/ws/",
        "//ws/",
        "/comet-server/ws/",
        "//comet-server/ws/",
        "///comet-server///ws/",
        "/ws/?",
    ] {
        let hello = good(&format!(
            "{prefix}sesion=abc&myid=7&devid=1&v=4.08&uuid=Db_YT-0&api=js"
        ));
        assert_eq!(hello.dev, DevId(1));
        assert_eq!((user(&hello), key(&hello)), (Some(7), Some("abc")));
        assert_eq!(hello.dialect, Dialect::V4);
        assert_eq!(hello.uuid.as_str(), "Db_YT-0");
    }
}

#[test]
fn paths_are_normalised() {
    for (path, normal) in [
        ("/ws/x", "/ws/x"),
        ("//ws/x", "/ws/x"),
        ("/comet-server/info", "/info"),
        ("//comet-server//info", "/info"),
        ("/comet-server/", "/"),
        ("/comet-server", "/"),
        ("//comet-server", "/"),
        ("/comet-server/comet-server/x", "/comet-server/x"),
        ("/comet-serverx/ws/", "/comet-serverx/ws/"),
        ("/a//comet-server/x", "/a//comet-server/x"),
        ("/", "/"),
        ("////", "/"),
        ("", ""),
        ("*", "*"),
        ("/é", "/é"),
    ] {
        assert_eq!(normalise_path(path), normal, "{path}");
    }
    for path in ["/ws/", "//ws/x", "/comet-server/ws/x", "/ws/sesion="] {
        assert!(is_ws_route(path), "{path}");
    }
    for path in ["", "/", "/ws", "/wsx/", "/x/ws/", "/WS/", "ws/"] {
        assert!(!is_ws_route(path), "{path}");
    }
}

#[test]
fn parameters_are_found_by_name() {
    // Q5
    let hello = good("/ws/api=js&v=3&foo&=&devid=2&uuid=u&other=1&myid=8&session=k");
    assert_eq!(
        (hello.dev, user(&hello), key(&hello)),
        (DevId(2), Some(8), Some("k"))
    );
    assert_eq!((hello.dialect, hello.uuid.as_str()), (Dialect::V3, "u"));
    let twice = good("/ws/sesion=first&session=second&myid=1&myid=2&devid=3&devid=4&v=4&v=3");
    assert_eq!(
        (twice.dev, user(&twice), key(&twice)),
        (DevId(3), Some(1), Some("first"))
    );
    assert_eq!(twice.dialect, Dialect::V4);
}

#[test]
fn text_behind_a_blank_does_not_count() {
    assert_eq!(refusal("/ws/sesion=a&myid=1&devid=1 &v=4").0, 418);
}

#[test]
fn percent_sequences_are_decoded_and_plus_is_not() {
    let hello = good("/ws/s%65sion=a%2Bb+c%3D%3d&myid=%37&devid=%31&v=4%2E08&uuid=%61");
    assert_eq!(key(&hello), Some("a+b+c=="));
    assert_eq!(
        (user(&hello), hello.dev, hello.uuid.as_str()),
        (Some(7), DevId(1), "a")
    );
    let literal = good("/ws/sesion=a%2&myid=&devid=&v=4&uuid=");
    assert_eq!(key(&literal), Some("a%2"));
    assert_eq!(key(&good("/ws/sesion=%zz%+1%&myid=&devid=&v=4")), Some("%zz%+1%"));
    assert_eq!(key(&good("/ws/sesion=a=b&myid=&devid=&v=4")), Some("a=b"));
    // An encoded separator separates nothing.
    assert_eq!(key(&good("/ws/sesion=a%26b&myid=&devid=&v=4")), Some("a&b"));
}

#[test]
fn absent_keys_and_users_are_anonymous() {
    // S23, Q6
    for text in ["", "undefined", "null"] {
        let hello = good(&format!("/ws/sesion={text}&myid={text}&devid={text}&v=4.08"));
        assert_eq!((key(&hello), user(&hello), hello.dev), (None, None, DevId(0)));
        assert!(hello.uuid.is_empty());
    }
    for length in [599, 600] {
        let hello = good(&format!("/ws/sesion={}&myid=1&devid=1&v=4", "k".repeat(length)));
        assert_eq!(key(&hello).map(str::len), Some(length));
    }
    for length in [601, 8000] {
        let hello = good(&format!("/ws/sesion={}&myid=1&devid=1&v=4", "k".repeat(length)));
        assert_eq!(key(&hello), None);
    }
}

#[test]
fn user_ids_are_digits_within_bounds() {
    // S4, S6, Q56
    for (text, id) in [
        ("1", 1),
        ("999999999", 999_999_999),
        ("2147483647", 2_147_483_647),
        ("05", 5),
    ] {
        assert_eq!(
            user(&good(&format!("/ws/sesion=&myid={text}&devid=&v=4"))),
            Some(id)
        );
    }
    for text in [
        "0",
        "-1",
        "+1",
        "%201",
        "1%20",
        "a",
        "1a",
        "2147483648",
        "4294967297",
        "99999999999999999999",
        "%ff",
        "%00",
    ] {
        assert_eq!(
            user(&good(&format!("/ws/sesion=&myid={text}&devid=&v=4"))),
            None,
            "{text}"
        );
    }
}

#[test]
fn bad_tenants_are_tenant_0() {
    for (text, dev) in [
        ("0", 0),
        ("99", 99),
        ("100", 0),
        ("-1", 0),
        ("+1", 0),
        ("x", 0),
        ("4294967297", 0),
        ("007", 7),
        ("%ff", 0),
    ] {
        assert_eq!(
            good(&format!("/ws/sesion=&myid=&devid={text}&v=4")).dev,
            DevId(dev),
            "{text}"
        );
    }
}

#[test]
fn the_version_selects_the_dialect() {
    for version in ["5", "5.0", "05.1", "10", "40", "99999999999999999999.1"] {
        let url = format!("/ws/sesion=&myid=&devid=&v={version}");
        assert_eq!(good(&url).dialect, Dialect::V5, "{version}");
    }
    for version in ["4", "4.08", "4.", "04.1", "4.99"] {
        let url = format!("/ws/sesion=&myid=&devid=&v={version}");
        match version {
            "4." => assert_eq!(refusal(&url), (418, Dialect::V3)),
            _ => assert_eq!(good(&url).dialect, Dialect::V4, "{version}"),
        }
    }
    for version in ["0", "3", "3.25", "2.53", "0003", "03.9", "000"] {
        assert_eq!(
            good(&format!("/ws/sesion=&myid=&devid=&v={version}")).dialect,
            Dialect::V3,
            "{version}"
        );
    }
    for version in [
        "",
        ".",
        ".5",
        "4.0.8",
        "v4",
        "4a",
        "-4",
        "+4",
        "undefined",
        "4%00",
        "%ff",
        " 4",
    ] {
        assert_eq!(
            refusal(&format!("/ws/sesion=&myid=&devid=&v={version}")),
            (418, Dialect::V3),
            "{version}"
        );
    }
}

#[test]
fn missing_parameters_are_fatal_in_the_order_of_the_table() {
    for (url, expected) in [
        ("/ws/", (401, Dialect::V3)),
        ("/ws/v=4.08", (401, Dialect::V4)),
        ("/ws/myid=1&devid=1&v=4.08", (401, Dialect::V4)),
        ("/ws/sesion=&devid=1&v=3.25", (401, Dialect::V3)),
        ("/ws/sesion=&myid=&v=4", (406, Dialect::V4)),
        ("/ws/sesion=&myid=", (406, Dialect::V3)),
        ("/ws/sesion=&myid=&devid=", (418, Dialect::V3)),
        ("/ws/sesion&myid&devid&v", (418, Dialect::V3)),
        ("/other/sesion=&myid=&devid=&v=4", (401, Dialect::V3)),
        ("", (401, Dialect::V3)),
    ] {
        assert_eq!(refusal(url), expected, "{url}");
    }
    let origins = ["example.com".to_owned()];
    let refused = |url: &str| {
        let refusal = hello(url.as_bytes(), None, &origins, TENANTS).unwrap_err();
        (refusal.reason.number(), refusal.dialect)
    };
    assert_eq!(refused("/ws/sesion=&myid=&devid=&v=4"), (423, Dialect::V4));
    assert_eq!(refused("/ws/sesion=&myid=&devid="), (418, Dialect::V3));
}

#[test]
fn uuids_are_cut_and_cleaned() {
    // protocol.md 1, Q10
    let uuid = |text: &str| {
        good(&format!("/ws/sesion=&myid=&devid=&v=4&uuid={text}"))
            .uuid
            .as_str()
            .to_owned()
    };
    let long = "u".repeat(40);
    assert_eq!(uuid(&long[..32]), long[..32]);
    assert_eq!(uuid(&long), long[..32]);
    for text in [
        "a%20b",
        "a.b",
        "%ff",
        "%e2%82%ac",
        "%27%3b",
        &format!("{}%e2%82%ac", &long[..20]),
    ] {
        assert_eq!(uuid(text), "", "{text}");
    }
}

#[test]
fn bytes_that_are_no_text_abort_nothing() {
    let hello = hello(
        b"/ws/sesion=\xff\xfe&myid=\xc3&devid=\x80&v=4&uuid=\xf0\x9f",
        None,
        &[],
        TENANTS,
    )
    .unwrap();
    assert_eq!(
        (key(&hello), user(&hello), hello.dev),
        (Some("\u{fffd}\u{fffd}"), None, DevId(0))
    );
    assert!(hello.uuid.is_empty());
    assert_eq!(key(&good("/ws/sesion=a%00b&myid=&devid=&v=4")), None);
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("/ws/"),
        Just("/"),
        Just("comet-server"),
        Just("sesion="),
        Just("myid="),
        Just("devid="),
        Just("v="),
        Just("uuid="),
        Just("&"),
        Just("="),
        Just("%"),
        Just("%f"),
        Just("%ff"),
        Just("4"),
        Just("."),
        Just("?"),
        Just(" "),
        Just("é"),
        Just("\0"),
        Just("undefined"),
    ];
    prop_oneof![
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..64)
            .prop_map(|tail| [b"/ws/sesion=".as_slice(), &tail].concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_target_is_read_or_refused(target in hostile(), origin in any::<Option<Vec<u8>>>(), entry in "[a-z.:*/\\[\\]]{0,8}") {
        let _either = hello(&target, origin.as_deref(), &[entry], TENANTS);
    }

    #[test]
    fn a_normal_path_stays_as_it_is(path in "/{0,3}(comet-server)?/{0,3}[a-z/]{0,6}") {
        let normal = normalise_path(&path);
        prop_assert!(!normal.starts_with("//"));
        prop_assert_eq!(normal.starts_with('/'), path.starts_with('/'));
    }
}
