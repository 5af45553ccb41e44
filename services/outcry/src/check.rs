//! `outcry check`: is it configured right, and does everything answer?

use crate::{
    cli::ConfigFiles,
    configs::{self, Wanted},
};
use outcry_kafka::check_brokers;
use outcry_warehouse::Warehouse;
use std::path::PathBuf;

/// Checks everything, says all that is wrong, and fails if anything is.
pub async fn run(config: &ConfigFiles) -> anyhow::Result<()> {
    let files = configs::files(config, &["migrator.toml", "pipeline.toml"]);
    let mut report = Report::default();
    check_services(&files, &mut report);
    match configs::basics(config) {
        Err(error) => report.bad("kafka and clickhouse", &error),
        Ok(basics) => {
            match check_brokers(&basics.kafka).await {
                Err(error) => report.bad("kafka", &error.into()),
                Ok(missing) if missing.is_empty() => report.good("kafka", "answers, all topics are there"),
                Ok(missing) => {
                    report.bad(
                        "kafka",
                        &anyhow::anyhow!("lacks {}; create them with `outcry migrate`", missing.join(", ")),
                    );
                }
            }
            match Warehouse::connect(&basics.clickhouse) {
                Err(error) => report.bad("clickhouse", &error.into()),
                Ok(warehouse) => match warehouse.ping().await {
                    Err(error) => report.bad("clickhouse", &error.into()),
                    Ok(version) => match warehouse.check_schema().await {
                        Ok(()) => {
                            report.good("clickhouse", &format!("answers, version {version}, the schema is current"))
                        }
                        Err(error) => report.bad("clickhouse", &error.into()),
                    },
                },
            }
        }
    }
    anyhow::ensure!(report.problems == 0, "{} of {} checks failed", report.problems, report.checks);
    Ok(())
}

fn check_services(files: &[PathBuf], report: &mut Report) {
    let wanted = match configs::wanted(files) {
        Ok(wanted) => wanted,
        Err(error) => return report.bad("configuration", &error),
    };
    let Wanted { email, phone, social, notifier, console } = wanted;
    let mut one = |name: &str, wanted: bool, outcome: anyhow::Result<()>| match outcome {
        _ if !wanted => report.good(name, "not configured"),
        Ok(()) => report.good(name, "configured"),
        Err(error) => report.bad(name, &error),
    };
    one(
        "email-connector",
        email,
        configs::service::<outcry_email_connector::Config>("email-connector", files).map(drop),
    );
    one(
        "phone-connector",
        phone,
        configs::service::<outcry_phone_connector::Config>("phone-connector", files).map(drop),
    );
    one(
        "social-connector",
        social,
        configs::service::<outcry_social_connector::Config>("social-connector", files).map(drop),
    );
    one("classifier", true, configs::service::<outcry_classifier::Config>("classifier", files).map(drop));
    one("sink", true, configs::service::<outcry_sink::Config>("sink", files).map(drop));
    one("notifier", notifier, configs::service::<outcry_notifier::Config>("notifier", files).map(drop));
    one("console", console, configs::service::<outcry_console::Config>("console", files).map(drop));
}

#[derive(Default)]
struct Report {
    checks: usize,
    problems: usize,
}

impl Report {
    fn good(&mut self, name: &str, what: &str) {
        self.checks += 1;
        eprintln!("ok    {name}: {what}");
    }

    fn bad(&mut self, name: &str, error: &anyhow::Error) {
        self.checks += 1;
        self.problems += 1;
        eprintln!("WRONG {name}: {error:#}");
    }
}
