//! Parses every file under a folder and prints what came of it: `cargo run --example parse_all -- --data DIR [--show WORD] [--json FILE]`.
//! With `--json` each item is a line of that file, with the path of its mail.
//!
//! No file may panic. Files that are no mail are counted by their defects, not left out.

use outcry_domain::{Brand, CustomerKey, Item, Timestamp};
use outcry_email_connector::{FolderKind, ParseContext, parse_mail};
use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value_of =
        |name: &str| arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
    let data = value_of("--data")
        .ok_or_else(|| anyhow::anyhow!("usage: parse_all --data DIR [--show WORD] [--json FILE] [--repeat N]"))?;
    let mut json = value_of("--json").map(std::fs::File::create).transpose()?.map(std::io::BufWriter::new);
    let show = value_of("--show").cloned();
    let repeat: usize = value_of("--repeat").map_or(Ok(1), |text| text.parse())?;
    let mut files = Vec::new();
    collect(Path::new(data), &mut files)?;
    files.sort();
    let brand: Brand = serde_json::from_str(r#"{"id":"demo","name":"Demo","own_domains":["demo.example"]}"#)?;
    let key = CustomerKey::new(b"parse_all");
    let mails: Vec<(PathBuf, Vec<u8>)> =
        files.into_iter().map(|file| std::fs::read(&file).map(|raw| (file, raw))).collect::<Result<_, _>>()?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut slowest = (0u128, PathBuf::new());
    let bytes: usize = mails.iter().map(|(_, raw)| raw.len()).sum();
    let start = Instant::now();
    for round in 0..repeat {
        for (file, raw) in &mails {
            let begun = Instant::now();
            let item = parse_mail(raw, &context(&brand, &key));
            let took = begun.elapsed().as_micros();
            if took > slowest.0 {
                slowest = (took, file.clone());
            }
            if round == 0 {
                if let Some(json) = &mut json {
                    serde_json::to_writer(&mut *json, &serde_json::json!({ "file": file, "item": item }))?;
                    writeln!(json)?;
                }
                count(&mut counts, &item, file, show.as_deref());
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let total = mails.len() * repeat;
    println!(
        "{total} mails ({repeat} times {}), {:.1} MB, {seconds:.2} s, {:.0} mails/s",
        mails.len(),
        bytes as f64 / 1e6,
        total as f64 / seconds
    );
    println!("slowest: {} us, {}", slowest.0, slowest.1.display());
    for (name, count) in counts {
        println!("{count:6}  {name}");
    }
    Ok(())
}

fn context<'a>(brand: &'a Brand, key: &'a CustomerKey) -> ParseContext<'a> {
    ParseContext {
        brand,
        source: "email:parse_all",
        folder: FolderKind::Inbound,
        location: None,
        internal_date: None,
        now: Timestamp::from_seconds(1_800_000_000),
        key,
        backfill: false,
        connector: "parse_all",
        whole_size: None,
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if folder.is_file() {
        files.push(folder.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}

fn count(counts: &mut BTreeMap<String, usize>, item: &Item, file: &Path, show: Option<&str>) {
    let mut names = Vec::new();
    if item.text.trim().is_empty() {
        names.push("text: empty".to_owned());
    }
    if item.text.contains('\u{FFFD}') || item.subject.as_deref().is_some_and(|subject| subject.contains('\u{FFFD}')) {
        names.push("text: replacement characters".to_owned());
    }
    if item.occurred_at.is_unknown() {
        names.push("date: unknown".to_owned());
    }
    if item.customer.address.is_none() {
        names.push("customer: no address".to_owned());
    }
    if !item.quoted_text.is_empty() {
        names.push("quoted: some".to_owned());
    }
    if let Some(mail) = &item.mail {
        names.extend(mail.defects.iter().map(|defect| format!("defect: {defect}")));
        names.extend(mail.automatic.map(|automatic| format!("automatic: {}", automatic.as_str())));
        names.extend(mail.wrapper.as_ref().map(|wrapper| format!("wrapper: {wrapper}")));
        if mail.bounce_of.is_some() {
            names.push("bounce: of a known mail".into());
        }
        if mail.list_id.is_some() {
            names.push("list".into());
        }
    }
    for name in names {
        if show.is_some_and(|word| name.contains(word)) {
            println!("{name}: {}", file.display());
        }
        *counts.entry(name).or_default() += 1;
    }
}
