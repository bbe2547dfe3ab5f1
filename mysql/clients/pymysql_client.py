"""PyMySQL against the echo server: python3 pymysql_client.py PORT [tls]"""
import sys

import pymysql

port = int(sys.argv[1])
tls = {"ssl": {"check_hostname": False, "verify_mode": False}} if "tls" in sys.argv else {}


def connect(password="secret", **more):
    return pymysql.connect(host="127.0.0.1", port=port, user="root", password=password, **tls, **more)


try:
    connect("wrong")
    raise SystemExit("wrong password accepted")
except pymysql.err.OperationalError as error:
    assert error.args[0] == 1045, error
try:
    connect("")
    raise SystemExit("empty password accepted")
except pymysql.err.OperationalError as error:
    assert error.args[0] == 1045, error

connection = connect(database="CometQL_v1")
cursor = connection.cursor()
text = "it's \"quoted\" \\ Привет 🎉"
cursor.execute("select %s", (text,))
assert cursor.fetchone()[0] == "select " + connection.escape(text)
cursor.execute("numbers")
assert cursor.fetchall() == tuple((str(n), "Привет 🎉", None) for n in (1, 2, 3))
cursor.execute("insert x")
assert (cursor.rowcount, cursor.lastrowid) == (1, 85791)
for length in (0, 250, 251, 65535, 65536, 16777210, 16777215, 16777216, 33554432):
    cursor.execute(f"big {length}")
    assert len(cursor.fetchone()[0]) == length
long_text = "select " + "ю" * 9_000_000
cursor.execute(long_text)
assert cursor.fetchone()[0] == long_text
try:
    cursor.execute("fail")
    raise SystemExit("no error")
except pymysql.err.MySQLError as error:
    assert error.args == (13, "key values required"), error.args
connection.ping(reconnect=False)
connection.select_db("CometQL_v1")
try:
    connection.select_db("no")
    raise SystemExit("no error")
except pymysql.err.MySQLError as error:
    assert error.args[0] == 15, error.args
connection.begin()
connection.commit()
connection.close()
print("PyMySQL ok")
