//! `clear DIRECTORY FILE` opens the log as a start would, fills its disk with FILE, and clears the log. Exit code 1 and why,
//! when that fails.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use audit::Subject;
use eventlog::{MIN_SIZE, Options, Retention, Writer};

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), Some(hog)) = (arguments.next(), arguments.next()) else {
        eprintln!("clear DIRECTORY FILE");
        std::process::exit(2);
    };
    let options = Options {
        directory: directory.into(),
        max_size: MIN_SIZE,
        retention: Retention::Overwrite,
        computer: "gw".to_owned(),
        process_id: 7,
    };
    if let Err(why) = clear(options, Path::new(&hog)) {
        eprintln!("{why}: {why:?}");
        std::process::exit(1);
    }
}

fn clear(options: Options, hog: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let (mut writer, _) = Writer::open(options)?;
    let mut file = File::create(hog)?;
    loop {
        match file.write_all(&[0; 4096]) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => break,
            Err(error) => return Err(error.into()),
        }
    }
    writer.clear(Subject::unix(0, "root", "gw", None), None)?;
    Ok(())
}
