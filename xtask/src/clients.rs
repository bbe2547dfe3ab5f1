//! Installs the MySQL clients that `tests/clients` has programs for. Python and Node packages go into
//! `<target>/clients`, never into the system's folders.

use crate::machine::{apt, command, has, succeeds, target};
use crate::stage;

/// How much to install.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// What CI runs: quick to install.
    Ci,
    /// Everything Debian, PyPI and npm have.
    All,
}

/// Installs clients; what cannot be had is named and later skipped by the tests.
pub(crate) fn install(scope: Scope) {
    let mut missing = Vec::new();
    let mut want = |name: &'static str, there: bool| {
        if !there {
            missing.push(name);
        }
    };
    want(
        "mariadb console, PHP mysqli and PDO",
        apt(&["mariadb-client", "php-cli", "php-mysql"]),
    );
    want(
        "PyMySQL, mysql-connector-python",
        python("python", &["pymysql", "cryptography", "mysql-connector-python"]),
    );
    want("node mysql, mysql2", node());
    match scope {
        Scope::Ci => {}
        Scope::All => {
            // The newest version with the part in C on PyPI for this Python.
            want(
                "mysql-connector-python on libmysqlclient",
                python("python-c", &["mysql-connector-python==9.1.0"]),
            );
            want("Perl DBD::mysql", apt(&["libdbd-mysql-perl"]));
            want("Ruby mysql2", apt(&["ruby", "ruby-mysql2"]));
            want(
                "MariaDB Connector/J",
                (has("javac") || apt(&["default-jdk-headless"])) && apt(&["libmariadb-java"]),
            );
            want("Go", apt(&["golang-go", "golang-github-go-sql-driver-mysql-dev"]));
        }
    }
    if missing.is_empty() {
        println!("all clients asked for are installed");
    } else {
        println!(
            "NOT INSTALLED, their tests are skipped by name: {}",
            missing.join("; ")
        );
    }
}

/// Installs PyPI packages into a virtual environment of their own.
fn python(folder: &str, packages: &[&str]) -> bool {
    let home = target().join("clients").join(folder);
    let pip = home.join("bin").join("pip");
    if !succeeds(&pip, &["--version"]) {
        let home = home.to_string_lossy();
        // A python3 without its venv module is common on Debian; then the package is needed.
        let venv = ["-m", "venv", home.as_ref()];
        let made =
            succeeds("python3", &venv) || apt(&["python3-venv"]) && succeeds("/usr/bin/python3", &venv);
        if !made {
            return false;
        }
    }
    let mut install = command(&pip, &["install", "--quiet"]);
    stage::run(install.args(packages)).is_ok()
}

fn node() -> bool {
    let home = target().join("clients").join("node");
    if std::fs::create_dir_all(&home).is_err() {
        return false;
    }
    if !has("npm") && !apt(&["nodejs", "npm"]) {
        return false;
    }
    let home = home.to_string_lossy();
    let packages = [
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--prefix",
        home.as_ref(),
        "mysql",
        "mysql2",
    ];
    stage::run(&mut command("npm", &packages)).is_ok()
}
