//! The client half of the MySQL protocol that CometQL needs (protocol.md 7.1, 7.2): native password, COM_QUERY, text
//! results; blocking for set-up and questions, pipelined in the event loop for load.

pub(crate) mod client;
pub(crate) mod packet;
pub(crate) mod session;
