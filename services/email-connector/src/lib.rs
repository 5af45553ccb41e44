//! Reads mailboxes over IMAP and turns every mail into exactly one item, or a reason why not.

pub mod parse;

pub use parse::{FolderKind, ParseContext, parse_mail};
