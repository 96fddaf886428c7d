//! Another configuration while the daemon runs: read and checked whole before anything changes. What did not
//! change keeps its negotiations and SAs.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use audit::{Policy, Subject};
use crossbeam_channel::bounded;
use eventlog::{LogError, Retention, Writer};
use keying::Replaced;

use super::keylog::{KeyLog, KeyLogError};
use super::mailbox::{Message, Reload};
use super::{Shared, convert, say};
use crate::config::{Config, ConfigErrors, DataPlane, Diagnostic, ListenSocket, Loaded, key_log};
use crate::control::{Finding, Reloaded};
use crate::policy;

/// Why nothing was changed.
enum Refusal {
    /// The file.
    Wrong(Vec<Diagnostic>),
    /// It is good, but this daemon cannot take it.
    Cannot(String),
}

impl From<LogError> for Refusal {
    fn from(error: LogError) -> Self {
        Refusal::Cannot(format!(
            "the log cannot be written: {}",
            crate::with_causes(&error)
        ))
    }
}

impl From<KeyLogError> for Refusal {
    fn from(error: KeyLogError) -> Self {
        Refusal::Cannot(error.to_string())
    }
}

/// What was changed, and what there is to say about it.
#[derive(Default)]
struct Done {
    connections: Replaced,
    notes: Vec<String>,
    warnings: Vec<Diagnostic>,
}

impl Shared {
    /// Reads the daemon's configuration again, and takes it if all of it can be had. `subject` asked for it.
    pub(super) fn reload(&self, subject: &Subject) -> Reloaded {
        let one_at_a_time = self.reloading.lock();
        let _one_at_a_time = one_at_a_time.unwrap_or_else(PoisonError::into_inner);
        // Without systemd there is nobody to tell.
        if let Ok(now) = sd_notify::NotifyState::monotonic_usec_now() {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading, now]);
        }
        let answer = match self.reread(subject) {
            Ok(done) => Reloaded {
                reloaded: true,
                kept: done.connections.kept,
                amended: done.connections.amended,
                changed: done.connections.changed,
                added: done.connections.added,
                removed: done.connections.removed,
                notes: done.notes,
                findings: done.warnings.iter().map(Finding::of).collect(),
            },
            Err(Refusal::Wrong(diagnostics)) => {
                Reloaded::refused(diagnostics.iter().map(Finding::of).collect())
            }
            Err(Refusal::Cannot(why)) => {
                let diagnostic = Diagnostic::of_file(&self.first.path, &why, None);
                Reloaded::refused(vec![Finding::of(&diagnostic)])
            }
        };
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        say(&answer.summary());
        for note in &answer.notes {
            say(note);
        }
        if !answer.reloaded {
            for finding in &answer.findings {
                say(finding.text.trim_end());
            }
        }
        answer
    }

    fn reread(&self, subject: &Subject) -> Result<Done, Refusal> {
        let Loaded { config, warnings } =
            Config::load(&self.first.path).map_err(|ConfigErrors(all)| Refusal::Wrong(all))?;
        let restart = needs_restart(&self.first, &config);
        if !restart.is_empty() {
            return Err(Refusal::Cannot(format!(
                "this takes a restart: {}",
                restart.join("; ")
            )));
        }
        let before = self.config();
        let config = Arc::new(config);
        let mut done = Done {
            notes: notes(&self.first, &before, &config),
            warnings,
            ..Done::default()
        };
        // All that can fail comes first.
        let ids = self.filter_ids(&config)?;
        let folder = config.debug.key_log.as_deref();
        let key_log = folder.map(KeyLog::open).transpose()?;
        let mut keyring = self.keys.now().successor();
        let mut connections = Vec::new();
        for connection in &config.connections {
            let mut id = |name: &str| Ok(ids.get(name).copied().unwrap_or_default());
            connections.push(convert::connection(connection, &mut keyring, &mut id)?);
        }
        done.notes
            .extend(self.reconfigure_log(&before, &config, subject)?);
        let (reply, answer) = bounded(1);
        self.mailbox.send(Message::Reload(Box::new(Reload {
            config: config.clone(),
            connections,
            keyring,
            key_log,
            reply,
        })));
        let stopping = |_| Refusal::Cannot("the daemon is stopping".to_owned());
        done.connections = answer.recv().map_err(stopping)?;
        self.traps.configure(config.clone());
        self.names.configure(&config);
        // What ended is on disk when this is answered; where it cannot be written, `status` says so.
        let _ = self.log.call(|_| Ok(()));
        Ok(done)
    }

    /// The numbers of connections and children, by name.
    fn filter_ids(&self, config: &Config) -> Result<BTreeMap<String, u64>, LogError> {
        let mut names = Vec::new();
        for connection in &config.connections {
            names.push(connection.name.clone());
            let children = connection.children.iter();
            names.extend(children.map(|child| convert::child_name(connection, child)));
        }
        self.log.call(move |writer| {
            let number = |name: String| writer.filter_id(&name).map(|id| (name, id));
            names.into_iter().map(number).collect()
        })
    }

    /// The log's limits and the audit policy: both, or none. Says what changed.
    fn reconfigure_log(
        &self,
        before: &Config,
        config: &Config,
        subject: &Subject,
    ) -> Result<Vec<String>, LogError> {
        let limits = |config: &Config| (config.log.max_size, config.log.retention);
        let (old, new) = (limits(before), limits(config));
        let (in_force, governing) = (self.policy.clone(), self.audit.clone());
        let (audit, subject) = (config.audit.clone(), subject.clone());
        self.log.call(move |writer| {
            let set = |writer: &mut Writer, (size, retention): (u64, Retention)| {
                writer.set_limits(size, retention)
            };
            if old != new {
                set(writer, new)?;
            }
            // The policy in force changes between two events, at the 4719 itself.
            let mut in_force = in_force.write().unwrap_or_else(PoisonError::into_inner);
            match policy::reconfigure(writer, &in_force, &audit, &subject) {
                Ok(policy) => {
                    let said = policy_notes(&in_force, &policy);
                    *in_force = policy;
                    *governing.lock().unwrap_or_else(PoisonError::into_inner) = audit;
                    Ok(said)
                }
                Err(error) => {
                    // What cannot be written now cannot be undone either; the log asks the disk again.
                    let _ = set(writer, old);
                    Err(error)
                }
            }
        })
    }
}

