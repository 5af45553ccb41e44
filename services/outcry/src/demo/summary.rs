//! What came of it, for people and for programs.

use super::verify::{Found, Ledger};
use crate::sample::Sample;
use outcry_warehouse::{ReportParams, Summary as Totals, Table, Warehouse};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write, path::Path};

/// Everything the summary says.
pub struct Summary {
    /// Nothing is missing and nothing doubled.
    pub ok: bool,
    /// Seconds by phase.
    pub seconds: BTreeMap<&'static str, f64>,
    sent: [(&'static str, usize); 3],
    totals: Totals,
    missing: usize,
    acknowledgements: usize,
    reports: BTreeMap<&'static str, Table>,
}

impl Summary {
    /// Asks ClickHouse, as an analyst would.
    pub async fn read(
        warehouse: &Warehouse,
        sample: &Sample,
        ledger: &Ledger,
        found: &Found,
        acknowledgements: usize,
    ) -> anyhow::Result<Self> {
        let totals = warehouse.summary(None).await?;
        let missing = found.missing(ledger);
        let mut reports = BTreeMap::new();
        for name in ["volume", "response-times"] {
            reports.insert(name, warehouse.report(name, &ReportParams::default()).await?);
        }
        let expected = &sample.expected;
        Ok(Self {
            ok: missing == 0 && totals.duplicates_in_view == 0,
            seconds: BTreeMap::new(),
            sent: [("email", expected.email.sent), ("phone", expected.phone.sent), ("social", expected.social.sent)],
            totals,
            missing,
            acknowledgements,
            reports,
        })
    }

    /// One document.
    pub fn json(&self) -> Value {
        let sent: Map<String, Value> =
            self.sent.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
        let reports: Map<String, Value> =
            self.reports.iter().map(|(name, table)| ((*name).to_owned(), table.to_json())).collect();
        json!({
            "ok": self.ok,
            "sent": sent,
            "stored": self.totals.contacts,
            "items": self.totals.items,
            "duplicates_in_view": self.totals.duplicates_in_view,
            "missing": self.missing,
            "dead_letters": self.totals.dead_letters,
            "acknowledgements": self.acknowledgements,
            "reports": reports,
            "seconds": self.seconds,
        })
    }

    /// A page that a person enjoys reading.
    pub fn text(&self, console: &str, analyst_file: &Path) -> String {
        let mut page = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_text(&mut page, console, analyst_file);
        page
    }

    fn write_text(&self, page: &mut String, console: &str, analyst_file: &Path) -> std::fmt::Result {
        let totals = &self.totals;
        let sent: usize = self.sent.iter().map(|(_, count)| count).sum();
        writeln!(
            page,
            "\nOutcry: {sent} deliveries sent, {} facts stored, {} missing, {} doubled\n",
            totals.items, self.missing, totals.duplicates_in_view
        )?;
        writeln!(page, "  {:<10}{:>8}{:>12}", "channel", "sent", "contacts")?;
        for (channel, count) in &self.sent {
            let contacts = totals.contacts.get(*channel).copied().unwrap_or_default();
            writeln!(page, "  {channel:<10}{count:>8}{contacts:>12}")?;
        }
        for (title, counts) in
            [("urgency", &totals.urgencies), ("what it is about", &totals.categories), ("kind", &totals.kinds)]
        {
            writeln!(page, "\n  {title}")?;
            let most = counts.iter().map(|count| count.count).max().unwrap_or(1).max(1);
            for count in counts.iter().take(8) {
                let width = (count.count * 30).div_ceil(most) as usize;
                writeln!(page, "    {:<22}{:>5}  {}", count.label, count.count, "▇".repeat(width))?;
            }
        }
        writeln!(page, "\n  median time to the first response")?;
        for (channel, median) in &totals.median_first_response_seconds {
            writeln!(page, "    {channel:<10}{}", median.map_or_else(|| "nobody was answered".to_owned(), duration))?;
        }
        if !totals.repeats.is_empty() {
            writeln!(page, "\n  what comes back (the same customer, the same issue)")?;
            for repeat in totals.repeats.iter().take(5) {
                writeln!(page, "    {:<22}{} customers, {} cases", repeat.category, repeat.customers, repeat.cases)?;
            }
        }
        writeln!(page, "\n  acknowledgements sent   {}", self.acknowledgements)?;
        let reasons: Vec<String> =
            totals.dead_letter_reasons.iter().map(|reason| format!("{} {}", reason.count, reason.label)).collect();
        writeln!(page, "  dead letters            {} ({})", totals.dead_letters, reasons.join(", "))?;
        writeln!(
            page,
            "  gaps                    {}",
            if totals.missing == 0 {
                "none".to_owned()
            } else {
                format!("{} items: see `outcry gaps`", totals.missing)
            }
        )?;
        let seconds: f64 = self.seconds.values().sum();
        writeln!(page, "\nIn {seconds:.1} s. Where to look next:")?;
        writeln!(page, "  outcry query response-times --config {}", analyst_file.display())?;
        write!(page, "  {console} (its token lies in {})", analyst_file.with_file_name("console.token").display())
    }
}

fn duration(seconds: f64) -> String {
    let minutes = seconds / 60.0;
    match minutes {
        minutes if minutes < 1.0 => format!("{seconds:.0} s"),
        minutes if minutes < 120.0 => format!("{minutes:.0} min"),
        minutes if minutes < 2880.0 => format!("{:.1} h", minutes / 60.0),
        minutes => format!("{:.1} days", minutes / 1440.0),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(
            [30.0, 1800.0, 9000.0, 432_000.0].map(duration),
            ["30 s", "30 min", "2.5 h", "5.0 days"].map(str::to_owned)
        );
    }
}
