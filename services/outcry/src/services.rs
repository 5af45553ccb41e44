//! Every service in one process.

use crate::{
    configs,
    local::{LocalConfig, Role},
};
use anyhow::Context as _;
use outcry_runtime::{Context, SHUTDOWN_BUDGET, ServiceConfig};
use std::future::Future;
use tokio::task::JoinSet;

/// The services that run.
pub struct Services {
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    context: Context,
    /// Their names.
    pub names: Vec<&'static str>,
}

impl Services {
    /// Starts every service that the configuration asks for.
    pub fn start(config: &LocalConfig, context: &Context) -> anyhow::Result<Self> {
        let mut services = Self { tasks: JoinSet::new(), context: context.clone(), names: Vec::new() };
        let wanted = configs::wanted(&config.files(Role::Sink))?;
        services.add(config, Role::Sink, "sink", outcry_sink::run)?;
        services.add(config, Role::Sink, "classifier", outcry_classifier::run)?;
        if wanted.email {
            services.add(config, Role::Sink, "email-connector", outcry_email_connector::run)?;
        }
        if wanted.phone {
            services.add(config, Role::Sink, "phone-connector", outcry_phone_connector::run)?;
        }
        if wanted.social {
            services.add(config, Role::Sink, "social-connector", outcry_social_connector::run)?;
        }
        if wanted.notifier {
            services.add(config, Role::Sink, "notifier", outcry_notifier::run)?;
        }
        if wanted.console {
            services.add(config, Role::Analyst, "console", outcry_console::run)?;
        }
        Ok(services)
    }

    fn add<C, F, R>(&mut self, config: &LocalConfig, role: Role, name: &'static str, run: F) -> anyhow::Result<()>
    where
        C: ServiceConfig,
        F: FnOnce(C, Context) -> R + Send + 'static,
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let loaded = configs::service::<C>(name, &config.files(role))?;
        let context = self.context.clone();
        self.names.push(name);
        self.tasks.spawn(async move { (name, run(loaded, context).await) });
        Ok(())
    }

    /// Resolves when a service ends by itself, which is always a failure.
    pub async fn failure(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok((name, Ok(())))) => anyhow::anyhow!("the {name} ended by itself"),
            Some(Ok((name, Err(error)))) => error.context(format!("the {name} failed")),
            Some(Err(error)) => anyhow::Error::from(error).context("a service panicked"),
            None => anyhow::anyhow!("no service runs"),
        }
    }

    /// Lets every service drain within the budget.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.context.shutdown.cancel();
        let drain = async {
            while let Some(ended) = self.tasks.join_next().await {
                let (name, outcome) = ended.context("a service panicked while stopping")?;
                outcome.with_context(|| format!("stopping the {name}"))?;
            }
            Ok(())
        };
        tokio::time::timeout(SHUTDOWN_BUDGET, drain).await.context("a service did not drain in time")?
    }
}
