//! What a report is asked for: `?brand=…&from=…&to=…`, as the page and the API take it.

use crate::pages::Filter;
use outcry_domain::Timestamp;
use outcry_warehouse::ReportParams;
use serde::Deserialize;

/// The query as it came. What is empty is not given: a form sends every field.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ReportQuery {
    #[serde(default)]
    brand: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    timezone: Option<String>,
}

impl ReportQuery {
    /// For the report; `Err` says which field is wrong, in words.
    pub fn parameters(&self) -> Result<ReportParams, String> {
        let given =
            |field: &Option<String>| field.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(ReportParams {
            brand: given(&self.brand),
            from: given(&self.from).map(|text| instant("from", &text)).transpose()?,
            to: given(&self.to).map(|text| instant("to", &text)).transpose()?,
            timezone: given(&self.timezone),
        })
    }

    /// For the page's form.
    pub fn filter(&self) -> Filter {
        let typed = |field: &Option<String>| field.clone().unwrap_or_default();
        Filter { brand: typed(&self.brand), from: typed(&self.from), to: typed(&self.to) }
    }
}

fn instant(field: &str, text: &str) -> Result<Timestamp, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    whole
        .parse()
        .map_err(|_| format!("{field}: {text:?} is neither a day such as 2026-03-01 nor an instant in RFC 3339"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(from: &str) -> ReportQuery {
        ReportQuery { from: Some(from.into()), brand: Some(" ".into()), ..ReportQuery::default() }
    }

    #[test]
    fn a_day_and_an_instant_are_both_taken_and_empty_fields_are_not_given() {
        let parameters = query("2026-03-01").parameters().unwrap();
        assert_eq!(parameters.from.unwrap().to_string(), "2026-03-01T00:00:00.000Z");
        assert!(parameters.brand.is_none() && parameters.to.is_none());
        assert!(query("2026-03-01T10:00:00+01:00").parameters().unwrap().from.is_some());
        assert!(query("").parameters().unwrap().from.is_none());
        assert!(query("yesterday").parameters().unwrap_err().contains("from"));
    }
}
