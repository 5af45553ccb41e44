//! `outcry parse-email`: what a raw message becomes.

use crate::{cli::ParseEmailArguments, query};
use anyhow::Context as _;
use outcry_domain::{Brand, CustomerKey};
use outcry_email_connector::{FolderKind, ParseContext, parse_mail};
use outcry_runtime::{Clock, SystemClock};
use std::{io::Read, path::Path};

/// No message is larger than this; mailboxes cut earlier.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

/// Prints the item as JSON. Any bytes give an item.
pub fn run(arguments: &ParseEmailArguments) -> anyhow::Result<()> {
    let raw = read(&arguments.file)?;
    let brand = Brand {
        id: "brand".into(),
        name: "Brand".into(),
        timezone: "UTC".into(),
        languages: Vec::new(),
        own_domains: arguments.own_domains.clone(),
        opening_hours: Default::default(),
        holidays: Vec::new(),
        targets: Default::default(),
        categories: Default::default(),
    };
    let now = SystemClock.now();
    // Not a secret: the ids it gives are for looking at, not for joining with a real installation's.
    let key = CustomerKey::new(b"outcry parse-email");
    let item = parse_mail(
        &raw,
        &ParseContext {
            brand: &brand,
            source: "email:file",
            folder: if arguments.sent { FolderKind::Sent } else { FolderKind::Inbound },
            location: None,
            internal_date: None,
            now,
            key: &key,
            backfill: false,
            connector: concat!("parse-email ", env!("CARGO_PKG_VERSION")),
            whole_size: None,
        },
    );
    query::print(&serde_json::to_string_pretty(&item)?)
}

/// A file's bytes, or standard input's, within bounds.
pub fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let doing = || format!("reading {}", file.display());
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).with_context(doing)?)
    };
    source.take(MOST_BYTES).read_to_end(&mut bytes).with_context(doing)?;
    Ok(bytes)
}
