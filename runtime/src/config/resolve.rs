//! Lays the sources over each other: defaults < file < environment < command line. What comes out is one checked
//! value for every key that is set, and who set it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::keys::{self, Meaning};
use super::value::{Kind, Raw, Value};
use super::{Env, Notice, SettingsError, ini, toml_file};
use crate::cli::Cli;

/// Where the file is looked for when nobody names one; the first that exists is read.
const PLACES: [&str; 3] = [
    "/etc/comet-server/comet.ini",
    "./comet.ini",
    "./comet-server.toml",
];

/// One `key = value` of a file.
pub(super) struct Written {
    /// `section.key`.
    pub(super) name: String,
    pub(super) raw: Raw,
    pub(super) line: usize,
}

/// Who set a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// The language of the file that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    Ini,
    Toml,
}

/// Everything that was said, checked key by key.
#[derive(Default)]
pub(super) struct Resolved {
    values: BTreeMap<String, (Value, Origin)>,
    pub(super) file: Option<(PathBuf, Dialect)>,
    pub(super) notices: Vec<Notice>,
    /// Why something was ignored, and all of it.
    ignored: BTreeMap<&'static str, Vec<String>>,
}

/// Reads every source. Touches nothing but the configuration file.
pub(super) fn resolve(cli: &Cli, env: &Env) -> Result<Resolved, SettingsError> {
    let file = find(cli, env)?
        .map(|path| read(&path).map(|content| (path, content)))
        .transpose()?;
    lay(file, cli, env)
}

/// The same for a file that was read already.
pub(super) fn of_text(path: &Path, text: &[u8], cli: &Cli, env: &Env) -> Result<Resolved, SettingsError> {
    lay(Some((path.to_owned(), understand(path, text)?)), cli, env)
}

fn lay(file: Option<(PathBuf, Content)>, cli: &Cli, env: &Env) -> Result<Resolved, SettingsError> {
    let mut resolved = Resolved::default();
    let dialect = file.as_ref().map(|(_, content)| content.dialect);
    resolved.set_defaults(dialect, env);
    if let Some((path, content)) = file {
        resolved.file = Some((path.clone(), content.dialect));
        let place = path.display();
        let odd = content
            .odd_lines
            .iter()
            .map(|line| format!("{place}:{line}: neither a section nor key = value"));
        resolved.notices.extend(odd.map(Notice));
        for written in content.entries {
            let origin = Origin::File {
                path: path.clone(),
                line: written.line,
            };
            resolved.set(&written.name, &written.raw, origin)?;
        }
    }
    for (variable, text) in env.iter().filter(|(name, _)| name.starts_with("COMET_")) {
        match keys::of_variable(variable) {
            Some(key) => resolved.set(key, &Raw::Plain(text.clone()), Origin::Variable(variable.clone()))?,
            None if variable == "COMET_CONFIG" => {}
            None => resolved.notices.push(Notice(format!(
                "environment variable {variable} means nothing here"
            ))),
        }
    }
    for (flag, key, text) in cli.settings() {
        resolved.set(key, &Raw::Plain(text.to_owned()), Origin::Flag(flag))?;
    }
    resolved.tell_ignored();
    Ok(resolved)
}

/// The file to read. One that was asked for must be there.
fn find(cli: &Cli, env: &Env) -> Result<Option<PathBuf>, SettingsError> {
    let asked = match &cli.command {
        Some(crate::cli::Command::CheckConfig { file }) => Some(file.clone()),
        None => cli
            .config
            .clone()
            .or_else(|| env.get("COMET_CONFIG").map(PathBuf::from)),
    };
    if let Some(path) = asked {
        return match path.metadata() {
            Ok(meta) if meta.is_dir() => Err(SettingsError::new(format!(
                "{}: is a directory, not a file",
                path.display()
            ))),
            Ok(_) => Ok(Some(path)),
            Err(error) => Err(SettingsError::new(format!("{}: {error}", path.display()))),
        };
    }
    Ok(PLACES.iter().map(PathBuf::from).find(|path| path.is_file()))
}

struct Content {
    dialect: Dialect,
    entries: Vec<Written>,
    odd_lines: Vec<usize>,
}

fn read(path: &Path) -> Result<Content, SettingsError> {
    let bytes =
        std::fs::read(path).map_err(|error| SettingsError::new(format!("{}: {error}", path.display())))?;
    understand(path, &bytes)
}

fn understand(path: &Path, bytes: &[u8]) -> Result<Content, SettingsError> {
    // Old files have comments in other character sets; a value in one is refused by `set`.
    let text = String::from_utf8_lossy(bytes);
    let place = |line: usize| format!("{}:{line}", path.display());
    let dialect = match path.extension().and_then(|extension| extension.to_str()) {
        Some("ini") => Dialect::Ini,
        Some("toml") => Dialect::Toml,
        _ if toml_file::looks_like(&text) => Dialect::Toml,
        _ => Dialect::Ini,
    };
    match dialect {
        Dialect::Toml => Ok(Content {
            dialect,
            entries: toml_file::read(&text, place)?,
            odd_lines: Vec::new(),
        }),
        Dialect::Ini => {
            let ini = ini::read(&text, place)?;
            Ok(Content {
                dialect,
                entries: ini.entries,
                odd_lines: ini.odd_lines,
            })
        }
    }
}

