//! Every key that a configuration can have: the table that the reader, the documentation's test and the
//! "did you mean" read.

/// A key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The table it stands in: `""` is the top.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
    /// For keys of which this version knows only the name: what it will be for.
    pub not_yet: Option<&'static str>,
}

const fn key(table: &'static str, name: &'static str) -> Key {
    Key {
        table,
        name,
        not_yet: None,
    }
}

const fn later(table: &'static str, name: &'static str, what: &'static str) -> Key {
    Key {
        table,
        name,
        not_yet: Some(what),
    }
}

/// The keys, in the order in which the documentation has them.
pub static KEYS: &[Key] = &[
    key("", "audit"),
    key("", "log"),
    key("", "listen"),
    key("", "control"),
    key("", "debug"),
    key("", "pool"),
    key("", "connection"),
    key("audit", "ipsec-main-mode"),
    key("audit", "ipsec-quick-mode"),
    key("audit", "ipsec-extended-mode"),
    key("audit", "ipsec-driver"),
    key("log", "directory"),
    key("log", "max-size"),
    key("log", "retention"),
    key("log", "when-unwritable"),
    key("listen", "addresses"),
    key("listen", "port"),
    key("listen", "nat-port"),
    key("control", "socket"),
    key("debug", "key-log"),
    key("pool", "name"),
    key("pool", "addresses"),
    key("connection", "name"),
    key("connection", "keying"),
    key("connection", "local"),
    key("connection", "remote"),
    key("connection", "auth"),
    key("connection", "xauth"),
    key("connection", "mode-config"),
    key("connection", "exchange"),
    key("connection", "initiator-only"),
    key("connection", "nat-keepalive"),
    key("connection", "psk-exposed-to-guessing"),
    key("connection", "proposals"),
    key("connection", "lifetime"),
    key("connection", "lifetime-bytes"),
    key("connection", "retransmit"),
    key("connection", "half-open-timeout"),
    key("connection", "evidence-hold"),
    key("connection", "dpd"),
    key("connection", "fragmentation"),
    key("connection", "fragment-size"),
    key("connection", "encap"),
    key("connection", "dataplane"),
    key("connection", "start"),
    key("connection", "child"),
    key("connection.local", "address"),
    key("connection.local", "port"),
    key("connection.local", "nat-port"),
    key("connection.local", "id"),
    key("connection.remote", "address"),
    key("connection.remote", "port"),
    key("connection.remote", "nat-port"),
    key("connection.remote", "id"),
    key("connection.auth", "psk"),
    key("connection.auth", "psk-file"),
    key("connection.auth", "certificate"),
    key("connection.auth", "key"),
    key("connection.auth", "passphrase"),
    key("connection.auth", "passphrase-file"),
    key("connection.auth", "ca"),
    key("connection.auth", "peer-certificate"),
    key("connection.auth", "pinned"),
    key("connection.auth", "peer-key"),
    key("connection.auth", "send-certificate"),
    key("connection.auth", "hybrid"),
    key("connection.auth", "crl"),
    key("connection.auth", "revocation"),
    key("connection.auth", "min-rsa-bits"),
    key("connection.auth", "allow-sha1"),
    later("connection.auth", "kerberos", "authentication by Kerberos"),
    key("connection.xauth", "user"),
    key("connection.xauth", "password"),
    key("connection.xauth", "password-file"),
    key("connection.xauth", "users"),
    key("connection.xauth.users", "name"),
    key("connection.xauth.users", "password"),
    key("connection.xauth.users", "password-file"),
    key("connection.mode-config", "request"),
    key("connection.mode-config", "pools"),
    key("connection.mode-config", "dns"),
    key("connection.mode-config", "nbns"),
    key("connection.mode-config", "split-include"),
    key("connection.mode-config", "local-lan"),
    key("connection.mode-config", "push"),
    key("connection.retransmit", "tries"),
    key("connection.retransmit", "first"),
    key("connection.retransmit", "factor"),
    key("connection.dpd", "delay"),
    key("connection.dpd", "timeout"),
    key("connection.child", "name"),
    key("connection.child", "local"),
    key("connection.child", "remote"),
    key("connection.child", "mode"),
    key("connection.child", "proposals"),
    key("connection.child", "compress"),
    key("connection.child", "lifetime"),
    key("connection.child", "lifetime-bytes"),
    key("connection.child", "lifetime-packets"),
    key("connection.child", "replay-window"),
    key("connection.child", "mark"),
    key("connection.child", "interface-id"),
];

/// The keys of one table.
pub fn keys_of(table: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.table == table)
}

/// The known key that `name` is most likely meant to be, underscores for hyphens included.
pub fn nearest(table: &str, name: &str) -> Option<&'static str> {
    nearest_of(keys_of(table).map(|key| key.name), name)
}

/// The word of `known` that `word` is most likely meant to be.
pub fn nearest_of(known: impl Iterator<Item = &'static str>, word: &str) -> Option<&'static str> {
    /// Below this the words have too little in common to be suggested.
    const ALIKE: f64 = 0.7;
    let word = word.to_lowercase().replace('_', "-");
    known
        .map(|known| (strsim::normalized_damerau_levenshtein(known, &word), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}