fn policy_notes(old: &Policy, new: &Policy) -> Vec<String> {
    old.changes(new)
        .into_iter()
        .map(|(subcategory, _, setting)| {
            let setting = setting.map_or("Not configured", audit::Setting::words);
            format!("audit policy: {subcategory} is now {setting}")
        })
        .collect()
}

/// What of a configuration a daemon that began with another one cannot take: by its key, and what it is now.
fn needs_restart(running: &Config, new: &Config) -> Vec<String> {
    let mut all = Vec::new();
    if running.control.socket != new.control.socket {
        all.push(format!(
            "`socket` in [control] is {}, and the daemon answers at {}",
            new.control.socket.display(),
            running.control.socket.display()
        ));
    }
    if running.log.directory != new.log.directory {
        all.push(format!(
            "`directory` in [log] is {}, and the daemon writes to {}",
            new.log.directory.display(),
            running.log.directory.display()
        ));
    }
    let open = running.listen_sockets();
    let missing = |socket: &ListenSocket| !open.iter().any(|open| open.covers(socket));
    for socket in new.listen_sockets().into_iter().filter(missing) {
        all.push(format!(
            "[listen] and the connections' `local` ask for {}, which is not open",
            socket.address
        ));
    }
    for connection in &new.connections {
        let plane = connection.dataplane;
        if plane != DataPlane::None && !running.uses(plane) {
            all.push(format!(
                "`dataplane` of connection \"{}\" is \"{}\", which is not in use",
                connection.name,
                plane.word()
            ));
        }
    }
    all
}

/// What there is to say that no connection's name says.
fn notes(running: &Config, before: &Config, new: &Config) -> Vec<String> {
    let mut all = Vec::new();
    if before.log.max_size != new.log.max_size {
        all.push(format!("log: `max-size` is now {} bytes", new.log.max_size));
    }
    if before.log.retention != new.log.retention {
        let word = new.log.retention.name();
        all.push(format!("log: `retention` is now {word}"));
    }
    if before.log.when_unwritable != new.log.when_unwritable {
        let word = new.log.when_unwritable.word();
        all.push(format!("log: `when-unwritable` is now {word}"));
    }
    if before.debug.key_log != new.debug.key_log {
        all.push(match &new.debug.key_log {
            Some(folder) => key_log::alert(folder),
            None => "keys are no longer logged".to_owned(),
        });
    }
    let wanted = new.listen_sockets();
    for open in running.listen_sockets() {
        if !wanted.contains(&open) {
            let address = open.address;
            all.push(format!(
                "until a restart the daemon still listens on {address}"
            ));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        let psk = "auth = { psk = \"correct horse battery staple\" }";
        let text = text.replace("AUTH", psk);
        Config::from_text(Path::new("/m.toml"), text, false)
            .unwrap_or_else(|errors| panic!("{errors}"))
            .config
    }

    const FIRST: &str = "[listen]\naddresses = [\"0.0.0.0\"]\n[[connection]]\nname = \"a\"\n\
                         remote = { address = \"192.0.2.1\" }\nAUTH\n";

    #[test]
    fn what_takes_a_restart_is_told_by_its_key() {
        let first = config(FIRST);
        let restart = |text: &str| needs_restart(&first, &config(text)).join("; ");
        assert_eq!(restart(FIRST), "");
        for (change, named) in [
            (
                ("[listen]", "[log]\ndirectory = \"/x\"\n[listen]"),
                "`directory` in [log] is /x",
            ),
            (
                ("[listen]", "[control]\nsocket = \"/x\"\n[listen]"),
                "`socket` in [control] is /x",
            ),
            (
                ("[\"0.0.0.0\"]", "[\"0.0.0.0\"]\nport = 501"),
                "0.0.0.0:501, which is not open",
            ),
            (
                ("[\"0.0.0.0\"]", "[\"0.0.0.0\", \"::\"]"),
                "[::]:500, which is not open",
            ),
            (
                ("AUTH", "AUTH\ndataplane = \"kernel\""),
                "`dataplane` of connection \"a\" is \"kernel\"",
            ),
        ] {
            let said = restart(&FIRST.replace(change.0, change.1));
            assert!(said.contains(named), "{said}");
        }
    }

    #[test]
    fn what_an_open_socket_covers_takes_no_restart_and_what_is_not_needed_is_told() {
        let first = config(FIRST);
        let fewer = config(&FIRST.replace("[\"0.0.0.0\"]", "[\"127.0.0.1\"]"));
        assert_eq!(needs_restart(&first, &fewer), Vec::<String>::new());
        let said = notes(&first, &first, &fewer).join("; ");
        assert!(said.contains("still listens on 0.0.0.0:500"), "{said}");
        assert_eq!(notes(&first, &first, &first), Vec::<String>::new());
    }
}
