//! Ring 3: the real binaries on a real Kafka, a real ClickHouse, a real Dovecot and an SMTP receiver. One test binary, so
//! that the servers start once; each test has topics and a database of its own.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in test functions, not in their helpers")]

mod backfill;
mod bad_input;
mod bad_mail;
mod dead_letters;
mod end_to_end;
mod hostile;
mod kill;
mod kill_front;
mod lifecycle;
mod reclassify;
mod setup;