impl Resolved {
    fn set_defaults(&mut self, dialect: Option<Dialect>, env: &Env) {
        let of_language = if dialect == Some(Dialect::Ini) {
            keys::INI_DEFAULTS
        } else {
            keys::CONTENT_TYPES
        };
        let always = keys::KEYS.iter().filter_map(|key| Some((key.name, key.default?)));
        for (name, text) in always.chain(of_language.iter().copied()) {
            let Meaning::Known(kind) = keys::meaning(name) else {
                unreachable!("defaults are for known keys");
            };
            let value = kind
                .parse(&Raw::Ini(text.to_owned()))
                .expect("a test reads every default");
            self.values.insert(name.to_owned(), (value, Origin::Default));
        }
        let data_dir = Value::Text(default_data_dir(env).to_string_lossy().into_owned());
        self.values
            .insert("main.data_dir".to_owned(), (data_dir, Origin::Default));
    }

    fn set(&mut self, name: &str, raw: &Raw, origin: Origin) -> Result<(), SettingsError> {
        let name = keys::alias(name);
        let kind = match keys::meaning(name) {
            Meaning::Known(kind) => kind,
            Meaning::Ignored(why) => {
                let place = match &origin {
                    Origin::File { line, .. } => format!("{name} (line {line})"),
                    Origin::Default | Origin::Variable(_) | Origin::Flag(_) => name.to_owned(),
                };
                self.ignored.entry(why).or_default().push(place);
                return Ok(());
            }
            Meaning::Unknown => return self.unknown(name, raw, &origin),
        };
        let value = kind.parse(raw).filter(|_| !raw.to_string().contains('\u{fffd}'));
        let Some(value) = value else {
            return Err(wrong(name, kind, raw, &origin));
        };
        if name == "ws.listen" || name == "cometql.listen" {
            return self.set_listen(name, &value, raw, origin);
        }
        if let (Kind::Flag, Raw::Ini(text), Value::Flag(false)) = (kind, raw, &value)
            && !matches!(text.as_str(), "false" | "False" | "FALSE" | "0")
        {
            self.notices.push(Notice(format!(
                "{origin}: {name} = {text} counts as false; only true is true"
            )));
        }
        match (raw, self.values.get_mut(name)) {
            (Raw::IniAppend(_), Some((Value::List(old), of))) if *of != Origin::Default => {
                if let Value::List(more) = value {
                    old.extend(more);
                }
            }
            _ => {
                self.values.insert(name.to_owned(), (value, origin));
            }
        }
        Ok(())
    }

    /// `listen` stands for address and port, and for whether there is a CometQL port at all.
    fn set_listen(
        &mut self,
        name: &str,
        value: &Value,
        raw: &Raw,
        origin: Origin,
    ) -> Result<(), SettingsError> {
        let section = name.trim_end_matches(".listen");
        let Value::Listen(listen) = *value else {
            unreachable!("the kind of {name} gives nothing else")
        };
        if listen.is_none() && section == "ws" {
            return Err(wrong(name, Kind::Listen, raw, &origin));
        }
        let mut put = |key: &str, value| {
            self.values
                .insert(format!("{section}.{key}"), (value, origin.clone()))
        };
        if let Some(address) = listen {
            put("ip", Value::Ip(address.ip()));
            put("port", Value::Number(address.port().into()));
        }
        if section == "cometql" {
            put("thread_num", Value::Number(listen.is_some().into()));
        }
        Ok(())
    }

    /// A mistyped key is worth a warning in comet.ini (protocol.md 8.2) and stops the start in TOML.
    fn unknown(&mut self, name: &str, raw: &Raw, origin: &Origin) -> Result<(), SettingsError> {
        let section = name.split_once('.').map_or(name, |(section, _)| section);
        let known = keys::keys_of(section);
        let hint = if known.is_empty() {
            format!("sections are: {}", keys::SECTIONS)
        } else {
            format!("keys of [{section}] are: {}", known.join(", "))
        };
        if matches!(raw, Raw::Ini(_) | Raw::IniAppend(_)) {
            self.notices
                .push(Notice(format!("{origin}: unknown key {name} is ignored; {hint}")));
            return Ok(());
        }
        Err(SettingsError::new(format!(
            "{origin}: unknown key {name}; {hint}"
        )))
    }

    fn tell_ignored(&mut self) {
        for (why, names) in std::mem::take(&mut self.ignored) {
            self.notices
                .push(Notice(format!("ignored: {}: {why}", names.join(", "))));
        }
    }

    /// The value of a key, and who set it; `None` if nobody did.
    pub(super) fn get(&self, name: &str) -> Option<&(Value, Origin)> {
        self.values.get(name)
    }

    /// Every key that is set, in alphabetical order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Value, &Origin)> {
        self.values
            .iter()
            .map(|(name, (value, origin))| (name.as_str(), value, origin))
    }
}

fn wrong(name: &str, kind: Kind, raw: &Raw, origin: &Origin) -> SettingsError {
    let allowed = kind.allowed();
    // The text of a secret stays secret even when it is wrong.
    SettingsError::new(if kind == Kind::Secret {
        format!("{origin}: {name} cannot be used; it must be {allowed}")
    } else {
        format!(
            "{origin}: {name} = {} cannot be used; it must be {allowed}",
            one_line(&raw.to_string())
        )
    })
}

/// Texts of strangers on one line of bounded length.
fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut line: String = text
        .chars()
        .take(CHARS_MAX)
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        line.push('…');
    }
    line
}

/// The user's own state directory; without a home it can only be a service.
fn default_data_dir(env: &Env) -> PathBuf {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(state) = absolute("XDG_STATE_HOME") {
        state.join("comet-server")
    } else if let Some(home) = absolute("HOME") {
        home.join(".local/state/comet-server")
    } else {
        PathBuf::from("/var/lib/comet-server")
    }
}
