"""mysql-connector-python against the echo server: python3 connector_client.py PORT [tls]"""
import datetime
import sys

import mysql.connector

port = int(sys.argv[1])


def connect(password="secret", **more):
    options = dict(host="127.0.0.1", port=port, user="root", password=password, ssl_disabled="tls" not in sys.argv)
    return mysql.connector.connect(**(options | more))


def check(pure, plugin):
    more = dict(use_pure=pure) | ({"auth_plugin": plugin} if plugin else {})
    try:
        connect("wrong", **more)
        raise SystemExit("wrong password accepted")
    except mysql.connector.Error as error:
        assert error.errno == 1045 and error.sqlstate == "28000", error
    connection = connect(database="CometQL_v1", **more)
    cursor = connection.cursor()
    cursor.execute("numbers")
    assert cursor.fetchall() == [(str(n), "Привет 🎉", None) for n in (1, 2, 3)]
    cursor.execute("insert x")
    assert (cursor.rowcount, cursor.lastrowid) == (1, 85791)
    try:
        cursor.execute("fail")
        raise SystemExit("no error")
    except mysql.connector.Error as error:
        assert (error.errno, error.sqlstate) == (13, "HY000"), error
    cursor.close()

    prepared = connection.cursor(prepared=True)
    # No NUL: this driver's C extension cuts prepared text there.
    blob = b"blob \x01 " * 1000
    for number in (1, -7, 2**40):
        prepared.execute("select ?,?,?,?", (number, "Привет 🎉", None, blob))
        got = prepared.fetchall()[0]
        assert got[0] == str(number) and got[1] == "Привет 🎉" and got[2] is None, got
        got = got[3].encode() if isinstance(got[3], str) else bytes(got[3])
        assert got == blob, (len(got), len(blob), got[:50])
    prepared.execute("select ?,?,?,?", (1.5, datetime.datetime(2026, 11, 21, 8, 41), datetime.date(2026, 1, 2), b""))
    assert prepared.fetchall()[0] == ("1.5", "2026-11-21 08:41:00", "2026-01-02", "")
    prepared.close()
    connection.ping()
    assert "Uptime" in str(connection.cmd_statistics()), connection.cmd_statistics()
    connection.cmd_reset_connection()
    connection.cmd_change_user("other", "secret", "")
    cursor = connection.cursor()
    cursor.execute("hello")
    assert cursor.fetchall() == [("hello",)]
    try:
        connection.cmd_change_user("other", "wrong", "")
        raise SystemExit("wrong password accepted")
    except mysql.connector.Error as error:
        assert error.errno == 1045, error


for pure in (True, False):
    for plugin in (None, "mysql_native_password", "caching_sha2_password"):
        if not pure and not mysql.connector.HAVE_CEXT:
            print("mysql-connector-python: no C extension here")
            break
        # The C extension has no native plugin of its own, and refuses to name sha2 without TLS before it connects.
        if not pure and plugin and (plugin == "mysql_native_password" or "tls" not in sys.argv):
            continue
        check(pure, plugin)
        print(f"mysql-connector-python ok (pure={pure}, plugin={plugin})")
