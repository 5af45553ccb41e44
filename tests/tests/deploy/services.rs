//! Every service by its name, with the configuration it really reads.

use outcry_runtime::{ServiceConfig, config};
use std::{fmt::Debug, path::PathBuf};

/// Name, environment and files of one load.
pub type Environment = Vec<(String, String)>;

/// What the loader makes of files and environment for the service of that name: the configuration printed, or why not.
pub fn load(service: &str, files: &[PathBuf], environment: Environment) -> Result<String, String> {
    match service {
        "email-connector" => checked::<outcry_email_connector::Config>(files, environment),
        "phone-connector" => checked::<outcry_phone_connector::Config>(files, environment),
        "social-connector" => checked::<outcry_social_connector::Config>(files, environment),
        "classifier" => checked::<outcry_classifier::Config>(files, environment),
        "sink" => checked::<outcry_sink::Config>(files, environment),
        "notifier" => checked::<outcry_notifier::Config>(files, environment),
        "console" => checked::<outcry_console::Config>(files, environment),
        other => Err(format!("{other} is not a service")),
    }
}

/// Every service of the workspace.
pub const ALL: [&str; 7] =
    ["email-connector", "phone-connector", "social-connector", "classifier", "sink", "notifier", "console"];

fn checked<C: ServiceConfig + Debug>(files: &[PathBuf], environment: Environment) -> Result<String, String> {
    let config: C = config::load_from(files, environment, C::SECTIONS).map_err(|error| error.to_string())?;
    config.validate().map_err(|problems| problems.join("; "))?;
    Ok(format!("{config:#?}"))
}
