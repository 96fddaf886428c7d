//! The sections beside the connections: `[audit]`, `[log]`, `[listen]`, `[control]`, `[debug]`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use audit::{Setting, Subcategory};
use eventlog::{MIN_SIZE, Retention};

use super::diagnostic::Findings;
use super::key_log;
use super::model::{
    AuditConfig, Config, ControlConfig, DebugConfig, IKE_PORT, ListenConfig, LogConfig, NAT_PORT,
    Places, WhenUnwritable,
};
use super::source::Source;
use super::table::{Field, Table};
use super::values;

/// Where the log is unless the file says otherwise.
const LOG_DIRECTORY: &str = "/var/lib/mainmode/log";
/// How large the log may become unless the file says otherwise, in bytes.
const LOG_MAX_SIZE: u64 = 128 << 20;
/// Where the control socket is unless the file says otherwise.
const CONTROL_SOCKET: &str = "/run/mainmode/control";
/// The longest path that a Unix socket's address can hold, in bytes (`sun_path`, its NUL apart).
const MAX_SOCKET_PATH: usize = 107;

/// The subcategories by their keys.
const SUBCATEGORIES: [(&str, Subcategory); 4] = [
    ("ipsec-main-mode", Subcategory::IpsecMainMode),
    ("ipsec-quick-mode", Subcategory::IpsecQuickMode),
    ("ipsec-extended-mode", Subcategory::IpsecExtendedMode),
    ("ipsec-driver", Subcategory::IpsecDriver),
];

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            directory: PathBuf::from(LOG_DIRECTORY),
            max_size: LOG_MAX_SIZE,
            retention: Retention::Overwrite,
            when_unwritable: WhenUnwritable::Continue,
        }
    }
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            socket: PathBuf::from(CONTROL_SOCKET),
        }
    }
}

impl Default for Places {
    /// Where things are without a file.
    fn default() -> Self {
        Self {
            audit: AuditConfig::default(),
            log: LogConfig::default(),
            control: ControlConfig::default(),
        }
    }
}

fn section<'a>(top: &Table<'a>, name: &'static str, findings: &mut Findings) -> Option<Table<'a>> {
    let field = top.get(name)?;
    if field.is_list() {
        findings.error_help(
            field.span.clone(),
            format!("\"{name}\" must be one table"),
            format!("write [{name}], once"),
        );
        return None;
    }
    field.table(name, findings, "{ … }, or a section of that name")
}

/// `[audit]`.
pub fn audit(top: &Table<'_>, source: &Source, findings: &mut Findings) -> AuditConfig {
    let mut config = AuditConfig::default();
    let Some(table) = section(top, "audit", findings) else {
        return config;
    };
    for (name, subcategory) in SUBCATEGORIES {
        let Some(field) = table.get(name) else {
            continue;
        };
        let example = "[\"success\", \"failure\"], or [] for no auditing";
        let Some(words) = field.strings(findings, example) else {
            continue;
        };
        let mut setting = Setting::NO_AUDITING;
        for (word, span) in words {
            match word {
                "success" => setting.success = true,
                "failure" => setting.failure = true,
                other => findings.error_help(
                    span,
                    format!("\"{name}\" cannot have \"{}\"", other.escape_debug()),
                    "write \"success\", \"failure\" or both",
                ),
            }
        }
        let location = source.location(field.key_span.start);
        config.settings.push((subcategory, setting, location));
    }
    config
}

/// What is there and no folder, so that a folder of this path cannot be made.
fn in_the_way(path: &Path) -> Option<&Path> {
    let there = path.ancestors().find(|part| part.exists())?;
    (!there.is_dir()).then_some(there)
}

/// `[log]`.
pub fn log(top: &Table<'_>, source: &Source, findings: &mut Findings) -> LogConfig {
    let mut config = LogConfig::default();
    let Some(table) = section(top, "log", findings) else {
        return config;
    };
    if let Some(path) = path(
        &table,
        "directory",
        "\"/var/lib/mainmode/log\"",
        source,
        findings,
    ) {
        if let (Some(field), Some(file)) = (table.get("directory"), in_the_way(&path)) {
            findings.error_help(
                field.span,
                format!(
                    "the log cannot be kept there: {} is no folder",
                    file.display()
                ),
                "name a folder; it is made where it is not there",
            );
        }
        config.directory = path;
    }
    if let Some(size) = table
        .get("max-size")
        .and_then(|field| max_size(&field, findings))
    {
        config.max_size = size;
    }
    if let Some(retention) = table.get("retention").and_then(|field| {
        let words = [
            ("overwrite", Retention::Overwrite),
            ("archive", Retention::Archive),
            ("stop", Retention::Stop),
        ];
        field.word(findings, &words)
    }) {
        config.retention = retention;
    }
    if let Some(when) = table.get("when-unwritable").and_then(|field| {
        let words = [
            ("continue", WhenUnwritable::Continue),
            ("refuse", WhenUnwritable::Refuse),
        ];
        field.word(findings, &words)
    }) {
        config.when_unwritable = when;
    }
    config
}

