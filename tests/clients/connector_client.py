"""mysql-connector-python, in Python and on its C library (sixth argument `c`). See README.md."""

import sys

import mysql.connector

from checks import TEXT, Checks

host, port, user, password, mode, flavour = sys.argv[1:7]
checks = Checks()


def connect(secret):
    options = {"ssl_disabled": False, "ssl_verify_cert": False} if mode == "tls" else {"ssl_disabled": True}
    return mysql.connector.connect(
        host=host, port=int(port), user=user, password=secret, database="CometQL_v1", charset="utf8mb4",
        use_pure=flavour != "c", **options
    )


def code_of(action):
    try:
        action()
    except mysql.connector.Error as error:
        return error.errno
    return None


def text_of(value):
    return value.decode() if isinstance(value, (bytes, bytearray)) else value


def rows(sql, args=None, prepared=False):
    cursor = session.cursor(prepared=prepared)
    cursor.execute(sql, args or ())
    found = [tuple(text_of(cell) for cell in row) for row in cursor.fetchall()] if cursor.with_rows else []
    cursor.close()
    return found


session = connect(password)
checks.equal("connect", rows("SELECT DATABASE()"), [("CometQL_v1",)])
checks.equal("wrong_password", code_of(lambda: connect("wrong")), 16)
rows("INSERT INTO users_auth (id, hash) VALUES (%s, %s)", (7, "connKey"))
checks.equal("keys", rows("SELECT * FROM users_auth WHERE id = 7"), [("7", "connKey")])
rows("INSERT INTO pipes_settings (name, length) VALUES ('web_con', 10)")
rows("INSERT INTO pipes_messages (name, event, message) VALUES ('web_con', 'say', %s)", (TEXT,))
checks.equal("channel", rows("SELECT event, message FROM pipes_messages WHERE name = 'web_con'"), [("say", TEXT)])
rows("INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', %s)", (TEXT,))
checks.equal("private", rows("SELECT message FROM users_messages WHERE id = 7"), [(TEXT,)])
rows("INSERT INTO users_data (id, data) VALUES (?, ?)", (8, TEXT), prepared=True)
checks.equal("prepared_insert", rows("SELECT data FROM users_data WHERE id = 8"), [(TEXT,)])
checks.equal("prepared_select", rows("SELECT id, data FROM users_data WHERE id = ?", (8,), prepared=True), [("8", TEXT)])
rows("INSERT INTO users_auth (id, hash) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
checks.equal("rows", rows("SELECT * FROM users_auth WHERE id IN (3, 1, 2)"), [("3", "c"), ("1", "a"), ("2", "b")])
checks.equal("count", rows("SELECT COUNT(*) FROM users_auth WHERE id IN (1, 2, 3, 4)"), [("3",)])
checks.equal("unknown_table", code_of(lambda: rows("SELECT * FROM nowhere WHERE id = 1")), 15)
checks.equal("syntax_error", code_of(lambda: rows("SELEKT 1")), 3)
session.ping(reconnect=False)
checks.ok("ping")
session.start_transaction()
rows("INSERT INTO users_auth (id, hash) VALUES (9, 't')")
session.commit()
checks.equal("transaction", rows("SELECT hash FROM users_auth WHERE id = 9"), [("t",)])
session.cmd_change_user(user, password, "CometQL_v1")
checks.equal("change_user", rows("SELECT hash FROM users_auth WHERE id = 9"), [("t",)])
checks.equal("change_user_wrong", code_of(lambda: session.cmd_change_user(user, "wrong", "CometQL_v1")), 16)
checks.done()
