//! A database of the local stack, asked in SQL.

use anyhow::{Context, Result};
use outcry_sandbox::Stack;

/// A database and the users who may ask.
#[derive(Clone, Debug)]
pub struct View<'a> {
    stack: &'a Stack,
    database: String,
}

impl<'a> View<'a> {
    /// Of that database.
    pub fn new(stack: &'a Stack, database: &str) -> Self {
        Self { stack, database: database.to_owned() }
    }

    /// Asks as an analyst; `{db}` in the question is the database. One string a row, values apart by tabs.
    pub async fn ask(&self, question: &str) -> Result<Vec<String>> {
        self.ask_as("analyst", question).await
    }

    /// Asks as another user, such as `migrator` for the tables behind the views.
    pub async fn ask_as(&self, user: &str, question: &str) -> Result<Vec<String>> {
        let answer = self.stack.clickhouse().query(user, &question.replace("{db}", &self.database)).await?;
        Ok(answer.lines().map(str::to_owned).collect())
    }

    /// One number, of views or tables.
    pub async fn number(&self, question: &str) -> Result<u64> {
        let rows = self.ask_as("migrator", question).await?;
        let first = rows.first().map(String::as_str).unwrap_or_default();
        first.parse().with_context(|| format!("{question:?} gave {first:?}, not a number"))
    }
}
