//! The writer is killed while it writes: nothing that was reported written is lost.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use eventlog::{Query, Reader, Retention};
use support::*;
use tempfile::tempdir;

/// Kills in the ordinary run; `CRASH_RUNS` says how many otherwise.
const RUNS: u64 = 10;

/// An example of this crate, which the build of its tests builds too.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().with_file_name("examples").join(name);
    assert!(
        path.exists(),
        "{} is missing: `cargo build --release -p eventlog --examples`",
        path.display()
    );
    path
}

struct Load {
    child: Child,
    /// The greatest ID that was reported durable, once the child has ended.
    reported: thread::JoinHandle<(u64, Vec<String>)>,
}

fn load(directory: &Path, retention: Retention, command: &mut Command) -> Load {
    let mut child = command
        .arg(directory)
        .arg(retention.name())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reported = thread::spawn(move || {
        let mut last = 0;
        let mut others = Vec::new();
        for line in lines {
            let line = line.unwrap();
            // The last line may be cut off where the kill came.
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["done", _, id] => last = id.parse().unwrap_or(last).max(last),
                _ => others.push(line),
            }
        }
        (last, others)
    });
    Load { child, reported }
}

impl Load {
    fn kill(mut self) -> (u64, Vec<String>) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reported.join().unwrap()
    }
}

#[test]
fn kill_9_under_load_loses_nothing_that_was_reported_written() {
    let runs = std::env::var("CRASH_RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    for retention in [Retention::Overwrite, Retention::Archive] {
        let dir = tempdir().unwrap();
        let mut last = 0;
        for run in 0..runs.div_ceil(2) {
            let load = load(dir.path(), retention, &mut Command::new(example("load")));
            // From "hardly open" to "rotating": a different moment each time.
            thread::sleep(Duration::from_micros(2_000 + (run * 7_919 * 37) % 400_000));
            // A reader in another process than the writer, while it writes and rotates.
            if run % 3 == 1 {
                let reader = Reader::open(dir.path()).unwrap();
                let before = reader.verify(None).unwrap().head;
                let newest = Query {
                    reverse: true,
                    limit: Some(300),
                    ..Query::default()
                };
                let found: Vec<_> = reader.query(&newest).map(Result::unwrap).collect();
                assert!(found.first().map_or(0, |record| record.record_id) >= before.0);
                assert!(
                    found
                        .windows(2)
                        .all(|pair| pair[0].record_id == pair[1].record_id + 1)
                );
            }
            let (reported, others) = load.kill();
            assert!(
                others.iter().all(|line| line.starts_with("open")),
                "{others:?}"
            );
            last = reported.max(last);
            let checked = Command::new(example("check"))
                .arg(dir.path())
                .args([&last.to_string(), retention.name()])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&checked.stdout);
            let why = String::from_utf8_lossy(&checked.stderr);
            assert!(checked.status.success(), "run {run}: {why}");
            print!("{} run {run}, reported {last}: {said}", retention.name());
        }
        if retention == Retention::Archive {
            // Nothing is lost between the archives and the log either.
            let mut expected = 1;
            for file in archives(dir.path()) {
                let info = Reader::open(&file).unwrap().info().unwrap();
                assert_eq!(info.first, Some(expected), "{}", file.display());
                expected = info.last.unwrap() + 1;
            }
            let log = Reader::open(dir.path()).unwrap().info().unwrap();
            assert_eq!(log.first, Some(expected));
        }
    }
}

/// What `script` gets: a file system of a size in kB at `$1/log`, `load` writing a log of 1 MiB there, and `fill FILE` to take
/// what is left of the disk.
fn on_a_small_disk(size: u32, script: &str) {
    const BEGIN: &str = r#"
        disk=$1
        mount -t tmpfs -o size=$5k tmpfs "$disk" || exit 9
        mkdir "$1/log"
        lines=$3/lines
        "$2" "$1/log" overwrite >"$lines" & load=$!
        wait_for() {
            for _ in $(seq 400); do
                tail -n +"$from" "$lines" | grep -q "$1" && return
                sleep 0.05
            done
            kill -9 $load; tail -n 3 "$lines" >&2; echo "no '$1' came" >&2; exit 8
        }
        mark() { from=$(($(wc -l <"$lines") + 1)); }
        fill() { dd if=/dev/zero of="$disk/$1" bs=4k 2>/dev/null; }
        end() {
            kill -9 $load; wait $load 2>/dev/null
            last=$(grep "^done [0-9]* [0-9]*$" "$lines" | tail -n 1 | cut -d' ' -f3)
        }
        from=1
        wait_for done
    "#;
    let dir = tempdir().unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--user", "--map-root-user", "sh", "-c"])
        .args([&format!("{BEGIN}{script}"), "sh"])
        .args([
            &disk,
            &example("load"),
            &dir.path().to_owned(),
            &example("check"),
        ])
        .arg(size.to_string())
        .arg(example("clear"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_full_disk_is_told_at_once_and_the_log_goes_on_when_there_is_room() {
    let script = r#"
        fill hog
        mark
        wait_for "error true"
        rm "$1/hog"
        mark
        wait_for done
        end
        "$4" "$1/log" "$last"
    "#;
    on_a_small_disk(1_500, script);
}

#[test]
fn a_full_disk_keeps_no_start_from_the_log_and_its_account() {
    let script = r#"
        fill hog
        mark
        wait_for "error true"
        # The second time behind one that came no further either.
        for more in 1 2; do
            end
            fill $more
            mark
            "$2" "$1/log" overwrite >>"$lines" & load=$!
            wait_for "^open"
            wait_for "error true"
        done
        end
        rm "$1/hog"
        "$4" "$1/log" "$last"
    "#;
    on_a_small_disk(1_500, script);
}

#[test]
fn a_log_on_a_disk_that_is_full_to_the_last_block_can_be_cleared() {
    let script = r#"
        end
        "$6" "$1/log" "$disk/hog" || exit 7
        "$4" "$1/log" 1
    "#;
    on_a_small_disk(1_500, script);
}

#[test]
fn what_a_start_finds_half_done_it_finishes() {
    // Each state that a crash in a rotation can leave, made by hand from a log before and after it.
    let dir = tempdir().unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    fill(&mut writer, 0, 2_000);
    writer.tidy().unwrap();
    drop(writer);
    let kept = tempdir().unwrap();
    let oldest = segments(dir.path())[0].clone();
    let copy = kept.path().join("oldest");
    std::fs::copy(&oldest, &copy).unwrap();
    let (mut writer, _) = open(dir.path(), Retention::Overwrite);
    while oldest.exists() {
        fill(&mut writer, 0, 64);
    }
    let head = writer.head();
    drop(writer);
    // The floor was committed, the file not yet unlinked.
    std::fs::copy(&copy, &oldest).unwrap();
    // The next segment was in the making, with its journal.
    for name in ["next.tmp", "next.tmp-journal", "next.tmp-wal"] {
        std::fs::write(dir.path().join(name), "half").unwrap();
    }
    let reader = Reader::open(dir.path()).unwrap();
    let floor = reader.verify(Some(head)).unwrap().floor.0;
    let first = reader.query(&Query::default()).next().unwrap().unwrap();
    assert_eq!(first.record_id, floor + 1, "a reader goes by the floor");
    let (writer, _) = open(dir.path(), Retention::Overwrite);
    assert!(!oldest.exists());
    assert!(!dir.path().join("next.tmp").exists());
    assert_eq!(writer.head(), head);
    reader.verify(Some(head)).unwrap();
}