fn max_size(field: &Field<'_>, findings: &mut Findings) -> Option<u64> {
    field.parsed(findings, "\"128MiB\"", |text| {
        let size = values::size(text)?;
        if size < MIN_SIZE {
            return Err(format!("must be at least {}MiB", MIN_SIZE >> 20));
        }
        // SQLite and the file systems below it count in signed 64 bits.
        if i64::try_from(size).is_err() {
            return Err("is more than a file system holds".to_owned());
        }
        Ok(size)
    })
}

/// `[listen]`.
pub fn listen(top: &Table<'_>, findings: &mut Findings) -> ListenConfig {
    let mut config = ListenConfig {
        addresses: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        port: IKE_PORT,
        nat_port: NAT_PORT,
        written: top.has("listen"),
    };
    let Some(table) = section(top, "listen", findings) else {
        return config;
    };
    if let Some(addresses) = table
        .get("addresses")
        .and_then(|field| addresses(&field, findings))
    {
        config.addresses = addresses;
    }
    (config.port, config.nat_port) = ports(&table, (IKE_PORT, NAT_PORT), findings);
    config
}

fn addresses(field: &Field<'_>, findings: &mut Findings) -> Option<Vec<IpAddr>> {
    let texts = field.strings(findings, "[\"0.0.0.0\", \"::\"]")?;
    if texts.is_empty() {
        findings.error_help(
            field.span.clone(),
            "\"addresses\" is empty: nothing could be received",
            "write addresses = [\"0.0.0.0\", \"::\"], or leave it out",
        );
        return None;
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    for (text, span) in texts {
        match text.parse::<IpAddr>() {
            Ok(address) if addresses.contains(&address) => {
                findings.error_help(span, format!("{address} stands here twice"), "take one out");
            }
            Ok(address) if address.is_multicast() => findings.error_help(
                span,
                format!("{address} is a multicast address"),
                "write an address of this host, or \"0.0.0.0\" or \"::\" for all of them",
            ),
            Ok(address) if values::is_of_a_link(address) => findings.error_help(
                span,
                format!("{address} is an address of each link, and does not say of which"),
                "write \"::\": peers on a link are answered from the address that they asked",
            ),
            Ok(address) => addresses.push(address),
            Err(_) => findings.error_help(
                span,
                format!("\"{}\" is no address", text.escape_debug()),
                "write an address of this host, or \"0.0.0.0\" or \"::\" for all of them",
            ),
        }
    }
    Some(addresses)
}

/// `port` and `nat-port` of any table that has them.
pub fn ports(table: &Table<'_>, default: (u16, u16), findings: &mut Findings) -> (u16, u16) {
    let mut read = |name: &'static str, example: &str| {
        let field = table.get(name)?;
        let value = field.integer(findings, 1, u64::from(u16::MAX), example)?;
        u16::try_from(value).ok()
    };
    let port = read("port", "500").unwrap_or(default.0);
    let nat_port = read("nat-port", "4500").unwrap_or(default.1);
    if port == nat_port {
        let field = table.get("nat-port").or_else(|| table.get("port"));
        let span = field.map_or(table.span.clone(), |field| field.span);
        findings.error_help(
            span,
            format!("\"port\" and \"nat-port\" are both {port}"),
            "give IKE behind a NAT a port of its own, as 4500 beside 500",
        );
    }
    (port, nat_port)
}

/// `[control]`.
pub fn control(top: &Table<'_>, source: &Source, findings: &mut Findings) -> ControlConfig {
    let mut config = ControlConfig::default();
    let Some(table) = section(top, "control", findings) else {
        return config;
    };
    if let Some(path) = path(
        &table,
        "socket",
        "\"/run/mainmode/control\"",
        source,
        findings,
    ) {
        if path.as_os_str().len() > MAX_SOCKET_PATH
            && let Some(field) = table.get("socket")
        {
            findings.error_help(
                field.span,
                format!("the path of a socket has at most {MAX_SOCKET_PATH} bytes"),
                "write a shorter one, such as socket = \"/run/mainmode/control\"",
            );
        }
        config.socket = path;
    }
    config
}

/// `[debug]`.
pub fn debug(top: &Table<'_>, source: &Source, findings: &mut Findings) -> DebugConfig {
    let mut config = DebugConfig::default();
    let Some(table) = section(top, "debug", findings) else {
        return config;
    };
    let example = "\"/root/keys\"";
    let folder = path(&table, "key-log", example, source, findings);
    let (Some(folder), Some(field)) = (folder, table.get("key-log")) else {
        return config;
    };
    match key_log::fault(&folder) {
        Some(why) => findings.error_help(
            field.span,
            format!("\"key-log\": {why}"),
            "name a folder of your own, whose files nobody else can read; one that is absent is made so",
        ),
        None => findings.warn(
            field.key_span,
            key_log::alert(&folder),
            "take it out when it is no longer needed, and remove the files",
        ),
    }
    config.key_log = Some(folder);
    config
}

fn path(
    table: &Table<'_>,
    name: &'static str,
    example: &str,
    source: &Source,
    findings: &mut Findings,
) -> Option<PathBuf> {
    let field = table.get(name)?;
    field.parsed(findings, example, |text| {
        if text.is_empty() {
            return Err("the path is empty".to_owned());
        }
        if text.contains('\0') {
            return Err("a path has no NUL".to_owned());
        }
        Ok(Config::beside(source.path(), text))
    })
}
