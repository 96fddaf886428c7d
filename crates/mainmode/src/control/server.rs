//! The daemon's end of the control socket.

use std::fs;
use std::io::{self, BufReader};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Uid, User};

use super::protocol::{MAX_REQUEST, Request, Response, read_line, write_line};

/// Clients at a time: every one costs a thread, whose stack is some 20 kB.
const MAX_CLIENTS: usize = 512;
/// Of those, who may only look: they keep nobody from changing something.
const MAX_ONLOOKERS: usize = 64;
/// How long a client may take for its request, and for taking a response.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one who follows may take nothing: a reader that does something with an event takes its time.
const PATIENCE_WITH_FOLLOWERS: Duration = Duration::from_mins(2);
/// How long a client that takes nothing is waited for at the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long all of them are waited for, who take what they are told: a service manager kills what does not stop.
const LONGEST_FAREWELL: Duration = Duration::from_secs(15);
/// How often it looks meanwhile.
const FAREWELL_LOOK: Duration = Duration::from_millis(5);
/// How often the server looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(100);

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The user.
    pub uid: u32,
    /// The process.
    pub pid: i32,
    /// Root, or the daemon's own user.
    pub administrator: bool,
}

impl Peer {
    /// This process itself, as if it had connected to itself.
    pub fn this_process() -> Self {
        Self {
            uid: Uid::effective().as_raw(),
            pid: nix::unistd::Pid::this().as_raw(),
            administrator: true,
        }
    }

    fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = getsockopt(stream, sockopt::PeerCredentials)?;
        let uid = credentials.uid();
        Ok(Self {
            uid,
            pid: credentials.pid(),
            administrator: uid == 0 || uid == Uid::effective().as_raw(),
        })
    }

    /// The Subject of 4719 and 1102: the account, and its audit session if it has one.
    pub fn subject(&self) -> audit::Subject {
        /// What the kernel says where there is no audit session.
        const NO_SESSION: u32 = u32::MAX;
        let name = User::from_uid(Uid::from_raw(self.uid))
            .ok()
            .flatten()
            .map_or_else(|| self.uid.to_string(), |user| user.name);
        let session = fs::read_to_string(format!("/proc/{}/sessionid", self.pid))
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|&session| session != NO_SESSION);
        audit::Subject::unix(self.uid, &name, &crate::host_name(), session)
    }
}

/// The client has gone, or takes nothing any more.
#[derive(Debug, thiserror::Error)]
#[error("the client has gone")]
pub struct Gone;

/// The way back to a client.
pub struct Replies<'a> {
    stream: &'a UnixStream,
    stop: &'a AtomicBool,
    told: &'a AtomicUsize,
}

impl Replies<'_> {
    /// Sends a response.
    ///
    /// # Errors
    ///
    /// [`Gone`]; nothing more needs to be done for this client then.
    pub fn send(&mut self, response: &Response) -> Result<(), Gone> {
        write_line(&mut &*self.stream, response).map_err(|_| Gone)?;
        self.told.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Whether there is nobody left to answer to: the client has gone, or the server stops. To be asked
    /// now and then by what waits.
    pub fn is_over(&self) -> bool {
        self.is_stopping() || self.is_gone()
    }

    /// Whether the server stops.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether the client has gone. For what ends by itself when the daemon does, and has something to say until then.
    pub fn is_gone(&self) -> bool {
        let mut byte = [0];
        let flags = nix::sys::socket::MsgFlags::MSG_PEEK | nix::sys::socket::MsgFlags::MSG_DONTWAIT;
        match nix::sys::socket::recv(
            std::os::fd::AsRawFd::as_raw_fd(self.stream),
            &mut byte,
            flags,
        ) {
            Ok(0) => true,
            Ok(_) | Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => false,
            Err(_) => true,
        }
    }
}

