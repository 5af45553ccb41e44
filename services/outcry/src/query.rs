//! `outcry query` and `outcry gaps`: named reports.

use crate::{
    cli::{ConfigFiles, Format, QueryArguments, WrongUsage},
    configs,
};
use outcry_domain::Timestamp;
use outcry_warehouse::{ReportParams, Table, Warehouse, reports};
use std::io::Write;

/// Runs the report, or lists them.
pub async fn run(arguments: &QueryArguments) -> anyhow::Result<()> {
    let Some(name) = &arguments.report else {
        return list(arguments.format);
    };
    let names: Vec<&str> = reports::list().iter().map(|report| report.name).collect();
    if !names.contains(&name.as_str()) {
        let known = names.join(", ");
        return Err(WrongUsage(format!("there is no report {name:?}; there are: {known}")).into());
    }
    let parameters = ReportParams {
        brand: arguments.brand.clone(),
        from: instant("--from", arguments.from.as_deref())?,
        to: instant("--to", arguments.to.as_deref())?,
        ..ReportParams::default()
    };
    let warehouse = Warehouse::connect(&configs::analyst(&arguments.config)?.clickhouse)?;
    write(&warehouse.report(name, &parameters).await?, arguments.format)
}

/// Sources and windows that are not covered.
pub async fn gaps(config: &ConfigFiles, format: Format) -> anyhow::Result<()> {
    let warehouse = Warehouse::connect(&configs::analyst(config)?.clickhouse)?;
    let gaps = warehouse.gaps(None).await?;
    if format == Format::Table && gaps.rows.is_empty() {
        eprintln!("no gaps: everything that the sources listed was produced");
        return Ok(());
    }
    write(&gaps, format)
}

fn list(format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        let list: Vec<_> = reports::list()
            .iter()
            .map(|report| serde_json::json!({ "name": report.name, "title": report.title, "description": report.description }))
            .collect();
        return print(&serde_json::to_string_pretty(&list)?);
    }
    let width = reports::list().iter().map(|report| report.name.len()).max().unwrap_or_default();
    let lines: Vec<String> =
        reports::list().iter().map(|report| format!("{:<width$} {}", report.name, report.title)).collect();
    print(&lines.join("\n"))
}

/// A table on standard output.
pub fn write(table: &Table, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table => print(&table.to_text()),
        Format::Csv => print(table.to_csv().trim_end()),
        Format::Json => print(&serde_json::to_string_pretty(&table.to_json())?),
    }
}

/// A line on standard output; a reader that went away is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// An instant, or the first one of a date in UTC.
pub fn instant(option: &str, text: Option<&str>) -> anyhow::Result<Option<Timestamp>> {
    let Some(text) = text else { return Ok(None) };
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let wrong = || {
        WrongUsage(format!("{option} {text:?} is neither a date (2026-03-01) nor an instant (2026-03-01T09:30:00Z)"))
    };
    Ok(Some(full.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_first_instant_in_utc() {
        let from = instant("--from", Some("2026-03-01")).unwrap().unwrap();
        assert_eq!(from.to_string(), "2026-03-01T00:00:00.000Z");
        assert!(instant("--from", Some("March")).unwrap_err().to_string().contains("--from"));
    }
}
