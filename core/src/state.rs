//! The data the engine works on. These modules keep their own invariants, know no rules and never make actions.

mod durable;

pub use durable::Durable;