/// What the daemon does with requests. Called on a thread of its own for each client.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request. Requests that change something come from administrators alone.
    ///
    /// # Errors
    ///
    /// [`Gone`], as [`Replies::send`] says it.
    fn handle(&self, peer: &Peer, request: Request, replies: &mut Replies<'_>) -> Result<(), Gone>;
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Somebody answers there.
    #[error("another daemon already answers at the control socket {}", .0.display())]
    InUse(PathBuf),
    /// Something else than a socket stands there.
    #[error("{} is there, and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot make the control socket {}", path.display())]
    Io {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A control socket that answers.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the socket, so that no other one is removed at the end.
    identity: (u64, u64),
}

impl Server {
    /// Makes the socket at `path` with the permissions `mode`. A socket that a dead daemon left behind
    /// is replaced.
    ///
    /// # Errors
    ///
    /// [`ServerError`] says why not.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, ServerError> {
        let cannot = |source| ServerError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            fs::create_dir_all(folder).map_err(cannot)?;
        }
        match fs::symlink_metadata(path) {
            Ok(meta) if !meta.file_type().is_socket() => {
                return Err(ServerError::NotASocket(path.to_owned()));
            }
            Ok(_) => {
                if UnixStream::connect(path).is_ok() {
                    return Err(ServerError::InUse(path.to_owned()));
                }
                fs::remove_file(path).map_err(cannot)?;
            }
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(cannot)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(cannot)?;
        let meta = fs::symlink_metadata(path).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            identity: (meta.dev(), meta.ino()),
        })
    }

    /// Answers clients with `handler` until `stop` is set. Gives those that are still being answered.
    pub fn run<H: Handler>(&self, handler: &Arc<H>, stop: &Arc<AtomicBool>) -> Clients {
        let clients = Arc::new(AtomicUsize::new(0));
        let told = Arc::new(AtomicUsize::new(0));
        let onlookers = Arc::new(AtomicUsize::new(0));
        while !stop.load(Ordering::Relaxed) {
            if !self.wait_for_client() {
                continue;
            }
            let Ok((stream, _)) = self.listener.accept() else {
                continue;
            };
            let Ok(peer) = Peer::of(&stream) else {
                continue;
            };
            let place = Place::take(&clients, MAX_CLIENTS);
            let looking = if peer.administrator {
                Some(None)
            } else {
                Place::take(&onlookers, MAX_ONLOOKERS).map(Some)
            };
            let Some(place) = place.zip(looking) else {
                let _ = stream.set_nonblocking(true);
                let busy = Response::failed("too many clients at the control socket; try again");
                let _ = write_line(&mut &stream, &busy);
                continue;
            };
            let (handler, stop, told) = (handler.clone(), stop.clone(), told.clone());
            let started = thread::Builder::new()
                .name("control".to_owned())
                .spawn(move || {
                    let _place = place;
                    let mut replies = Replies {
                        stream: &stream,
                        stop: &stop,
                        told: &told,
                    };
                    serve(&peer, handler.as_ref(), &mut replies);
                });
            // Without a thread the closure is dropped, its place given back, the stream closed.
            drop(started);
        }
        Clients { clients, told }
    }

    /// Whether somebody is there; waits for a moment only, so that a stop is seen.
    fn wait_for_client(&self) -> bool {
        use std::os::fd::AsFd as _;
        let mut fds = [nix::poll::PollFd::new(
            self.listener.as_fd(),
            nix::poll::PollFlags::POLLIN,
        )];
        let timeout = nix::poll::PollTimeout::try_from(LOOK).unwrap_or(nix::poll::PollTimeout::MAX);
        nix::poll::poll(&mut fds, timeout).is_ok_and(|ready| ready > 0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Clients of a server that takes no more of them.
#[derive(Debug)]
pub struct Clients {
    clients: Arc<AtomicUsize>,
    /// How many responses they all were sent.
    told: Arc<AtomicUsize>,
}

impl Clients {
    /// Waits until each has what it is still told, as long as they take it.
    pub fn farewell(self) {
        let begun = Instant::now();
        let mut last = (self.told.load(Ordering::Relaxed), begun);
        while self.clients.load(Ordering::Relaxed) > 0
            && last.1.elapsed() < FAREWELL
            && begun.elapsed() < LONGEST_FAREWELL
        {
            thread::sleep(FAREWELL_LOOK);
            let told = self.told.load(Ordering::Relaxed);
            if told != last.0 {
                last = (told, Instant::now());
            }
        }
    }
}

/// A client's place, given back however its thread ends.
struct Place(Arc<AtomicUsize>);

impl Place {
    /// One of so many, if there is one left.
    fn take(taken: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let place = (taken.fetch_add(1, Ordering::Relaxed) < max).then(|| Place(taken.clone()));
        if place.is_none() {
            taken.fetch_sub(1, Ordering::Relaxed);
        }
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn serve(peer: &Peer, handler: &impl Handler, replies: &mut Replies<'_>) {
    let stream = replies.stream;
    let ready = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_read_timeout(Some(PATIENCE)))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    if ready.is_err() {
        return;
    }
    let request = match read_line(&mut BufReader::new(stream), MAX_REQUEST) {
        Ok(Some(line)) => serde_json::from_slice::<Request>(&line)
            .map_err(|error| format!("the request cannot be understood: {error}")),
        Ok(None) => return,
        Err(error) => Err(format!("the request cannot be read: {error}")),
    };
    // Whether the client still listens is its own matter: there is nobody to tell.
    let _ = match request {
        Err(why) => replies.send(&Response::failed(why)),
        Ok(request) if request.changes_something() && !peer.administrator => {
            replies.send(&Response::failed(
                "only root and the daemon's own user may change something; you may look",
            ))
        }
        Ok(Request::Ping) => replies.send(&Response::done()),
        Ok(request) => {
            if matches!(request, Request::Monitor { .. } | Request::LogFollow { .. }) {
                let _ = stream.set_write_timeout(Some(PATIENCE_WITH_FOLLOWERS));
            }
            handler.handle(peer, request, replies)
        }
    };
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Write as _};

    use super::*;

    struct Echo {
        /// How often an answer stands there.
        times: usize,
    }

    impl Handler for Echo {
        fn handle(
            &self,
            peer: &Peer,
            request: Request,
            replies: &mut Replies<'_>,
        ) -> Result<(), Gone> {
            if let Request::LogFollow { .. } = request {
                replies.send(&Response::Following)?;
                while !replies.is_over() {
                    thread::sleep(Duration::from_millis(5));
                }
                return Err(Gone);
            }
            let note = format!("{} {request:?}", peer.administrator);
            let notes = vec![note.repeat(self.times)];
            replies.send(&Response::Done { notes })
        }
    }

    struct Running {
        stop: Arc<AtomicBool>,
        thread: Option<thread::JoinHandle<()>>,
        folder: tempfile::TempDir,
    }

    impl Running {
        fn start() -> Self {
            Self::start_with(1)
        }

        fn start_with(times: usize) -> Self {
            let folder = tempfile::tempdir().expect("folder");
            let server = Server::bind(&folder.path().join("s"), 0o600).expect("bound");
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = stop.clone();
            let thread =
                thread::spawn(move || server.run(&Arc::new(Echo { times }), &stopped).farewell());
            Self {
                stop,
                thread: Some(thread),
                folder,
            }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("s")
        }

        fn ask(&self, text: &str) -> String {
            let mut stream = UnixStream::connect(self.path()).expect("connected");
            stream.write_all(text.as_bytes()).expect("sent");
            let mut answer = String::new();
            BufReader::new(stream)
                .read_line(&mut answer)
                .expect("answer");
            answer
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.stop.store(true, Ordering::Relaxed);
            if let Some(thread) = self.thread.take() {
                thread.join().expect("ended");
            }
            assert!(!self.path().exists(), "the socket is removed at the end");
        }
    }

    #[test]
    fn a_request_is_answered_with_the_callers_rights() {
        let server = Running::start();
        let answer = server.ask("{\"command\":\"status\"}\n");
        assert_eq!(answer, "{\"reply\":\"done\",\"notes\":[\"true Status\"]}\n");
        assert_eq!(
            server.ask("{\"command\":\"ping\"}\n"),
            "{\"reply\":\"done\",\"notes\":[]}\n"
        );
    }

    #[test]
    fn what_is_no_request_is_answered_and_harms_nobody() {
        let server = Running::start();
        assert!(server.ask("nonsense\n").contains("cannot be understood"));
        assert!(
            server
                .ask("{\"command\":\"x\"}\n")
                .contains("cannot be understood")
        );
        let long = format!("{}\n", "x".repeat(70_000));
        let mut stream = UnixStream::connect(server.path()).expect("connected");
        // The server may hang up before it has taken all of it.
        let _ = stream.write_all(long.as_bytes());
        drop(stream);
        assert!(server.ask("{\"command\":\"ping\"}\n").contains("done"));
    }

    #[test]
    fn a_status_of_thousands_of_sas_is_taken_and_another_answer_of_that_length_is_not() {
        use super::super::client::Client;
        let server = Running::start_with(250_000);
        let ask = |request| {
            let mut client = Client::connect(&server.path()).expect("connected");
            client.ask(&request)
        };
        assert!(matches!(ask(Request::Status), Ok(Response::Done { .. })));
        let why = ask(Request::AuditGet).expect_err("too long");
        assert!(crate::with_causes(&why).contains("a line of more than"));
    }

    #[test]
    fn one_client_too_many_is_told_so_and_places_come_back() {
        let server = Running::start();
        let follow = b"{\"command\":\"log-follow\",\"query\":{}}\n";
        let mut all: Vec<UnixStream> = Vec::new();
        for _ in 0..MAX_CLIENTS {
            let mut stream = UnixStream::connect(server.path()).expect("connected");
            stream.write_all(follow).expect("sent");
            let mut line = String::new();
            BufReader::new(&stream)
                .read_line(&mut line)
                .expect("answer");
            assert!(line.contains("following"), "{line}");
            all.push(stream);
        }
        assert!(server.ask("").contains("too many clients"));
        all.clear();
        let begun = Instant::now();
        loop {
            // A place comes back once its thread has seen that the client is gone.
            let mut stream = UnixStream::connect(server.path()).expect("connected");
            let _ = stream.write_all(b"{\"command\":\"ping\"}\n");
            let mut answer = String::new();
            let read = BufReader::new(stream).read_line(&mut answer);
            if read.is_ok() && answer.contains("done") {
                break;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "no place came back"
            );
        }
    }

    #[test]
    fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).expect("bound"));
        let server = Server::bind(&path, 0o660).expect("replaced");
        let mode = fs::metadata(&path).expect("there").mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(matches!(
            Server::bind(&path, 0o660),
            Err(ServerError::InUse(_))
        ));
        drop(server);
        fs::write(&path, "x").expect("written");
        assert!(matches!(
            Server::bind(&path, 0o660),
            Err(ServerError::NotASocket(_))
        ));
    }

    #[test]
    fn this_process_has_a_subject() {
        let subject = Peer::this_process().subject();
        assert!(subject.sid.starts_with("S-1-22-1-"), "{}", subject.sid);
        assert!(!subject.user.is_empty());
        assert!(!subject.domain.is_empty());
    }
}
