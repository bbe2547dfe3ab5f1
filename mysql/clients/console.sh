#!/bin/sh
# The mysql console and mysqladmin against the echo server: console.sh PORT [tls]
set -eu
ssl=--skip-ssl
[ "${2:-}" = tls ] && ssl=--ssl
port=$1
run() { mysql -h 127.0.0.1 -P "$port" "$ssl" -u root -psecret "$1" -e "$2" 2>&1; }
out=$(run --table 'numbers; insert x; fail' || true)
echo "$out" | grep -q 'Привет 🎉'
echo "$out" | grep -q 'ERROR 13 (HY000) at line 1: key values required'
run -vvv 'insert x' | grep -q 'delivered=1 queued=0'
run --quick 'hello' | grep -q hello
mysql -h 127.0.0.1 -P "$port" "$ssl" -u root -pwrong -e x 2>&1 | grep -q 'ERROR 1045 (28000)'
mysqladmin -h 127.0.0.1 -P "$port" "$ssl" -u root -psecret ping | grep -q alive
mysqladmin -h 127.0.0.1 -P "$port" "$ssl" -u root -psecret status | grep -q Uptime
echo "mysql console ok"
