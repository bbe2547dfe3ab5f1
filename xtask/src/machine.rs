//! What this machine has: programs on PATH, packages of its package manager, folders of the build. Installing never
//! needs a question answered and never fails a stage by itself: what cannot be installed is named.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::stage;

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Cargo's target directory: this program is `<target>/debug/xtask`.
pub(crate) fn target() -> PathBuf {
    env::current_exe()
        .ok()
        .and_then(|exe| exe.ancestors().nth(2).map(Path::to_path_buf))
        .unwrap_or_else(|| root().join("target"))
}

/// A program cargo built in release.
pub(crate) fn release(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// A command in the top folder.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command
}

/// Cargo, the same one that built this program.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut cargo = command(env!("CARGO"), args);
    // Tools of other target directories are found by name, and the caller's choice is kept for all.
    cargo.env("CARGO_TARGET_DIR", target());
    cargo
}

/// A program of this name is on PATH.
pub(crate) fn has(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs silently; true if it ended well.
pub(crate) fn succeeds(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> bool {
    command(program, args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    command("id", &["-u"])
        .output()
        .is_ok_and(|out| out.stdout == b"0\n")
}

/// Installs Debian packages, or names the line a person has to run. True if they are there afterwards.
pub(crate) fn apt(packages: &[&str]) -> bool {
    let missing: Vec<&str> = packages
        .iter()
        .copied()
        .filter(|name| !is_installed(name))
        .collect();
    if missing.is_empty() {
        return true;
    }
    let line = format!("apt-get install --no-install-recommends -y {}", missing.join(" "));
    if !has("apt-get") {
        println!("missing: {} (no apt-get on this machine)", missing.join(", "));
        return false;
    }
    if !is_root() {
        println!("missing: {}; to install: sudo {line}", missing.join(", "));
        return false;
    }
    println!("installing: {}", missing.join(", "));
    // Without lists apt knows no package; with old ones most installs work, so one refresh per failure is enough.
    install(&line) || (succeeds("apt-get", &["update"]) && install(&line))
}

fn install(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    let mut apt = command(words[0], &["-qq", "-o=Dpkg::Use-Pty=0"]);
    apt.args(&words[1..])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null());
    stage::run(&mut apt).is_ok()
}

fn is_installed(package: &str) -> bool {
    let query = ["-W", "-f=${Status}", package];
    command("dpkg-query", &query)
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|out| out.stdout.starts_with(b"install ok installed"))
}
