#!/usr/bin/env bash
# The MySQL or MariaDB console, as a person would use it. See README.md.
set -u
host=$1 port=$2 user=$3 password=$4 mode=${5:-plain}
program=$(command -v mariadb || command -v mysql)
admin=$(command -v mariadb-admin || command -v mysqladmin)
server=(--no-defaults --host="$host" --port="$port" --protocol=TCP --user="$user")
if [ "$mode" = tls ]; then server+=(--ssl); else server+=(--skip-ssl); fi
failed=0

console() { "$program" "${server[@]}" --password="$password" --default-character-set=utf8mb4 \
  --batch --raw --skip-column-names CometQL_v1 --execute="$1" 2>&1; }

expect() { # name, expected output, statement
  local got
  got=$(console "$3")
  if [ "$got" = "$2" ]; then echo "ok $1"; else echo "fail $1: got ${got//$'\n'/\\n}"; failed=1; fi
}

expect_error() { # name, code, statement
  local got
  got=$(console "$3")
  case "$got" in *"ERROR $2 (HY000)"*) echo "ok $1" ;; *) echo "fail $1: got $got"; failed=1 ;; esac
}

text=$'Gr\u00fc\u00dfe \U0001F600 "quoted" it\'s a \\ backslash\nand a line'
escaped=${text//\\/\\\\}
escaped=${escaped//\'/\\\'}
escaped=${escaped//\"/\\\"}
escaped=${escaped//$'\n'/\\n}

expect connect CometQL_v1 "SELECT DATABASE()"

got=$("$program" "${server[@]}" --password=wrong --execute="SELECT 1" 2>&1)
case "$got" in *"ERROR 16 "*) echo "ok wrong_password" ;; *) echo "fail wrong_password: got $got"; failed=1 ;; esac

expect keys $'7\tconsoleKey' "INSERT INTO users_auth (id, hash) VALUES (7, 'consoleKey'); SELECT * FROM users_auth WHERE id = 7"
got=$(console "INSERT INTO pipes_settings (name, length) VALUES ('web_console', 10);
  INSERT INTO pipes_messages (name, event, message) VALUES ('web_console', 'say', '$escaped');
  SELECT message FROM pipes_messages WHERE name = 'web_console'")
if [ "$got" = "$text" ]; then echo "ok channel"; else echo "fail channel: got $got"; failed=1; fi
expect private "$text" "INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', '$escaped');
  SELECT message FROM users_messages WHERE id = 7"
echo "skip prepared_insert: the console sends PREPARE as text, which is no statement of CometQL"
echo "skip prepared_select: as above"
expect rows $'3\tc\n1\ta\n2\tb' "INSERT INTO users_auth (id, hash) VALUES (1, 'a'), (2, 'b'), (3, 'c');
  SELECT * FROM users_auth WHERE id IN (3, 1, 2)"
expect count 3 "SELECT COUNT(*) FROM users_auth WHERE id IN (1, 2, 3, 4)"
expect_error unknown_table 15 "SELECT * FROM nowhere WHERE id = 1"
expect_error syntax_error 3 "SELEKT 1"
if "$admin" "${server[@]}" --password="$password" ping >/dev/null 2>&1; then echo "ok ping"; else echo "fail ping: mysqladmin"; failed=1; fi
expect transaction $'9\tt' "BEGIN; INSERT INTO users_auth (id, hash) VALUES (9, 't'); COMMIT; SELECT * FROM users_auth WHERE id = 9"
echo "skip change_user: the console has no such command"
echo "skip change_user_wrong: as above"
exit $failed
