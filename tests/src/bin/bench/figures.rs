//! What was measured, for people and for programs.

use anyhow::Result;
use outcry_sandbox::Stack;
use outcry_tests::{Pipeline, Usage, machine};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt, time::Duration};

/// Not ours: they count towards everything, not towards our CPU time.
const SERVERS: [&str; 2] = ["kafka", "clickhouse"];

/// Half of the requests are faster than `p50`, all but one in a hundred faster than `p99`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    /// Milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
}

impl Percentiles {
    /// Of durations in any order.
    pub fn of(mut durations: Vec<Duration>) -> Option<Self> {
        durations.sort_unstable();
        let at = |share: f64| {
            let index = ((durations.len() as f64 * share).ceil() as usize).clamp(1, durations.len()) - 1;
            durations[index].as_secs_f64() * 1000.0
        };
        (!durations.is_empty()).then(|| Self { p50: at(0.5), p99: at(0.99) })
    }

    fn to_json(self) -> Value {
        json!({ "p50": rounded(self.p50), "p99": rounded(self.p99) })
    }
}

/// The figures of one run.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Items that went through.
    pub items: u64,
    /// From the start of the services until all could be queried.
    pub elapsed: Duration,
    /// Acknowledged and not in the view.
    pub lost: u64,
    /// In the view more than once.
    pub doubled: u64,
    /// Rows that the view hides because they repeat another.
    pub physical_duplicates: u64,
    /// What each process used.
    pub processes: BTreeMap<String, Usage>,
    /// Requests a second that were answered 2xx, as fast as they could be sent.
    pub requests_per_second: Option<f64>,
    /// Time to the 2xx of those requests.
    pub answered: Option<Percentiles>,
    /// From sending an event until a query finds it, at a steady rate.
    pub queryable: Option<Percentiles>,
    /// The machine's load before and after.
    pub load: [String; 2],
}

impl Figures {
    fn per_million(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.items.max(1) as f64
    }

    fn cpu(&self, counts: impl Fn(&str) -> bool) -> f64 {
        self.per_million(self.processes.iter().filter(|(name, _)| counts(name)).map(|(_, usage)| usage.cpu).sum())
    }

    /// One document.
    pub fn to_json(&self) -> Value {
        let processes: Map<String, Value> = self
            .processes
            .iter()
            .map(|(name, usage)| {
                let cpu = rounded(self.per_million(usage.cpu));
                let rss = rounded(usage.peak_rss_bytes as f64 / 1e6);
                (name.clone(), json!({ "cpu_seconds_per_million": cpu, "peak_rss_mb": rss }))
            })
            .collect();
        let mut document = json!({
            "items": self.items,
            "seconds": rounded(self.elapsed.as_secs_f64()),
            "items_per_second": rounded(self.items as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)),
            "our_cpu_seconds_per_million": rounded(self.cpu(|name| !SERVERS.contains(&name))),
            "all_cpu_seconds_per_million": rounded(self.cpu(|_| true)),
            "lost": self.lost,
            "doubled": self.doubled,
            "physical_duplicates": self.physical_duplicates,
            "processes": processes,
            "cores": machine::cores(),
            "load": { "before": self.load[0], "after": self.load[1] },
        });
        if let (Some(rate), Some(answered)) = (self.requests_per_second, self.answered) {
            document["webhook_requests_per_second"] = rounded(rate).into();
            document["webhook_answer_ms"] = answered.to_json();
        }
        if let Some(queryable) = self.queryable {
            document["webhook_to_queryable_ms"] = queryable.to_json();
        }
        document
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.items as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON);
        writeln!(f, "{} items in {:.1} s: {rate:.0} items/s", self.items, self.elapsed.as_secs_f64())?;
        if let (Some(rate), Some(answered)) = (self.requests_per_second, self.answered) {
            writeln!(f, "webhook answered 2xx: {rate:.0}/s, p50 {:.1} ms, p99 {:.1} ms", answered.p50, answered.p99)?;
        }
        if let Some(queryable) = self.queryable {
            writeln!(f, "webhook to queryable: p50 {:.0} ms, p99 {:.0} ms", queryable.p50, queryable.p99)?;
        }
        writeln!(f, "{:<24} {:>22} {:>14}", "process", "CPU-s / million items", "peak RSS, MB")?;
        for (name, usage) in &self.processes {
            let rss = usage.peak_rss_bytes as f64 / 1e6;
            writeln!(f, "{name:<24} {:>22.1} {rss:>14.1}", self.per_million(usage.cpu))?;
        }
        writeln!(f, "{:<24} {:>22.1}", "ours", self.cpu(|name| !SERVERS.contains(&name)))?;
        writeln!(f, "{:<24} {:>22.1}", "everything", self.cpu(|_| true))?;
        writeln!(f, "lost {}, doubled {}, physical duplicates {}", self.lost, self.doubled, self.physical_duplicates)?;
        let [before, after] = &self.load;
        writeln!(f, "{} cores; load average before {before}, after {after}", machine::cores())
    }
}

/// CPU time of Kafka and ClickHouse so far, and of every service of the pipeline.
pub fn usage(stack: &Stack, pipeline: &Pipeline<'_>) -> Result<BTreeMap<String, Usage>> {
    let servers = [
        ("kafka", stack.kafka_server().ok().and_then(|server| server.pid())),
        ("clickhouse", stack.clickhouse_server().ok().and_then(|server| server.pid())),
    ];
    let mut found = BTreeMap::new();
    for (name, pid) in servers {
        if let Some(pid) = pid {
            found.insert(name.to_owned(), Usage::of(pid)?);
        }
    }
    for service in pipeline.services() {
        found.insert(service.name().trim_start_matches("outcry-").to_owned(), service.usage()?);
    }
    Ok(found)
}

/// What was used between two readings; peak memory is that of the later one.
pub fn between(before: &BTreeMap<String, Usage>, after: BTreeMap<String, Usage>) -> BTreeMap<String, Usage> {
    let earlier = |name: &str| before.get(name).map(|usage| usage.cpu).unwrap_or_default();
    after
        .into_iter()
        .map(|(name, usage)| {
            let cpu = usage.cpu.saturating_sub(earlier(&name));
            (name, Usage { cpu, ..usage })
        })
        .collect()
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_durations() {
        let found = Percentiles::of((1..=100).rev().map(Duration::from_millis).collect()).unwrap();
        assert_eq!(found, Percentiles { p50: 50.0, p99: 99.0 });
        assert_eq!(Percentiles::of(Vec::new()), None);
    }

    #[test]
    fn kafka_and_clickhouse_are_not_ours() {
        let usage = |seconds| Usage { cpu: Duration::from_secs(seconds), peak_rss_bytes: 5_000_000 };
        let processes = [("kafka", 4), ("clickhouse", 5), ("sink", 1)];
        let figures = Figures {
            items: 100_000,
            elapsed: Duration::from_secs(2),
            processes: processes.map(|(name, cpu)| (name.to_owned(), usage(cpu))).into(),
            ..Figures::default()
        };
        let document = figures.to_json();
        assert_eq!(document["our_cpu_seconds_per_million"], 10.0);
        assert_eq!(document["all_cpu_seconds_per_million"], 100.0);
        assert_eq!(document["items_per_second"], 50_000.0);
        assert_eq!(document["processes"]["kafka"]["peak_rss_mb"], 5.0);
    }
}
