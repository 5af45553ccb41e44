//! Reports: named queries over the views, each with what its columns mean. An analyst can run the same SQL.

use crate::{Table, Warehouse, WarehouseError};
use outcry_domain::Timestamp;

/// A named query.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// What it is called on the command line and in addresses.
    pub name: &'static str,
    /// What a page calls it.
    pub title: &'static str,
    /// What it answers, and how it counts.
    pub description: &'static str,
    /// What it returns.
    pub columns: &'static [ReportColumn],
    /// The query, with the parameters `brand`, `from`, `to` and `timezone`.
    pub sql: &'static str,
}

/// One column of a report.
#[derive(Clone, Copy, Debug)]
pub struct ReportColumn {
    /// Its name in the query.
    pub name: &'static str,
    /// The unit of its values; empty for words and times.
    pub unit: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

const fn column(name: &'static str, unit: &'static str, meaning: &'static str) -> ReportColumn {
    ReportColumn { name, unit, meaning }
}

/// Which part of the data a report is about; nothing means everything.
#[derive(Clone, Debug, Default)]
pub struct ReportParams {
    /// One brand's id.
    pub brand: Option<String>,
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
    /// IANA zone in which days begin; UTC if none is given.
    pub timezone: Option<String>,
}

const REPORTS: &[Report] = &[
    Report {
        name: "volume",
        title: "Contacts by day",
        description: "How many contacts customers made, by day, channel, category and urgency. Spam, the brand's own words, \
                      reposts and what machines wrote are not counted.",
        columns: &[
            column("day", "", "day on which the contact began, in the zone asked for"),
            column("channel", "", "email, phone or social"),
            column("category", "", "what it is about, level 1"),
            column("urgency", "", "critical, high, normal or low"),
            column("contacts", "contacts", "how many"),
        ],
        sql: include_str!("../reports/volume.sql"),
    },
    Report {
        name: "response-times",
        title: "First response",
        description: "Calendar time from a customer's first contact to the first answer that a person gave and the customer could \
                      see, for cases opened in the period. Automatic acknowledgements and bounced mails are no answers. Cases \
                      without an answer are counted as open, never dropped. Quantiles interpolate (numpy's default).",
        columns: &[
            column("channel", "", "channel of the customer's first contact; the last row, all, is every channel"),
            column("cases", "cases", "cases opened in the period"),
            column("answered", "cases", "those with an answer"),
            column("open", "cases", "those without one"),
            column("median_seconds", "s", "half of the answered cases were answered within this time"),
            column("p90_seconds", "s", "nine of ten answered cases were answered within this time"),
            column("p95_seconds", "s", "19 of 20 answered cases were answered within this time"),
            column("mean_seconds", "s", "average; one slow case moves it far"),
        ],
        sql: include_str!("../reports/response-times.sql"),
    },
    Report {
        name: "repeats",
        title: "What keeps coming back",
        description: "Cases that repeat an earlier case of the same customer and category: opened within 30 days after the earlier one \
                      was solved, or after its last activity. A case opened before that is a chaser and not counted.",
        columns: &[
            column("brand", "", "the brand's id"),
            column("category", "", "what it is about, level 1"),
            column("customers", "customers", "how many customers had to come back"),
            column("cases", "cases", "how many cases repeat an earlier one"),
        ],
        sql: include_str!("../reports/repeats.sql"),
    },
    Report {
        name: "gaps",
        title: "What was not covered",
        description: "Sources and windows in which a source listed more than was produced. No row means that nothing is missing \
                      among what was compared. Windows may overlap; what is missing in \
                      several of them stands in the shortest, once.",
        columns: &[
            column("brand", "", "the brand's id"),
            column("channel", "", "email, phone or social"),
            column("source", "", "the configured account"),
            column("scope", "", "part of the source, such as a folder"),
            column("window_start", "", "first instant compared, UTC"),
            column("window_end", "", "first instant after it, UTC"),
            column("listed", "items", "what the source listed"),
            column("produced", "items", "what was produced of it"),
            column("missing", "items", "what is missing, and in no other row"),
            column("note", "", "why, in words"),
        ],
        sql: include_str!("../reports/gaps.sql"),
    },
    Report {
        name: "classifier-quality",
        title: "How good the labels are",
        description: "The classifier's labels against the last word of people, for contacts that began in the period and have a \
                      label correction (one that repeats the classifier's label counts as agreement). People correct what looks \
                      wrong, so agreement here is lower than over all contacts. Beside it the share of customers' contacts in \
                      `other` and for review, with an alarm above 15 %, and whether confidence means what it says: in each tenth \
                      of it, the share that people agree with against the average confidence.",
        columns: &[
            column(
                "measure",
                "",
                "agreement, precision (of what the classifier said), recall (of what is right), share or calibration",
            ),
            column(
                "axis",
                "",
                "kind, category, subcategory, urgency or sentiment; review for the share that a person should look at",
            ),
            column("label", "", "the label; all; or the tenth of confidence"),
            column("contacts", "contacts", "how many were compared or counted"),
            column(
                "hits",
                "contacts",
                "in how many of them classifier and people agree; of a share, how many have the label",
            ),
            column("share", "", "hits of contacts, 0 to 1"),
            column("expected", "", "average confidence of the tenth, 0 to 1: what the share should be"),
            column("alarm", "", "above 15 % when a share is; else empty"),
        ],
        sql: include_str!("../reports/classifier-quality.sql"),
    },
];

/// Every report.
pub fn list() -> &'static [Report] {
    REPORTS
}

/// The report of that name; the error lists the names there are.
pub fn find(name: &str) -> Result<&'static Report, WarehouseError> {
    REPORTS.iter().find(|report| report.name == name).ok_or_else(|| WarehouseError::UnknownReport {
        name: name.to_owned(),
        known: REPORTS.iter().map(|report| report.name).collect::<Vec<_>>().join(", "),
    })
}

impl ReportParams {
    fn parameters(&self) -> [(&'static str, String); 4] {
        // Timestamp's own range, so that without bounds nothing is left out.
        let earliest = self.from.unwrap_or(Timestamp::from_millis(i64::MIN));
        let latest = self.to.unwrap_or(Timestamp::from_millis(i64::MAX));
        [
            ("brand", self.brand.clone().unwrap_or_default()),
            ("from", date_time(earliest)),
            ("to", date_time(latest)),
            ("timezone", self.timezone.clone().unwrap_or_else(|| "UTC".into())),
        ]
    }
}

/// `2026-03-01 09:30:00.000`, as ClickHouse reads a DateTime64.
pub(crate) fn date_time(at: Timestamp) -> String {
    at.to_string().replace('T', " ").trim_end_matches('Z').to_owned()
}

impl Warehouse {
    /// Runs a report.
    pub async fn report(&self, name: &str, params: &ReportParams) -> Result<Table, WarehouseError> {
        let report = find(name)?;
        self.select("running a report", report.sql, &params.parameters()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_clickhouse_reads_them() {
        assert_eq!(date_time(Timestamp::from_millis(1_772_357_400_123)), "2026-03-01 09:30:00.123");
    }

    #[test]
    fn an_unknown_report_names_the_known_ones() {
        let text = find("volumes").unwrap_err().to_string();
        assert_eq!(
            text,
            "there is no report `volumes`; there are: volume, response-times, repeats, gaps, classifier-quality"
        );
    }
}
