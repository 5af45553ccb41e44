//! The configuration of the local ClickHouse: memory, logs, and three users with what each may do.
//!
//! What was found by trying (engine 26.7.2.1 in libchdb):
//! - Users come from a file read once at start: no `CREATE USER`, no `GRANT`, no reload. So grants must exist before a
//!   database does. A grant may end in `*` on the database (`outcry*.*`) or on the table of a *named* database
//!   (`outcry_test_7.v_*`); `outcry*.v_*` parses and matches nothing. Hence the databases are a declared pool
//!   ([`DATABASES`]), and the analyst gets the views (`v_*`) of each.
//! - `CREATE VIEW … DEFINER = migrator SQL SECURITY DEFINER` works with these users: the analyst reads the view and is
//!   refused the table.
//! - The engine's own session logs in as `default` without a password from 127.0.0.1, or it does not start. That user
//!   is closed to everybody else by `max_sessions_for_user = 1` (const), whose only session the engine holds, and has
//!   no data grants.
//! - `readonly = 1` refuses every `SETTINGS`, so an analyst's client must send none.

use std::path::Path;

/// How many databases named `outcry_test_<n>` the analyst can read.
pub const TEST_DATABASES: u32 = 512;

/// The databases other than the test pool.
pub const DATABASES: [&str; 2] = ["outcry", "outcry_demo"];

/// The users of the local ClickHouse and their passwords.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ClickHousePasswords {
    /// May create, alter and drop everything in databases named `outcry*`.
    pub migrator: String,
    /// May INSERT and SELECT in databases named `outcry*`, and kill queries.
    pub sink: String,
    /// May SELECT from the views only, `readonly=1`.
    pub analyst: String,
}

/// `config.xml` for the library. No system log (`query_log`, `text_log`, …) is named, so none is kept: naming one, even
/// with `remove`, switches it on here.
///
/// `server` adds what a stand-alone `clickhouse server` needs.
pub(crate) fn config_xml(dir: &Path, memory_mib: u64, server: Option<(u16, u16)>) -> String {
    let mut extra = String::new();
    if let Some((http_port, tcp_port)) = server {
        extra = format!(
            "<path>{dir}/data/</path><tmp_path>{dir}/data/tmp/</tmp_path><user_files_path>{dir}/data/user_files/</user_files_path>
  <listen_host>127.0.0.1</listen_host><http_port>{http_port}</http_port><tcp_port>{tcp_port}</tcp_port>
  <mlock_executable>0</mlock_executable>",
            dir = escape(&dir.display().to_string())
        );
    }
    format!(
        "<clickhouse>
  <logger><log>{dir}/server.log</log><errorlog>{dir}/server.err.log</errorlog><level>warning</level><console>0</console>
    <size>50M</size><count>2</count></logger>
  <users_config>{dir}/users.xml</users_config>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
  <mark_cache_size>268435456</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  {extra}
</clickhouse>
",
        dir = escape(&dir.display().to_string()),
        memory = memory_mib * 1024 * 1024,
    )
}

/// `users.xml`. `embedded`: the library, whose own session must be able to log in as `default`.
pub(crate) fn users_xml(passwords: &ClickHousePasswords, analyst_tables: &[String], embedded: bool) -> String {
    let default = if embedded { EMBEDDED_DEFAULT } else { "<default remove=\"1\"/>" };
    let databases = DATABASES.iter().map(|&name| name.to_owned()).chain((0..TEST_DATABASES).map(test_database));
    let mut views = String::new();
    for database in databases {
        for table in analyst_tables {
            views.push_str(&format!("<query>GRANT SELECT ON {database}.{}</query>\n", escape(table)));
        }
    }
    format!(
        "<clickhouse>
  <profiles>
    <default><async_insert>0</async_insert></default>
    <opener><max_sessions_for_user>1</max_sessions_for_user>
      <constraints><max_sessions_for_user><const/></max_sessions_for_user></constraints></opener>
    <analyst>
      <readonly>1</readonly><max_execution_time>60</max_execution_time><max_memory_usage>2000000000</max_memory_usage>
      <max_result_rows>1000000</max_result_rows><result_overflow_mode>throw</result_overflow_mode>
    </analyst>
  </profiles>
  <quotas><default/></quotas>
  <users>
    {default}
    {migrator}
    {sink}
    {analyst}
  </users>
</clickhouse>
",
        migrator = user("migrator", &passwords.migrator, "default", MIGRATOR_GRANTS),
        sink = user("sink", &passwords.sink, "default", SINK_GRANTS),
        analyst = user("analyst", &passwords.analyst, "analyst", &views),
    )
}

/// The name of one database of the test pool.
pub(crate) fn test_database(number: u32) -> String {
    format!("outcry_test_{number}")
}

fn user(name: &str, password: &str, profile: &str, grants: &str) -> String {
    format!(
        "<{name}><password>{}</password><networks><ip>127.0.0.1</ip></networks><profile>{profile}</profile>
      <quota>default</quota><grants>{grants}</grants></{name}>",
        escape(password)
    )
}

const EMBEDDED_DEFAULT: &str = "<default><no_password/><networks><ip>127.0.0.1</ip></networks><profile>opener</profile>
      <quota>default</quota><grants><query>GRANT SYSTEM LISTEN ON *.*</query><query>GRANT CREATE TEMPORARY TABLE ON *.*</query>
      <query>GRANT READ ON FILE</query></grants></default>";

const MIGRATOR_GRANTS: &str = "<query>GRANT ALL ON outcry*.*</query><query>GRANT SELECT ON system.*</query>
      <query>GRANT KILL QUERY ON *.*</query><query>GRANT SYSTEM ON *.*</query><query>GRANT SHOW ON *.*</query>
      <query>GRANT CREATE TEMPORARY TABLE ON *.*</query><query>GRANT TABLE ENGINE ON *</query>
      <query>GRANT SET DEFINER ON *</query><query>GRANT CREATE FUNCTION, DROP FUNCTION ON *.*</query>";

const SINK_GRANTS: &str = "<query>GRANT SELECT, INSERT ON outcry*.*</query><query>GRANT KILL QUERY ON *.*</query>
      <query>GRANT SELECT ON system.processes</query><query>GRANT SELECT ON system.parts</query>
      <query>GRANT SELECT ON system.tables</query><query>GRANT SELECT ON system.columns</query>
      <query>GRANT SELECT ON system.merges</query><query>GRANT SELECT ON system.one</query>";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
