//! What is known about revocation: CRLs and OCSP answers from the network, kept as long as they are good, and the
//! threads that fetch them. A check that waits for one stalls no worker.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use crypto::cert::limits::{MAX_CRL_LEN, MAX_OCSP_LEN};
use crypto::cert::{Crl, Evidence, Fetch, OcspAnswer};

/// How long one place has for its answer. Peers send their messages again for two minutes or more.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a check waits for all its places together: less than the keying service waits for the check.
const TOGETHER: Duration = Duration::from_secs(15);
/// How long a place that did not answer is not asked again: the next negotiations do not wait for it.
const NOT_AGAIN: Duration = Duration::from_secs(30);
/// After this what was fetched is fetched again when it is next looked at, however long it says that it is good: a
/// revocation is heard of. Meanwhile the old counts.
const FRESH: Duration = Duration::from_hours(1);
/// Answers that are kept: the newest. A CRL can have megabytes; those of a hundred CAs have some.
const MAX_KEPT: usize = 256;
/// Threads that fetch, each for one check at a time.
const FETCHERS: usize = 4;
/// Checks that wait for a thread; more are decided by what is known.
const MAX_WAITING: usize = 256;
/// Redirections that are followed.
const MAX_REDIRECTS: u32 = 3;

/// What was fetched.
#[derive(Debug)]
enum Answer {
    Crl(Crl),
    Ocsp(OcspAnswer),
    /// Nothing that could be used.
    Nothing,
}

impl Answer {
    /// Whether it says more than what was there.
    fn is_newer_than(&self, old: &Answer) -> bool {
        match (self, old) {
            (Answer::Nothing, _) => false,
            (Answer::Crl(new), Answer::Crl(old)) => new.this_update() >= old.this_update(),
            (Answer::Ocsp(new), Answer::Ocsp(old)) => new.this_update() >= old.this_update(),
            _ => true,
        }
    }
}

#[derive(Debug)]
struct Kept {
    answer: Answer,
    until: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Known {
    kept: Mutex<HashMap<Fetch, Kept>>,
    /// What the workers look at; made anew when something was fetched.
    evidence: RwLock<Arc<Evidence>>,
}

impl Known {
    /// All that is known.
    pub fn evidence(&self) -> Arc<Evidence> {
        self.evidence
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether this has been asked so lately that it is not asked again.
    fn is_fresh(&self, fetch: &Fetch) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(fetch)
            .is_some_and(|kept| kept.until > Instant::now())
    }

    /// What should be fetched again; it is given once.
    fn stale(&self) -> Vec<Fetch> {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = kept
            .iter_mut()
            .filter(|(_, kept)| kept.until <= now && !matches!(kept.answer, Answer::Nothing));
        stale
            .map(|(fetch, kept)| {
                kept.until = now + NOT_AGAIN;
                fetch.clone()
            })
            .collect()
    }

    fn keep(&self, fetch: Fetch, answer: Answer) {
        let now = Instant::now();
        let hold = match &answer {
            Answer::Nothing => NOT_AGAIN,
            Answer::Crl(_) | Answer::Ocsp(_) => FRESH,
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let until = now + hold;
        let old = kept.get_mut(&fetch);
        if let Some(old) = old.filter(|old| !answer.is_newer_than(&old.answer)) {
            // What was known stays: it says itself how long it is good. Whoever is on the path could otherwise undo a
            // revocation with what was true before.
            old.until = until;
        } else {
            kept.insert(fetch, Kept { answer, until });
        }
        while kept.len() > MAX_KEPT {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.until);
            let Some(oldest) = oldest.map(|(fetch, _)| fetch.clone()) else {
                break;
            };
            kept.remove(&oldest);
        }
        let mut evidence = Evidence::default();
        for one in kept.values() {
            match &one.answer {
                Answer::Crl(crl) => evidence.crls.push(crl.clone()),
                Answer::Ocsp(answer) => evidence.ocsp.push(answer.clone()),
                Answer::Nothing => {}
            }
        }
        *self
            .evidence
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(evidence);
    }
}

/// What is done when the places of a check were asked.
type Then = Box<dyn FnOnce() + Send>;

/// The threads that fetch. There is none until there is something to fetch, and none that has nothing to do.
#[derive(Debug)]
pub struct Fetchers {
    known: Arc<Known>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    checks: VecDeque<Check>,
    threads: usize,
}

/// Places to be asked for somebody.
struct Check {
    fetches: Vec<Fetch>,
    /// Also what was asked lately.
    again: bool,
    then: Then,
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} checks, {} threads", self.checks.len(), self.threads)
    }
}

