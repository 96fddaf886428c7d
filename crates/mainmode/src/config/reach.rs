//! Who of a connection begins, and whether the two sides can reach each other at all.

use std::ops::Range;

use super::diagnostic::Findings;
use super::model::{ListenConfig, Local, Remote, Start};
use super::table::Table;

/// When we begin.
pub(super) fn start(table: &Table<'_>, remote: Option<&Remote>, findings: &mut Findings) -> Start {
    let Some(field) = table.get("start") else {
        return Start::Wait;
    };
    let words = [
        ("auto", Start::Auto),
        ("wait", Start::Wait),
        ("on-demand", Start::OnDemand),
    ];
    let start = field.word(findings, &words).unwrap_or(Start::Wait);
    if start != Start::Wait
        && let Some(remote) = remote
        && !remote.address.is_one_peer()
    {
        let word = field.as_text().unwrap_or_default();
        findings.error_help(
            field.span,
            format!(
                "\"start\" is \"{word}\", and the remote address \"{}\" names no single peer to begin with",
                remote.address
            ),
            "write start = \"wait\", or the peer's own address",
        );
    }
    start
}

/// Whether the peer may not.
pub(super) fn initiator_only(
    table: &Table<'_>,
    remote: Option<&Remote>,
    findings: &mut Findings,
) -> bool {
    let Some(field) = table.get("initiator-only") else {
        return false;
    };
    let only = field.boolean(findings) == Some(true);
    if only
        && let Some(remote) = remote
        && !remote.address.is_one_peer()
    {
        findings.error_help(
            field.key_span,
            format!(
                "\"initiator-only\" lets no peer begin, and the remote address \"{}\" names no single peer to begin with",
                remote.address
            ),
            "write the peer's own address, or take out \"initiator-only\"",
        );
    }
    only
}

/// Whether any socket could reach the peer that is begun with.
pub(super) fn check_listens(
    listen: &ListenConfig,
    local: &Local,
    remote: &Remote,
    span: &Range<usize>,
    findings: &mut Findings,
) {
    let Some(v4) = remote.address.is_ipv4() else {
        return;
    };
    let mut addresses = listen.addresses.iter();
    if local.address.is_some()
        || listen.addresses.is_empty()
        || addresses.any(|address| address.is_ipv4() == v4)
    {
        return;
    }
    let family = if v4 { "IPv4" } else { "IPv6" };
    findings.error_help(
        span.clone(),
        format!(
            "the remote address {} is of {family}, and no address of [listen] is",
            remote.address
        ),
        format!("add one of {family} to \"addresses\" of [listen]"),
    );
}

/// Whether both sides are of one version of IP.
pub(super) fn check_families(
    local: &Local,
    remote: &Remote,
    span: &Range<usize>,
    findings: &mut Findings,
) {
    let Some(remote_v4) = remote.address.is_ipv4() else {
        return;
    };
    if let Some(address) = local.address
        && address.is_ipv4() != remote_v4
    {
        findings.error_help(
            span.clone(),
            format!(
                "the local address {address} and the remote address {} are of different families",
                remote.address
            ),
            "write both as IPv4 or both as IPv6",
        );
    }
}
