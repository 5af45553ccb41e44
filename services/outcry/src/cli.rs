//! What can be typed.

use crate::{
    backfill, check, classify, dead_letters, demo, evaluate, migrate, parse_email, query, reclassify, reread, train, up,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use outcry_runtime::LogFormat;
use std::path::PathBuf;

/// Every complaint, one stream, trustworthy answers.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The mistake is in how the command was called.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub String);

/// Where the configuration is.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigFiles {
    /// Configuration file (TOML); later ones override earlier ones, OUTCRY_SECTION__KEY overrides all.
    #[arg(long = "config", value_name = "FILE", env = "OUTCRY_CONFIG", value_delimiter = ':', global = true)]
    pub files: Vec<PathBuf>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// Comma-separated, with a header.
    Csv,
}

/// How a summary is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the whole pipeline on this machine until Ctrl-C.
    Up {
        /// Configuration.
        #[command(flatten)]
        config: ConfigFiles,
        /// Where servers keep their data; kept between runs.
        #[arg(long, value_name = "DIR", default_value = ".outcry")]
        data_dir: PathBuf,
    },
    /// Runs the pipeline, sends the bundled sample through every front door, and shows what came of it.
    Demo(DemoArguments),
    /// Is the configuration valid, and can everything it names be reached?
    Check {
        /// Configuration.
        #[command(flatten)]
        config: ConfigFiles,
    },
    /// Creates topics and the ClickHouse schema; may be run again at any time.
    Migrate {
        /// Configuration.
        #[command(flatten)]
        config: ConfigFiles,
    },
    /// Runs a report; without a name, lists them.
    Query(QueryArguments),
    /// Shows the item that a raw message becomes.
    ParseEmail(ParseEmailArguments),
    /// Classifies text, one line each, as JSON lines.
    Classify(ClassifyArguments),
    /// Trains a model on labelled data.
    Train(train::TrainArguments),
    /// Measures a model on labelled data.
    Evaluate(evaluate::EvaluateArguments),
    /// Lists, shows and replays what was refused.
    DeadLetters(dead_letters::DeadLettersArguments),
    /// Lets the sinks read a part of the topics again, after ClickHouse was restored from an older backup.
    Reread(reread::RereadArguments),
    /// Classifies history again.
    Reclassify(reclassify::ReclassifyArguments),
    /// Reads the past of a source.
    Backfill(backfill::BackfillArguments),
    /// Erases a customer.
    Erase(NotBuilt),
    /// Exports what is known of a customer.
    Export(NotBuilt),
    /// Shows sources and windows that are not covered.
    Gaps {
        /// Configuration.
        #[command(flatten)]
        config: ConfigFiles,
        /// How to write it.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// The local ClickHouse server; started by `outcry up`.
    #[command(hide = true)]
    ClickhouseServer {
        /// As the local stack passes them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// Arguments of a command that a later release builds.
#[derive(Debug, Args)]
pub struct NotBuilt {
    /// Not read.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub arguments: Vec<String>,
}

/// `outcry demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Ends after the summary instead of staying up.
    #[arg(long)]
    pub exit: bool,
    /// How to write the summary.
    #[arg(long, value_enum, default_value_t = SummaryFormat::Text)]
    pub format: SummaryFormat,
    /// Where servers keep their data; a temporary folder if not given.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// `outcry query`.
#[derive(Debug, Args)]
pub struct QueryArguments {
    /// The report's name.
    pub report: Option<String>,
    /// Only this brand.
    #[arg(long)]
    pub brand: Option<String>,
    /// From this instant or date on.
    #[arg(long)]
    pub from: Option<String>,
    /// Before this instant or date.
    #[arg(long)]
    pub to: Option<String>,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Configuration.
    #[command(flatten)]
    pub config: ConfigFiles,
}

/// `outcry parse-email`.
#[derive(Debug, Args)]
pub struct ParseEmailArguments {
    /// Raw message (RFC 5322); `-` reads standard input.
    pub file: PathBuf,
    /// Domains that are the brand's own.
    #[arg(long = "own-domain", value_name = "DOMAIN")]
    pub own_domains: Vec<String>,
    /// The message lies in a folder of sent mail.
    #[arg(long)]
    pub sent: bool,
}

/// `outcry classify`.
#[derive(Debug, Args)]
pub struct ClassifyArguments {
    /// JSON lines with `text` (and `subject`, `language`), or plain text, a line each; `-` reads standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// A brand's own lexicons and models.
    #[arg(long, value_name = "BUNDLE")]
    pub bundle: Option<PathBuf>,
    /// A model made by `outcry train`; its label and the reasons for it come with the others.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
}

/// Services log what they do; other commands only what goes wrong.
pub fn start_logging(command: &Command) {
    let default = match command {
        Command::Up { .. } => "info,librdkafka=error,rdkafka=error",
        Command::Demo(_) => "error,librdkafka=off,rdkafka=off",
        _ => "warn,librdkafka=off,rdkafka=off",
    };
    outcry_runtime::start_logging_at(LogFormat::Text, default);
}

/// Does it.
pub async fn carry_out(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up { config, data_dir } => up::run(&config, &data_dir).await,
        Command::Demo(arguments) => demo::run(&arguments).await,
        Command::Check { config } => check::run(&config).await,
        Command::Migrate { config } => migrate::run(&config).await,
        Command::Query(arguments) => query::run(&arguments).await,
        Command::Gaps { config, format } => query::gaps(&config, format).await,
        Command::ParseEmail(arguments) => parse_email::run(&arguments),
        Command::Classify(arguments) => classify::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::DeadLetters(arguments) => dead_letters::run(&arguments).await,
        Command::Reclassify(arguments) => reclassify::run(&arguments).await,
        Command::Reread(arguments) => reread::run(&arguments).await,
        Command::Backfill(arguments) => backfill::run(&arguments).await,
        Command::Erase(_) => not_built("erase"),
        Command::Export(_) => not_built("export"),
        // `main` hosts it before anything else starts.
        Command::ClickhouseServer { .. } => Ok(()),
    }
}

fn not_built(command: &str) -> anyhow::Result<()> {
    anyhow::bail!("`outcry {command}` is not built yet")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_design_is_there() {
        let known: Vec<String> =
            Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        for name in [
            "up",
            "demo",
            "check",
            "migrate",
            "query",
            "parse-email",
            "classify",
            "train",
            "evaluate",
            "dead-letters",
            "reclassify",
            "backfill",
            "erase",
            "export",
            "gaps",
        ] {
            assert!(known.iter().any(|command| command == name), "{name}");
        }
    }
}
