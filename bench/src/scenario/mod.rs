//! What can be measured. Each scenario sets the stage with `stage`, drives `net`, and returns figures and faults.

pub(crate) mod churn;
pub(crate) mod drain;
pub(crate) mod fanout;
pub(crate) mod hold;
pub(crate) mod mixed;
pub(crate) mod offline;
pub(crate) mod private;
pub(crate) mod publish;
pub(crate) mod roundtrip;
pub(crate) mod share;
pub(crate) mod stage;
pub(crate) mod startup;
pub(crate) mod storm;
pub(crate) mod versus;
pub(crate) mod window;
pub(crate) mod writer;
