//! The vocabulary of Outcry: what services say to each other, and nothing else.
//!
//! Everything here is pure: no I/O, no clock, no async runtime. The names are those of the design's section 3. An
//! [`Item`] is the smallest fact received, a [`Classification`] is what the classifier says of it, a [`CaseEvent`] is
//! what only people know, a [`Coverage`] proves that a window of a source was read in full.

pub mod brand;
pub mod case_event;
pub mod channel;
pub mod classification;
pub mod coverage;
pub mod customer;
pub mod dead_letter;
pub mod ids;
pub mod item;
pub mod schema;
pub mod time;

pub use brand::Brand;
pub use case_event::{CaseAction, CaseEvent};
pub use channel::{Call, CallEventKind, Mail, Post, PostEventKind};
pub use classification::{Classification, ClassifiedItem};
pub use coverage::Coverage;
pub use customer::{Customer, CustomerKey};
pub use dead_letter::DeadLetter;
pub use ids::{CaseId, ContactId, CustomerId, EventId, ItemId};
pub use item::{AuthorKind, Channel, Direction, Item, Origin};
pub use time::Timestamp;

/// The envelope's version. A reader that meets another one pauses its partition: it never guesses, it never drops.
pub const SCHEMA_VERSION: u16 = 1;
