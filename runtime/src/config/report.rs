//! The text of `comet-server check-config`: what was understood, who said it, and what was ignored and why.

use std::fmt::Write;

use super::resolve::{Dialect, Origin, Resolved};
use super::{Settings, password};

/// Explains a configuration that can be used.
pub(super) fn report(resolved: &Resolved, settings: &Settings) -> String {
    let mut rows: Vec<[String; 3]> = resolved
        .all()
        .map(|(name, value, origin)| [name.to_owned(), value.to_string(), origin_text(resolved, origin)])
        .collect();
    if let Some(file) = password::file(settings) {
        let source = format!("made at the first start, kept in {}", file.display());
        rows.push(["main.password".to_owned(), "(generated)".to_owned(), source]);
        rows.sort();
    }
    let mut text = String::new();
    if let Some((path, dialect)) = &resolved.file {
        let language = match dialect {
            Dialect::Ini => "comet.ini of CppComet",
            Dialect::Toml => "TOML",
        };
        line(
            &mut text,
            format_args!("{} is read as {language}.", path.display()),
        );
    }
    let cometql = settings
        .cometql
        .as_ref()
        .map_or_else(|| "nowhere".to_owned(), |port| port.listen.to_string());
    line(
        &mut text,
        format_args!(
            "Browsers connect to {}, MySQL clients to {cometql}.\n",
            settings.ws.listen
        ),
    );
    let heading = ["setting", "value", "from"].map(str::to_owned);
    let widths = [0, 1].map(|column| {
        rows.iter()
            .chain([&heading])
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
            .min(WIDTH_MAX)
    });
    for [name, value, from] in [&heading].into_iter().chain(&rows) {
        line(
            &mut text,
            format_args!("{name:w0$}  {value:w1$}  {from}", w0 = widths[0], w1 = widths[1]),
        );
    }
    if !resolved.notices.is_empty() {
        line(&mut text, format_args!("\nnotices"));
        for notice in &resolved.notices {
            line(&mut text, format_args!("  {notice}"));
        }
    }
    text
}

/// Longer values push their own line only.
const WIDTH_MAX: usize = 48;

/// A file is named once, at the top.
fn origin_text(resolved: &Resolved, origin: &Origin) -> String {
    match origin {
        Origin::File { line, .. } => format!("line {line}"),
        Origin::Default
            if resolved
                .file
                .as_ref()
                .is_some_and(|(_, dialect)| *dialect == Dialect::Ini) =>
        {
            "default of comet.ini".to_owned()
        }
        Origin::Default | Origin::Variable(_) | Origin::Flag(_) => origin.to_string(),
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{arguments}");
}
