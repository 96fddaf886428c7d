//! mainmode
fn main() {}
