"""PyMySQL. See README.md."""

import sys

import pymysql

from checks import TEXT, Checks

host, port, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
tls = sys.argv[5:] == ["tls"]
checks = Checks()


def connect(secret):
    options = {"ssl": {"check_hostname": False, "verify_mode": "none"}} if tls else {"ssl_disabled": True}
    return pymysql.connect(
        host=host, port=port, user=user, password=secret, database="CometQL_v1", charset="utf8mb4", **options
    )


def code_of(action):
    try:
        action()
    except pymysql.MySQLError as error:
        return error.args[0]
    return None


def rows(sql, args=None):
    with session.cursor() as cursor:
        cursor.execute(sql, args)
        return cursor.fetchall()


session = connect(password)
checks.equal("connect", rows("SELECT DATABASE()"), (("CometQL_v1",),))
checks.equal("wrong_password", code_of(lambda: connect("wrong")), 16)
rows("INSERT INTO users_auth (id, hash) VALUES (%s, %s)", (7, "pyKey"))
checks.equal("keys", rows("SELECT * FROM users_auth WHERE id = 7"), (("7", "pyKey"),))
rows("INSERT INTO pipes_settings (name, length) VALUES ('web_py', 10)")
rows("INSERT INTO pipes_messages (name, event, message) VALUES ('web_py', 'say', %s)", (TEXT,))
checks.equal("channel", rows("SELECT event, message FROM pipes_messages WHERE name = 'web_py'"), (("say", TEXT),))
rows("INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', %s)", (TEXT,))
checks.equal("private", rows("SELECT message FROM users_messages WHERE id = 7"), ((TEXT,),))
checks.skip("prepared_insert", "PyMySQL has no prepared statements")
checks.skip("prepared_select", "PyMySQL has no prepared statements")
rows("INSERT INTO users_auth (id, hash) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
checks.equal("rows", rows("SELECT * FROM users_auth WHERE id IN (3, 1, 2)"), (("3", "c"), ("1", "a"), ("2", "b")))
checks.equal("count", rows("SELECT COUNT(*) FROM users_auth WHERE id IN (1, 2, 3, 4)"), (("3",),))
checks.equal("unknown_table", code_of(lambda: rows("SELECT * FROM nowhere WHERE id = 1")), 15)
checks.equal("syntax_error", code_of(lambda: rows("SELEKT 1")), 3)
session.ping(reconnect=False)
checks.ok("ping")
session.begin()
rows("INSERT INTO users_auth (id, hash) VALUES (9, 't')")
session.commit()
checks.equal("transaction", rows("SELECT hash FROM users_auth WHERE id = 9"), (("t",),))
checks.skip("change_user", "PyMySQL has no change of user")
checks.skip("change_user_wrong", "PyMySQL has no change of user")
session.close()
checks.done()
