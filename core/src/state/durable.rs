//! What survives a restart (protocol.md, appendix B): the fold of the records, nothing else.

use crate::record::Record;

/// All durable state of all tenants.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Durable {}

impl Durable {
    /// The only way to change durable state. Depends on nothing but the record and the state.
    pub fn apply(&mut self, _record: &Record) {}
}