impl Fetchers {
    /// Those that fetch for `known`.
    pub fn new(known: Arc<Known>) -> Self {
        Fetchers {
            known,
            waiting: Arc::default(),
        }
    }

    /// Asks the places, and then does `then`; at once where all were asked lately, or where too many wait.
    pub fn fetch(&self, fetches: Vec<Fetch>, then: impl FnOnce() + Send + 'static) {
        let fetches: Vec<Fetch> = fetches
            .into_iter()
            .filter(|fetch| !self.known.is_fresh(fetch))
            .collect();
        self.ask_for(Check {
            fetches,
            again: false,
            then: Box::new(then),
        });
    }

    /// Fetches again what is old, for whoever comes next.
    pub fn refresh(&self) {
        let fetches = self.known.stale();
        if !fetches.is_empty() {
            self.ask_for(Check {
                fetches,
                again: true,
                then: Box::new(|| {}),
            });
        }
    }

    fn ask_for(&self, check: Check) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if check.fetches.is_empty() || waiting.checks.len() >= MAX_WAITING {
            drop(waiting);
            return (check.then)();
        }
        waiting.checks.push_back(check);
        if waiting.threads >= FETCHERS {
            return;
        }
        let (known, all) = (self.known.clone(), self.waiting.clone());
        let thread = thread::Builder::new()
            .name("fetch".to_owned())
            .spawn(move || work(&known, &all));
        if thread.is_ok() {
            waiting.threads += 1;
        } else if waiting.threads == 0 {
            let last = waiting.checks.pop_back();
            drop(waiting);
            if let Some(check) = last {
                (check.then)();
            }
        }
    }
}

/// A thread: one check after the other, until none waits.
fn work(known: &Known, all: &Mutex<Waiting>) {
    loop {
        let next = {
            let mut waiting = all.lock().unwrap_or_else(PoisonError::into_inner);
            let next = waiting.checks.pop_front();
            if next.is_none() {
                waiting.threads -= 1;
            }
            next
        };
        let Some(check) = next else {
            return;
        };
        let end = Instant::now() + TOGETHER;
        for fetch in check.fetches {
            let left = end.saturating_duration_since(Instant::now()).min(TIMEOUT);
            if left.is_zero() {
                break;
            }
            // Another check may have asked meanwhile.
            if check.again || !known.is_fresh(&fetch) {
                let answer = ask(&fetch, left).unwrap_or_else(|why| {
                    super::say(&format!("revocation: {why}"));
                    Answer::Nothing
                });
                known.keep(fetch, answer);
            }
        }
        (check.then)();
    }
}

/// Asks one place.
fn ask(fetch: &Fetch, timeout: Duration) -> Result<Answer, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(MAX_REDIRECTS)
        .user_agent("mainmode")
        .build()
        .into();
    match fetch {
        Fetch::Crl { url, issuer } => {
            let answer = agent.get(url).call();
            let bytes = body(url, answer, MAX_CRL_LEN)?;
            let crl = Crl::read(&bytes).map_err(|error| format!("{url}: {error}"))?;
            signed(url, crl.is_signed_by(issuer))?;
            Ok(Answer::Crl(crl))
        }
        Fetch::Ocsp {
            url,
            request,
            issuer,
        } => {
            let answer = agent
                .post(url)
                .header("Content-Type", "application/ocsp-request")
                .send(request);
            let bytes = body(url, answer, MAX_OCSP_LEN)?;
            let answer = OcspAnswer::read(&bytes).map_err(|error| format!("{url}: {error}"))?;
            let now = jiff::Timestamp::now().as_second();
            signed(url, answer.is_signed_by(issuer, now))?;
            Ok(Answer::Ocsp(answer))
        }
    }
}

/// What comes from the network is nobody's until it is signed.
fn signed(url: &str, by_issuer: bool) -> Result<(), String> {
    if by_issuer {
        return Ok(());
    }
    Err(format!(
        "{url}: the answer is not signed by the CA that names this place, or one that it has named for it"
    ))
}

