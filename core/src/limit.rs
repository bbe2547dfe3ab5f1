//! How often something may be done: token buckets, and what is built of them. Plain data; the time is an argument.

mod bucket;
mod buckets;
mod network;
mod throttle;

pub use bucket::{Rate, Wait};
pub use buckets::Buckets;
pub use network::Network;
pub use throttle::{Account, Throttle};
