//! Every MySQL client there is, against the real server (protocol.md 7.1, 7.2): the programs of `tests/clients`, each
//! without and with TLS. A client that is not installed is named and skipped; with `COMET_CLIENTS=all` (what `cargo
//! xtask clients` sets) it is a failure. mysql_async and sqlx are crates, so they always run. With them run the scripts of
//! docs/guide.md.

mod guide;
mod program;
mod rust;

use comet_tests::server::target_dir;
use program::{Program, check};

#[test]
fn console() {
    check(&Program::script("console", "bash", "console.sh").needs(&["mariadb", "--version"]));
}

#[test]
fn pymysql() {
    let python = target_dir().join("clients/python/bin/python");
    let python = python.to_string_lossy();
    check(&Program::script("PyMySQL", &python, "pymysql_client.py").needs(&[
        &python,
        "-c",
        "import pymysql",
    ]));
}

fn connector(name: &'static str, home: &str, module: &str, flavour: &'static str) -> Program {
    let python = target_dir().join("clients").join(home).join("bin/python");
    let python = python.to_string_lossy();
    let import = format!("import {module}");
    Program::script(name, &python, "connector_client.py")
        .needs(&[&python, "-c", &import])
        .flavours(&[flavour])
}

#[test]
fn mysql_connector_python() {
    check(&connector(
        "mysql-connector-python",
        "python",
        "mysql.connector",
        "pure",
    ));
}

#[test]
fn mysql_connector_python_in_c() {
    check(&connector(
        "mysql-connector-python on libmysqlclient",
        "python-c",
        "_mysql_connector",
        "c",
    ));
}

#[test]
fn php_mysqli() {
    check(&Program::script("PHP mysqli", "php", "mysqli.php").needs(&[
        "php",
        "-r",
        "exit(extension_loaded('mysqli') ? 0 : 1);",
    ]));
}

#[test]
fn php_pdo() {
    let program = Program::script("PHP PDO", "php", "pdo.php").flavours(&["emulated", "native"]);
    check(&program.needs(&["php", "-r", "exit(extension_loaded('pdo_mysql') ? 0 : 1);"]));
}

fn node(package: &'static str) -> Program {
    let modules = target_dir().join("clients/node/node_modules");
    let modules = modules.to_string_lossy().into_owned();
    let load = format!("require('{modules}/{package}')");
    Program::script(package, "node", "node_client.js")
        .env("NODE_PATH", &modules)
        .needs(&["node", "-e", &load])
        .flavours(&[package])
}

#[test]
fn node_mysql() {
    check(&node("mysql"));
}

#[test]
fn node_mysql2() {
    check(&node("mysql2"));
}

#[test]
fn perl_dbd() {
    // The Debian build of DBD::mysql cannot do TLS without verification.
    check(
        &Program::script("Perl DBD::mysql", "perl", "dbd.pl")
            .needs(&["perl", "-MDBD::mysql", "-e", "1"])
            .plain_only(),
    );
}

#[test]
fn ruby_mysql2() {
    check(&Program::script("Ruby mysql2", "ruby", "mysql2.rb").needs(&["ruby", "-e", "require 'mysql2'"]));
}

#[test]
fn java_connector() {
    let jar = "/usr/share/java/mariadb-java-client.jar";
    let program = Program::script("MariaDB Connector/J", "java", "Connector.java")
        .option("-cp")
        .option(jar);
    check(&program.needs(&["test", "-f", jar]).needs(&["javac", "-version"]));
}

#[test]
fn go_driver() {
    let program = Program::script("Go driver", "go", "driver.go").option("run");
    let program = program
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode");
    check(&program.needs(&["go", "version"]).needs(&[
        "test",
        "-d",
        "/usr/share/gocode/src/github.com/go-sql-driver/mysql",
    ]));
}
