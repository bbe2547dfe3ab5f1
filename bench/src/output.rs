//! Where findings go: the terminal, a JSON file, a picture.

use std::path::Path;

use serde_json::Value;

use crate::all::Table;
use crate::args::Common;
use crate::failure::{Failure, While as _};
use crate::plot::{self, Row};
use crate::report::Report;

pub(crate) struct Output<'a> {
    text: String,
    json: Value,
    picture: Vec<Row<'a>>,
}

impl<'a> Output<'a> {
    /// All reports in one picture, so that what was measured in turn can be compared.
    pub(crate) fn of_reports(reports: &'a [Report]) -> Self {
        let title = reports.last().map_or("", |report| &report.scenario);
        Self {
            text: reports.iter().map(|report| report.table() + "\n").collect(),
            json: match reports {
                [one] => one.json(),
                several => several.iter().map(Report::json).collect(),
            },
            picture: Row::of(title, reports).into_iter().collect(),
        }
    }

    pub(crate) fn of_table(table: &'a Table) -> Self {
        Self {
            text: table.text(),
            json: table.json(),
            picture: table.picture(),
        }
    }

    pub(crate) fn write(&self, common: &Common) -> Result<(), Failure> {
        let to_file = |file: &Path, text: String| {
            std::fs::write(file, text).or_while(format!("write {}", file.display()))
        };
        let json = common.json.as_deref();
        if json == Some(Path::new("-")) {
            println!("{:#}", self.json);
        } else {
            print!("{}", self.text);
            if let Some(file) = json {
                to_file(file, format!("{:#}\n", self.json))?;
            }
        }
        match &common.plot {
            Some(_) if self.picture.is_empty() => Err(Failure::told(
                "there are no curves to draw; --plot is for fanout, raw and all",
            )),
            Some(file) => to_file(file, plot::svg(&self.picture)),
            None => Ok(()),
        }
    }
}
