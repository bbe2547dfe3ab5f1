//! Who may log in and which names databases have (protocol.md 7.1, 7.2; Q36).

use comet_core::cometql::{Statement, login, use_database};
use comet_core::{DevId, ErrorCode, Login};

const SIZE: u32 = 100_000;

fn try_login(user: &str, database: Option<&str>) -> Result<Login, ErrorCode> {
    login(user.as_bytes(), database.map(str::as_bytes), true, SIZE).map_err(|error| error.code)
}

#[test]
fn users() {
    for (user, dev) in [
        ("root", 0),
        ("0", 0),
        ("1", 1),
        ("15", 15),
        ("0015", 15),
        ("99999", 99_999),
    ] {
        assert_eq!(try_login(user, None), Ok(Login::Tenant(DevId(dev))), "{user}");
    }
    for user in [
        "",
        "100000",
        "4294967296",
        "99999999999",
        "-1",
        "+1",
        " 1",
        "1x",
        "Root",
        "admin",
        "ü",
        "db_1",
    ] {
        assert_eq!(try_login(user, None), Err(ErrorCode::LoginRefused), "{user}");
    }
    assert!(login(b"\xff", None, true, SIZE).is_err());
    assert!(login(b"0", None, true, 1).is_ok());
    assert!(login(b"1", None, true, 1).is_err());
}

#[test]
fn databases_at_login() {
    assert_eq!(try_login("5", Some("")), Ok(Login::Tenant(DevId(5))));
    assert_eq!(try_login("5", Some("CometQL_v1")), Ok(Login::Tenant(DevId(5))));
    assert_eq!(try_login("5", Some("db_7")), Ok(Login::Tenant(DevId(7))));
    assert_eq!(try_login("5", Some("mysql")), Err(ErrorCode::DoesNotExist));
    assert_eq!(try_login("nobody", Some("mysql")), Err(ErrorCode::LoginRefused));
}

#[test]
fn health_checks() {
    assert_eq!(login(b"haproxy_check", None, false, SIZE), Ok(Login::HealthCheck));
    assert_eq!(
        login(b"haproxy_check_2", Some(b"x"), false, SIZE),
        Ok(Login::HealthCheck)
    );
    assert_eq!(try_login("haproxy_check", None), Err(ErrorCode::LoginRefused));
    let other = login(b"haproxy", None, false, SIZE).map_err(|error| error.code);
    assert_eq!(other, Err(ErrorCode::LoginRefused));
}

#[test]
fn databases() {
    let selected = |name: &str| use_database(name.as_bytes(), SIZE).map_err(|error| error.code);
    let found = |dev: Option<u32>, name: &str| {
        Ok(Statement::Use {
            dev: dev.map(DevId),
            database: name.into(),
        })
    };
    assert_eq!(selected("CometQL_v1"), found(None, "CometQL_v1"));
    assert_eq!(selected("db_0"), found(Some(0), "db_0"));
    assert_eq!(selected("db_99999"), found(Some(99_999), "db_99999"));
    for name in [
        "",
        "db_",
        "db_100000",
        "db_x",
        "db_-1",
        "db_1 ",
        "DB_1",
        "cometql_v1",
        "db_99999999999",
    ] {
        assert_eq!(selected(name), Err(ErrorCode::DoesNotExist), "{name}");
    }
    assert!(use_database(b"db_\xff", SIZE).is_err());
}
