//! The program `mainmode`. What it does is in the library of the same name.

fn main() -> std::process::ExitCode {
    mainmode::cli::main()
}
