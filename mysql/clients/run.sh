#!/bin/sh
# Tries every client found on this machine on a running echo server: run.sh PORT [tls]
# PYTHON names an interpreter that has PyMySQL and mysql-connector-python, NODE_PATH a folder that has mysql and mysql2.
set -u
cd "$(dirname "$0")" || exit 2
failed=0
try() {
    command -v "$1" >/dev/null || { echo "$1 is not installed"; return; }
    "$@" || { echo "FAILED: $*"; failed=1; }
}
try ./console.sh "$@"
try "${PYTHON:-python3}" pymysql_client.py "$@"
try "${PYTHON:-python3}" connector_client.py "$@"
try node node_mysql2.js "$@"
try node node_mysql.js "$@"
try php php_client.php "$@"
try perl perl_dbi.pl "$@"
try ruby ruby_mysql2.rb "$@"
try java -cp "${MARIADB_JAR:-/usr/share/java/mariadb-java-client.jar}" JavaMariadb.java "$@"
GO111MODULE=off GOPATH="${GOPATH:-/usr/share/gocode}" try go run go_client.go "$@"
exit $failed
