// Go with go-sql-driver/mysql. See README.md.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
)

const text = "Grüße 😀 \"quoted\" it's a \\ backslash\nand a line"

var failed = false

func equal(name string, got, expected interface{}) {
	if got == expected {
		fmt.Println("ok", name)
		return
	}
	failed = true
	fmt.Printf("fail %s: got %v, expected %v\n", name, got, expected)
}

func codeOf(err error) interface{} {
	if known, ok := err.(*mysql.MySQLError); ok {
		return int(known.Number)
	}
	return err
}

func connect(secret string) (*sql.DB, error) {
	args := os.Args
	options := "charset=utf8mb4"
	if len(args) > 5 && args[5] == "tls" {
		options += "&tls=skip-verify"
	}
	source := fmt.Sprintf("%s:%s@tcp(%s:%s)/CometQL_v1?%s", args[3], secret, args[1], args[2], options)
	db, err := sql.Open("mysql", source)
	if err != nil {
		return nil, err
	}
	return db, db.Ping()
}

func rows(db *sql.DB, query string, args ...interface{}) (string, error) {
	found, err := db.Query(query, args...)
	if err != nil {
		return "", err
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for found.Next() {
		cells := make([]string, len(columns))
		into := make([]interface{}, len(columns))
		for at := range cells {
			into[at] = &cells[at]
		}
		if err := found.Scan(into...); err != nil {
			return "", err
		}
		out.WriteString(strings.Join(cells, ",") + ";")
	}
	return out.String(), found.Err()
}

func main() {
	db, err := connect(os.Args[4])
	if err != nil {
		fmt.Println("fail connect:", err)
		os.Exit(1)
	}
	db.SetMaxOpenConns(1)
	shows := func(name, expected, query string, args ...interface{}) {
		got, err := rows(db, query, args...)
		if err != nil {
			got = err.Error()
		}
		equal(name, got, expected)
	}
	does := func(query string, args ...interface{}) {
		if _, err := db.Exec(query, args...); err != nil {
			failed = true
			fmt.Println("fail", query, err)
		}
	}
	shows("connect", "CometQL_v1;", "SELECT DATABASE()")
	_, err = connect("wrong")
	equal("wrong_password", codeOf(err), 16)
	does("INSERT INTO users_auth (id, hash) VALUES (?, ?)", 7, "goKey")
	shows("keys", "7,goKey;", "SELECT * FROM users_auth WHERE id = 7")
	does("INSERT INTO pipes_settings (name, length) VALUES ('web_go', 10)")
	does("INSERT INTO pipes_messages (name, event, message) VALUES ('web_go', 'say', ?)", text)
	shows("channel", "say,"+text+";", "SELECT event, message FROM pipes_messages WHERE name = 'web_go'")
	does("INSERT INTO users_messages (id, event, message) VALUES (7, 'ev', ?)", text)
	shows("private", text+";", "SELECT message FROM users_messages WHERE id = 7")
	does("INSERT INTO users_data (id, data) VALUES (?, ?)", 8, text)
	shows("prepared_insert", text+";", "SELECT data FROM users_data WHERE id = 8")
	shows("prepared_select", "8,"+text+";", "SELECT id, data FROM users_data WHERE id = ?", 8)
	does("INSERT INTO users_auth (id, hash) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
	shows("rows", "3,c;1,a;2,b;", "SELECT * FROM users_auth WHERE id IN (3, 1, 2)")
	shows("count", "3;", "SELECT COUNT(*) FROM users_auth WHERE id IN (1, 2, 3, 4)")
	_, err = rows(db, "SELECT * FROM nowhere WHERE id = 1")
	equal("unknown_table", codeOf(err), 15)
	_, err = rows(db, "SELEKT 1")
	equal("syntax_error", codeOf(err), 3)
	equal("ping", db.Ping(), nil)
	transaction, err := db.BeginTx(context.Background(), nil)
	if err == nil {
		_, err = transaction.Exec("INSERT INTO users_auth (id, hash) VALUES (9, 't')")
	}
	if err == nil {
		err = transaction.Commit()
	}
	if err != nil {
		fmt.Println("transaction:", err)
	}
	shows("transaction", "t;", "SELECT hash FROM users_auth WHERE id = 9")
	fmt.Println("skip change_user: database/sql has no change of user")
	fmt.Println("skip change_user_wrong: database/sql has no change of user")
	if failed {
		os.Exit(1)
	}
}
