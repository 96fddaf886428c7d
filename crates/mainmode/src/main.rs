//! The program `mainmode`. What it does is in the library of the same name.

// Events are made on one thread and freed on another, some forty allocations each: this one is made for that,
// and serves OpenSSL and SQLite too.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mainmode::cli::main()
}
