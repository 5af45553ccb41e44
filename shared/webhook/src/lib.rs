//! The front door for pushed events: bounded HTTP, signature schemes, a spool, and 2xx only when durable.
//!
//! - [`serve`]: an accept loop of its own. Head, body, connections and memory are bounded, so that a thousand slow senders
//!   cost an honest one nothing.
//! - [`signature`]: pure functions that say whether a webhook comes from who it says.
//! - [`Durable`]: resolves when Kafka has the record on all replicas, or, when Kafka is slow or down, when the record is
//!   on this machine's disk ([`spool`]); refuses only when that is full.
//!
//! It knows nothing of calls or posts: what a webhook means is for the service that opens the door.

mod connection;
mod durable;
pub mod form;
mod limits;
pub mod metrics;
mod parcel;
mod reply;
mod server;
pub mod signature;
pub mod spool;

pub use durable::{Durable, DurableSettings, NotDurable, Outlet, Undeliverable};
pub use limits::Limits;
pub use parcel::{MAX_PARCEL_BYTES, Parcel};
pub use reply::Reply;
pub use server::{Door, ServeError, Server, Webhook};
