//! How often something may be done: token buckets, and what is built of them. Plain data; the time is an argument.

mod addresses;
mod bucket;
mod buckets;
mod network;
mod throttle;

pub(crate) use addresses::Addresses;
pub use bucket::{Rate, Wait};
pub use buckets::Buckets;
pub use network::Network;
pub(crate) use network::is_private;
pub use throttle::{Account, Throttle};
