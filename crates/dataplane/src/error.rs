//! Why a data plane did not do what it was asked.

use std::io;
use std::path::PathBuf;

/// What went wrong, in the operator's words.
#[derive(Debug, thiserror::Error)]
pub enum PlaneError {
    /// The process lacks the privilege.
    #[error("{doing}: not permitted; CAP_NET_ADMIN is needed")]
    NotPermitted {
        /// What was tried.
        doing: &'static str,
    },
    /// The kernel was built without IPsec.
    #[error(
        "the kernel has no IPsec: it was built without XFRM, or the module xfrm_user cannot be loaded"
    )]
    NoXfrm,
    /// The kernel was built without this protocol.
    #[error(
        "the kernel has no {protocol}: it was built without it, or its module ({modules}) cannot be loaded"
    )]
    NoProtocol {
        /// `ESP`, `AH` or `IPComp`.
        protocol: &'static str,
        /// What would bring it.
        modules: &'static str,
    },
    /// The kernel was built without an algorithm.
    #[error(
        "the kernel does not know {algorithms}; choose others in `proposals`, or load their modules"
    )]
    NoAlgorithm {
        /// Those of the SA, as an operator writes them.
        algorithms: String,
    },
    /// The kernel already has an SA with this SPI and destination.
    #[error("the kernel already has an SA with SPI {spi:#010x} to {destination}")]
    SpiTaken {
        /// The SPI.
        spi: u32,
        /// Where it goes.
        destination: std::net::IpAddr,
    },
    /// Somebody else has a policy for exactly this traffic.
    #[error(
        "another program has an IPsec policy for {policy}; it was left alone (`ip xfrm policy` shows it)"
    )]
    PolicyTaken {
        /// Its traffic and direction.
        policy: String,
    },
    /// The SA or trap does not hold together.
    #[error("{what}")]
    Invalid {
        /// What does not fit.
        what: String,
    },
    /// Selectors that need too many kernel policies.
    #[error(
        "{what} needs {policies} IPsec policies, more than {limit}; write subnets in place of ranges"
    )]
    TooManyPolicies {
        /// The selectors.
        what: String,
        /// How many.
        policies: usize,
        /// How many are taken at most.
        limit: usize,
    },
    /// No child SA with this id is installed.
    #[error("no child SA {0} is installed")]
    NoSuchSa(u64),
    /// No trap with this name is installed.
    #[error("no trap '{0}' is installed")]
    NoSuchTrap(String),
    /// A child SA or trap with this name is already installed.
    #[error("{0} is already installed")]
    AlreadyInstalled(String),
    /// The kernel refused for another reason.
    #[error("{doing}: {}{source}", .message.as_ref().map(|m| format!("{m}: ")).unwrap_or_default())]
    Kernel {
        /// What was tried.
        doing: &'static str,
        /// The kernel's own words, when it had any.
        message: Option<String>,
        /// The error number.
        source: io::Error,
    },
    /// What the kernel answered cannot be understood.
    #[error("{doing}: the kernel's answer cannot be understood: {why}")]
    Answer {
        /// What was tried.
        doing: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// No random number could be had.
    #[error(transparent)]
    Random(#[from] crypto::CryptoError),
    /// The list of what is installed cannot be kept.
    #[error("{}: {source}", path.display())]
    StateFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process keeps the same list.
    #[error("{}: another process is using it; is the daemon already running?", path.display())]
    StateFileInUse {
        /// The file.
        path: PathBuf,
    },
}
