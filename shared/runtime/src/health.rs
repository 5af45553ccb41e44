//! Readiness: a service is ready when each of its components says so and it is not shutting down.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// What stands between a service and being ready, by component.
#[derive(Clone, Debug, Default)]
pub struct Health {
    components: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

/// One component's say in it.
#[derive(Clone, Debug)]
pub struct Component {
    name: String,
    health: Health,
}

impl Health {
    /// Registers a component; it is not ready until it says so.
    pub fn component(&self, name: &str) -> Component {
        let component = Component { name: name.to_owned(), health: self.clone() };
        component.not_ready("starting");
        component
    }

    /// What is not ready, and why. Empty when everything is; a service that has told of no component yet is not ready.
    pub fn problems(&self) -> BTreeMap<String, String> {
        let components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        if components.is_empty() {
            return BTreeMap::from([("service".to_owned(), "starting".to_owned())]);
        }
        components.iter().filter_map(|(name, problem)| Some((name.clone(), problem.clone()?))).collect()
    }

    /// `true` once a component of that name was told of.
    pub fn knows(&self, name: &str) -> bool {
        self.components.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    fn set(&self, name: &str, problem: Option<String>) {
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        let before = components.insert(name.to_owned(), problem.clone());
        drop(components);
        match (before.flatten(), problem) {
            (before, Some(problem)) if before.as_deref() != Some(&problem) => {
                tracing::debug!(component = name, problem, "not ready");
            }
            (Some(_), None) => tracing::info!(component = name, "ready"),
            _ => {}
        }
    }
}

impl Component {
    /// All is well.
    pub fn ready(&self) {
        self.health.set(&self.name, None);
    }

    /// It is not, and this is why, in words for an operator.
    pub fn not_ready(&self, why: impl Into<String>) {
        self.health.set(&self.name, Some(why.into()));
    }

    /// The component is gone for good, on purpose, and no longer counts.
    pub fn remove(&self) {
        self.health.components.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_told_of_nothing_yet_is_not_ready() {
        let health = Health::default();
        assert_eq!(health.problems()["service"], "starting");
        health.component("kafka").ready();
        assert!(health.problems().is_empty() && health.knows("kafka") && !health.knows("mailbox"));
    }

    #[test]
    fn ready_only_when_every_component_says_so() {
        let health = Health::default();
        let (kafka, mailbox) = (health.component("kafka"), health.component("mailbox"));
        kafka.ready();
        assert_eq!(health.problems().keys().collect::<Vec<_>>(), ["mailbox"]);
        mailbox.ready();
        assert!(health.problems().is_empty());
        kafka.not_ready("no broker answers");
        assert_eq!(health.problems()["kafka"], "no broker answers");
        kafka.remove();
        assert!(health.problems().is_empty());
    }
}
