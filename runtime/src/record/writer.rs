//! The thread that writes.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::desk::{Desk, Sheet};
use super::shelf::Shelf;
use crate::metrics::Metrics;

pub(super) fn spawn(shelf: Shelf, desk: Arc<Desk>, metrics: Arc<Metrics>) -> io::Result<JoinHandle<()>> {
    let run = move || {
        if let Err(error) = write(shelf, &desk) {
            report(&error, &metrics);
            desk.give_up();
        }
    };
    std::thread::Builder::new().name("record".to_owned()).spawn(run)
}

/// The recording has ended, and the server goes on.
pub(super) fn report(error: &io::Error, metrics: &Metrics) {
    metrics.recording_failures.inc();
    metrics.recording.set(0);
    tracing::error!(%error, "the recording has ended");
}

fn write(mut shelf: Shelf, desk: &Desk) -> io::Result<()> {
    let mut spare = Vec::new();
    while let Some(sheets) = desk.take(&mut spare) {
        for sheet in sheets {
            match sheet {
                Sheet::Segment { head, checkpoint } => shelf.begin(head, &checkpoint)?,
                Sheet::Entries(mut bytes) => {
                    shelf.add(&bytes)?;
                    bytes.clear();
                    spare.push(bytes);
                }
            }
        }
    }
    shelf.end()
}
