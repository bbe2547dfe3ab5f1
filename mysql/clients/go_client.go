// The Go driver against the echo server: go run go_client.go PORT [tls]
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/go-sql-driver/mysql"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func number(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	panic(fmt.Sprint("no MySQL error: ", err))
}

func same(got, want any) {
	if got != want {
		panic(fmt.Sprintf("%v instead of %v", got, want))
	}
}

func main() {
	address := "@tcp(127.0.0.1:" + os.Args[1] + ")/CometQL_v1"
	if len(os.Args) > 2 {
		address += "?tls=skip-verify"
	}
	wrong, err := sql.Open("mysql", "root:wrong"+address)
	check(err)
	same(number(wrong.Ping()), uint16(1045))
	db, err := sql.Open("mysql", "root:secret"+address)
	check(err)
	check(db.Ping())
	var n, text string
	var nothing sql.NullString
	check(db.QueryRow("numbers").Scan(&n, &text, &nothing))
	same(n+text, "1Привет 🎉")
	same(nothing.Valid, false)
	result, err := db.Exec("insert x")
	check(err)
	id, _ := result.LastInsertId()
	same(id, int64(85791))
	_, err = db.Exec("fail")
	same(number(err), uint16(13))
	for i := 0; i < 20; i++ {
		var blob []byte
		check(db.QueryRow("select ?, ?, ?, ?", i, "Привет 🎉", nil, []byte("blob")).Scan(&n, &text, &nothing, &blob))
		same(n+text+string(blob), fmt.Sprint(i)+"Привет 🎉"+"blob")
		same(nothing.Valid, false)
	}
	tx, err := db.Begin()
	check(err)
	_, err = tx.Exec("insert ?", 5)
	check(err)
	check(tx.Commit())
	check(db.Close())
	fmt.Println("Go driver ok")
}
