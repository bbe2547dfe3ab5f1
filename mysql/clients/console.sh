#!/bin/sh
# The mysql console and mysqladmin against the echo server: console.sh PORT
set -eu
run() { mysql -h 127.0.0.1 -P "$1" -u root -psecret "$2" -e "$3" 2>&1; }
out=$(run "$1" --table 'numbers; insert x; fail' || true)
echo "$out" | grep -q 'Привет 🎉'
echo "$out" | grep -q 'ERROR 13 (HY000) at line 1: key values required'
run "$1" -vvv 'insert x' | grep -q 'delivered=1 queued=0'
run "$1" --skip-ssl 'hello' | grep -q hello
mysql -h 127.0.0.1 -P "$1" -u root -pwrong -e x 2>&1 | grep -q 'ERROR 1045 (28000)'
mysqladmin -h 127.0.0.1 -P "$1" -u root -psecret ping | grep -q alive
mysqladmin -h 127.0.0.1 -P "$1" -u root -psecret status | grep -q Uptime
echo "mysql console ok"