fn body(
    url: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    most: usize,
) -> Result<Vec<u8>, String> {
    answer
        .and_then(|answer| {
            let limit = u64::try_from(most).unwrap_or(u64::MAX);
            answer
                .into_body()
                .into_with_config()
                .limit(limit)
                .read_to_vec()
        })
        .map_err(|error| format!("{url}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::channel;

    use super::*;

    /// A server that answers each of some requests with these bytes, and counts them.
    fn server(requests: usize, body: &'static [u8]) -> (String, thread::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/list", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let mut served = 0;
            for stream in listener.incoming().take(requests) {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).unwrap();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(body).unwrap();
                served += 1;
            }
            served
        });
        (url, thread)
    }

    fn fetched(fetchers: &Fetchers, url: &str) {
        let (done, wait) = channel();
        let fetch = Fetch::Crl {
            url: url.to_owned(),
            issuer: Vec::new(),
        };
        fetchers.fetch(vec![fetch], move || done.send(()).unwrap());
        wait.recv_timeout(Duration::from_secs(30)).unwrap();
    }

    #[test]
    fn what_is_no_crl_is_not_asked_for_again_at_once_and_the_check_goes_on() {
        let (url, server) = server(1, b"nothing of use");
        let known = Arc::new(Known::default());
        let fetchers = Fetchers::new(known.clone());
        fetched(&fetchers, &url);
        fetched(&fetchers, &url);
        assert!(known.evidence().crls.is_empty());
        assert_eq!(server.join().unwrap(), 1);
    }

    #[test]
    fn a_place_that_nobody_serves_costs_its_check_no_more_than_a_moment() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", closed.local_addr().unwrap());
        drop(closed);
        let fetchers = Fetchers::new(Arc::default());
        fetched(&fetchers, &url);
        fetched(&fetchers, "ldap://127.0.0.1/cn=ca");
        fetched(&fetchers, "no address at all");
    }

    /// A CA in a folder, and its certificate in DER.
    fn ca(folder: &std::path::Path, name: &str) -> Vec<u8> {
        let settings = format!(
            "[ca]\ndefault_ca=c\n[c]\ndatabase={name}.index\ndefault_md=sha256\n\
             private_key={name}.key\ncertificate={name}.pem\n[req]\ndistinguished_name=d\n[d]\n"
        );
        std::fs::write(folder.join(format!("{name}.cnf")), settings).unwrap();
        std::fs::write(folder.join(format!("{name}.index")), "").unwrap();
        openssl(
            folder,
            &format!(
                "req -x509 -config {name}.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10 \
                 -subj /CN=the-same -keyout {name}.key -out {name}.pem"
            ),
        );
        openssl(
            folder,
            &format!("x509 -in {name}.pem -outform DER -out {name}.der"),
        );
        std::fs::read(folder.join(format!("{name}.der"))).unwrap()
    }

    /// A list of that CA's, issued on this day of January 2026.
    fn crl(folder: &std::path::Path, name: &str, day: u32) -> Vec<u8> {
        openssl(
            folder,
            &format!(
                "ca -config {name}.cnf -gencrl -crl_lastupdate 202601{day:02}000000Z \
                 -crl_nextupdate 20351231000000Z -out {name}.crl"
            ),
        );
        std::fs::read(folder.join(format!("{name}.crl"))).unwrap()
    }

    fn openssl(folder: &std::path::Path, words: &str) {
        let done = std::process::Command::new("openssl")
            .args(words.split_whitespace())
            .current_dir(folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "openssl {words}: {said}");
    }

    #[test]
    fn neither_an_older_list_nor_one_of_somebody_else_takes_the_place_of_one_that_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let issuer = ca(folder.path(), "true");
        ca(folder.path(), "false");
        let known = Known::default();
        let from = |url: &str| Fetch::Crl {
            url: url.to_owned(),
            issuer: issuer.clone(),
        };
        let issued_on = |list: Vec<u8>| {
            let (url, server) = server(1, list.leak());
            let answer = ask(&from(&url), TIMEOUT).unwrap_or(Answer::Nothing);
            server.join().unwrap();
            // One place, though each server here has a port of its own.
            known.keep(from("http://ca.example/"), answer);
            let evidence = known.evidence();
            let lists = evidence.crls.iter().map(Crl::this_update);
            lists
                .map(|at| (at - 1_767_225_600) / 86_400 + 1)
                .collect::<Vec<_>>()
        };
        assert!(issued_on(crl(folder.path(), "false", 9)).is_empty());
        assert_eq!(issued_on(crl(folder.path(), "true", 5)), [5]);
        assert_eq!(issued_on(crl(folder.path(), "true", 4)), [5]);
        assert_eq!(issued_on(crl(folder.path(), "false", 10)), [5]);
        assert_eq!(issued_on(crl(folder.path(), "true", 6)), [6]);
    }
}
