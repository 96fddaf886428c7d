//! The peer of a trial, whichever program it is.

use crate::Outcome;
use crate::charon::Charon;
use crate::lab::Lab;
use crate::pluto::Pluto;
use std::path::Path;

/// A program that negotiates and is not ours.
pub enum Peer {
    /// strongSwan.
    Charon(Charon),
    /// libreswan.
    Pluto(Pluto),
}

/// The configuration files of the peer that the variable `peer-is` names; `None` when there is none.
pub fn files(peer_is: &str) -> Outcome<Option<&'static [&'static str]>> {
    match peer_is {
        "strongswan" => Ok(Some(&["swanctl.conf", "strongswan.conf"])),
        "libreswan" => Ok(Some(&["ipsec.conf", "ipsec.secrets"])),
        "nobody" => Ok(None),
        other => {
            Err(format!("peer-is \"{other}\" is none of strongswan, libreswan, nobody").into())
        }
    }
}

impl Peer {
    /// Starts it on a host with the configuration that lies in `directory`.
    pub fn start(peer_is: &str, lab: &Lab, host: &str, directory: &Path) -> Outcome<Self> {
        Ok(match peer_is {
            "libreswan" => Self::Pluto(Pluto::start(lab, host, directory)?),
            _ => Self::Charon(Charon::start(lab, host, directory)?),
        })
    }

    /// Lets it begin a Main Mode; whether that came up within so many seconds.
    pub fn initiate(&self, connection: &str, seconds: u32) -> Outcome<bool> {
        match self {
            Self::Charon(charon) => charon.initiate(connection, seconds),
            Self::Pluto(pluto) => pluto.initiate(connection, seconds),
        }
    }

    /// Lets it bring up Main Mode and a child.
    pub fn begin(&self, child: &str) -> Outcome {
        match self {
            Self::Charon(charon) => charon.begin(child),
            // A connection is its child there.
            Self::Pluto(pluto) => pluto.begin("us"),
        }
    }

    /// What it says of its SAs.
    pub fn sas(&self) -> Outcome<String> {
        match self {
            Self::Charon(charon) => charon.sas(),
            Self::Pluto(_) => Err("libreswan has no list of SAs of this form".into()),
        }
    }

    /// Lets it end the connection's SA with a delete.
    pub fn terminate(&self, connection: &str) -> Outcome {
        match self {
            Self::Charon(charon) => charon.terminate(connection),
            Self::Pluto(pluto) => pluto.terminate(connection),
        }
    }

    /// Lets it replace its SA by a new one.
    pub fn replace(&self, connection: &str) -> Outcome {
        match self {
            Self::Charon(charon) => charon.replace(connection),
            Self::Pluto(pluto) => pluto.replace(connection),
        }
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        match self {
            Self::Charon(charon) => charon.directory(),
            Self::Pluto(pluto) => pluto.directory(),
        }
    }

    /// How many established Main Mode SAs it has.
    pub fn established(&self) -> Outcome<usize> {
        match self {
            Self::Charon(charon) => charon.established(),
            Self::Pluto(pluto) => pluto.established(),
        }
    }

    /// How many IPsec SAs it has.
    pub fn children(&self) -> Outcome<usize> {
        match self {
            Self::Charon(charon) => charon.children(),
            Self::Pluto(pluto) => pluto.children(),
        }
    }

    /// As a loss of power.
    pub fn kill(&mut self) {
        match self {
            Self::Charon(charon) => charon.kill(),
            Self::Pluto(pluto) => pluto.kill(),
        }
    }
}
