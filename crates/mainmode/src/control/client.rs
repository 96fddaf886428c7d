//! The commands' end of the control socket.

use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{MAX_RESPONSE, MAX_STATUS, Request, Response, read_line, write_line};

/// How long the daemon may take to answer what it can answer at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answers at the socket.
    #[error("no daemon answers at {}", .0.display())]
    NoDaemon(PathBuf),
    /// The socket's permissions keep us out.
    #[error("the control socket {} is not open to this user", .0.display())]
    NotAllowed(PathBuf),
    /// The conversation broke off.
    #[error("the daemon at {} broke off", path.display())]
    Broken {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A connection to the daemon, for one request.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
    /// The longest response to what was asked, in bytes.
    longest: u64,
}

impl Client {
    /// Connects to the daemon.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoDaemon`] when nobody answers.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NoDaemon(path.to_owned())
            }
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed(path.to_owned()),
            _ => ClientError::Broken {
                path: path.to_owned(),
                source,
            },
        })?;
        Ok(Self {
            stream: BufReader::new(stream),
            path: path.to_owned(),
            longest: MAX_RESPONSE,
        })
    }

    /// Sends the request. Its responses come from [`Client::receive`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`].
    pub fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        // A verdict takes as long as the negotiation, a new record as long as it wants, another configuration
        // as long as its files and the log.
        let patience = match request {
            Request::Up { .. }
            | Request::LogFollow { .. }
            | Request::Monitor { .. }
            | Request::Reload => None,
            _ => Some(PATIENCE),
        };
        self.longest = match request {
            Request::Status => MAX_STATUS,
            _ => MAX_RESPONSE,
        };
        let stream = self.stream.get_mut();
        let sent = stream
            .set_read_timeout(patience)
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .and_then(|()| write_line(stream, request));
        match sent {
            // A daemon that has no place for us says so without having heard what we want.
            Err(source) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent.map_err(|source| self.broken(source)),
        }
    }

    /// The next response; after a final one there is none.
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`], also when the daemon ends before its last response.
    pub fn receive(&mut self) -> Result<Response, ClientError> {
        let line =
            read_line(&mut self.stream, self.longest).map_err(|source| self.broken(source))?;
        let line = line.ok_or_else(|| self.broken(io::ErrorKind::UnexpectedEof.into()))?;
        serde_json::from_slice(&line).map_err(|error| self.broken(error.into()))
    }

    /// Sends the request and gives the response, for requests that have one.
    ///
    /// # Errors
    ///
    /// [`ClientError::Broken`].
    pub fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        self.send(request)?;
        self.receive()
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Broken {
            path: self.path.clone(),
            source,
        }
    }
}
