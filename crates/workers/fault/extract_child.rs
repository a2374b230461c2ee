//! The reading child alone, as the tests start it.

fn main() -> std::process::ExitCode {
    kapelle_workers::document::child_main()
}
